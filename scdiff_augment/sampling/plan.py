"""Drawing latents: from noise or from real cells, steered by conditions."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scdiff_augment.compute.stratified import normals
from scdiff_augment.diffusion import samplers as diffusion
from scdiff_augment.diffusion.guidance import Condition, LatentClassifier, guide
from scdiff_augment.diffusion.samplers import Model

from .requests import Carried


class Drawing(NamedTuple):
    """How cells are drawn.

    Attributes
    ----------
    classifiers : mapping of str to LatentClassifier
        The conditions that are known.
    wanted : Carried
        Class of each cell per condition, and the shift of combinations never seen.
    scales : mapping of str to float
        Weight of each condition's gradient.
    interval : (low, high) or None
        Noise levels between which the gradients act.
    sigmas : Tensor of shape (n_steps + 1,)
        Noise levels on the way, falling to 0.
    sampler : str
        A name in `diffusion.SAMPLERS`.
    start : Tensor of shape (n_cells, n_latent) or None
        Latents to start from, noised to the first of `sigmas`; None starts from noise alone.
    spread : Tensor of shape (n_latent,)
        Standard deviation of the noise, per coordinate. Cells of a Gaussian class stray from its
        mean by as much less as this is below 1.
    """

    classifiers: Mapping[str, LatentClassifier]
    wanted: Carried
    scales: Mapping[str, float]
    interval: tuple[float, float] | None
    sigmas: Tensor
    sampler: str
    start: Tensor | None
    spread: Tensor

    def latents(
        self, denoiser: Model, block: slice, n_latent: int, generator: torch.Generator
    ) -> Tensor:
        """Draw the latents of a block of cells, (B, n_latent)."""
        model = guide(denoiser, self._conditions(block), self.interval)
        highest = self.sigmas[0]
        rng = np.random.default_rng(int(torch.randint(2**63 - 1, (), generator=generator)))
        noise = torch.from_numpy(normals(self.groups(block), (_length(block), n_latent), rng))
        noise = noise.to(self.sigmas.device)
        with torch.no_grad():
            if self.start is None:
                # From noise alone a denoiser answers with the mean, around which noisy cells lie.
                centre = model(torch.zeros_like(noise), highest[None])
            else:
                centre = self.start[block]
            run = diffusion.SAMPLERS[self.sampler]
            noisy = centre + highest * self.spread * noise
            z = run(model, noisy, self.sigmas, generator, self.spread)
        if not bool(torch.isfinite(z).all()):
            asked = ", ".join(f"'{name}': {scale:g}" for name, scale in self.scales.items())
            raise ValueError(
                f"latents grew beyond all bounds under guidance_scale={{{asked}}}. Use a smaller "
                f"guidance_scale (1 reproduces a class), or more n_steps."
            )
        return z if self.wanted.shift is None else z + self.wanted.shift[block]

    def groups(self, block: slice) -> NDArray[np.int64] | None:
        """Return numbers of the combinations of classes asked for, (B,); None without any."""
        codes = [c.cpu().numpy() for c in self.classes(block).values()]
        if len(codes) < 2:
            return codes[0] if codes else None
        return np.unique(np.stack(codes), axis=1, return_inverse=True)[1].reshape(-1)

    def classes(self, block: slice) -> dict[str, Tensor]:
        """Return the classes that were asked for, (B,) by condition."""
        return {name: codes[block] for name, codes in self.wanted.classes.items()}

    def part(self, block: slice) -> Drawing:
        """Return the drawing of some of the cells alone."""
        targets, steering, shift, classes = self.wanted
        wanted = Carried(
            {name: codes[block].clone() for name, codes in targets.items()},
            {name: steer[block].clone() for name, steer in steering.items()},
            None if shift is None else shift[block].clone(),
            {name: codes[block].clone() for name, codes in classes.items()},
        )
        start = None if self.start is None else self.start[block].clone()
        return self._replace(wanted=wanted, start=start)

    def on(self, device: torch.device) -> Drawing:
        """Return the same drawing with all that it computes with on a device."""
        targets, steering, shift, classes = self.wanted
        return self._replace(
            classifiers={
                name: copy.deepcopy(self.classifiers[name]).to(device) for name in targets
            },
            wanted=Carried(
                {name: codes.to(device) for name, codes in targets.items()},
                {name: steer.to(device) for name, steer in steering.items()},
                None if shift is None else shift.to(device),
                {name: codes.to(device) for name, codes in classes.items()},
            ),
            sigmas=self.sigmas.to(device),
            start=None if self.start is None else self.start.to(device),
            spread=self.spread.to(device),
        )

    def _conditions(self, block: slice) -> list[Condition]:
        return [
            Condition(
                self.classifiers[name],
                codes[block],
                self.scales[name] * self.wanted.share_of(name, block),
            )
            for name, codes in self.wanted.targets.items()
        ]


def _length(block: slice) -> int:
    return int(block.stop - block.start)
