"""All that drawing cells needs, apart from the model that it comes from.

A plan is what a worker of a cluster is sent: it has neither training cells nor a history.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from scdiff_augment.codec.choice import Codec
from scdiff_augment.codec.class_gene_effects import shift_of
from scdiff_augment.compute.stratified import normals
from scdiff_augment.diffusion.classifier import LatentClassifier
from scdiff_augment.diffusion.denoiser import Denoiser
from scdiff_augment.diffusion.guidance import Condition, guide
from scdiff_augment.diffusion.samplers import SAMPLERS
from scdiff_augment.expression.scales import Scale

from .requests import Guidance, Request


@dataclass(frozen=True)
class SamplingPlan:
    """How cells are drawn, whichever they are.

    Attributes
    ----------
    denoiser : Denoiser
    codec : Codec
    scale : Scale
        That of the cells of `fit`, to which new cells are brought.
    classifiers : mapping of str to LatentClassifier
        Of the conditions that steer.
    gene_effects : mapping of str to Tensor of shape (n_classes, n_genes)
        What classes have of their own in each gene, by condition.
    combined_effects : mapping of str to Tensor of shape (n_rows, n_genes)
        What combinations with another condition have beyond that, by condition.
    guidance : mapping of str to float or Tensor of shape (n_classes,)
        Weight of each condition's gradient, or of each of its classes.
    interval : (low, high) or None
        Noise levels between which the gradients act.
    sigmas : Tensor of shape (n_steps + 1,)
        Noise levels on the way, falling to 0.
    sampler : str
        A name in `diffusion.SAMPLERS`.
    spread : Tensor of shape (n_latent,)
        Standard deviation of the noise, per coordinate. Cells of a Gaussian class deviate from its
        mean by as much less as this is below 1.
    overdispersion : float
        Share of the measured overdispersion that new counts get.
    device : str
        Where cells are drawn.
    n_jobs : int or None
        Threads. The same model draws the same cells with any number, but for the rounding of sums.
    """

    denoiser: Denoiser
    codec: Codec
    scale: Scale
    classifiers: Mapping[str, LatentClassifier]
    gene_effects: Mapping[str, Tensor]
    guidance: Mapping[str, Guidance]
    interval: tuple[float, float] | None
    sigmas: Tensor
    sampler: str
    spread: Tensor
    overdispersion: float
    device: str = "cpu"
    n_jobs: int | None = None
    combined_effects: Mapping[str, Tensor] = field(default_factory=dict)

    def latents(self, request: Request, generator: torch.Generator) -> Tensor:
        """Draw latents, (n_cells, n_latent)."""
        model = guide(self.denoiser, self._conditions(request), self.interval)
        highest = self.sigmas[0]
        rng = np.random.default_rng(int(torch.randint(2**63 - 1, (), generator=generator)))
        shape = (request.n_cells, len(self.spread))
        noise = torch.from_numpy(normals(request.groups(), shape, rng)).to(self.sigmas.device)
        with torch.no_grad():
            if request.start is None:
                # From noise alone a denoiser answers with the mean, around which noisy cells lie.
                centre = model(torch.zeros_like(noise), highest[None])
            else:
                centre = request.start
            noisy = centre + highest * self.spread * noise
            z = SAMPLERS[self.sampler](model, noisy, self.sigmas, generator, self.spread)
        if not bool(torch.isfinite(z).all()):
            largest = {name: float(torch.as_tensor(k).max()) for name, k in self.guidance.items()}
            asked = ", ".join(f"'{name}': {scale:g}" for name, scale in largest.items())
            raise ValueError(
                f"latents grew beyond all bounds under guidance_scale={{{asked}}}. Use a smaller "
                f"guidance_scale (1 reproduces a class), or more n_steps."
            )
        return z if request.shift is None else z + request.shift

    def gene_shift(self, request: Request) -> Tensor | None:
        """Return what the cells' classes add in each gene, (n_cells, n_genes), if they do."""
        shift = shift_of(self.gene_effects, request.classes)
        more = shift_of(self.combined_effects, request.combined)
        return shift if more is None or shift is None else shift.add_(more)

    def on(self, device: torch.device) -> SamplingPlan:
        """Return the same plan with all but the codec on a device."""
        return replace(
            self,
            denoiser=copy.deepcopy(self.denoiser).to(device),
            classifiers={k: copy.deepcopy(c).to(device) for k, c in self.classifiers.items()},
            gene_effects={name: table.to(device) for name, table in self.gene_effects.items()},
            combined_effects={name: t.to(device) for name, t in self.combined_effects.items()},
            guidance={
                name: k.to(device) if isinstance(k, Tensor) else k
                for name, k in self.guidance.items()
            },
            sigmas=self.sigmas.to(device),
            spread=self.spread.to(device),
        )

    def _conditions(self, request: Request) -> list[Condition]:
        return [
            Condition(
                self.classifiers[name],
                codes,
                self._scale(name, codes) * request.steering.get(name, 1.0),
            )
            for name, codes in request.targets.items()
        ]

    def _scale(self, name: str, codes: Tensor) -> float | Tensor:
        scale = self.guidance[name]
        return scale[codes] if isinstance(scale, Tensor) else scale
