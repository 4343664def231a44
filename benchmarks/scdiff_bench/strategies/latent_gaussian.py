"""A Gaussian per class in the latent space of `diffusion`, with its codec: an ablation."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from imblearn.over_sampling.base import BaseOverSampler
from numpy.typing import NDArray
from sklearn.utils._param_validation import HasMethods, StrOptions

from scdiff_augment import DiffusionOversampler
from scdiff_augment.codec.choice import codec_for
from scdiff_augment.codec.class_gene_effects import LabelledCells
from scdiff_augment.compute.randomness import generators
from scdiff_augment.compute.stratified import normals
from scdiff_augment.compute.threads import bounded_threads
from scdiff_augment.diffusion.mixture import class_mixture
from scdiff_augment.expression.kinds import denormalise, normalise
from scdiff_augment.oversampling.base import Draw, GenerativeOverSampler
from scdiff_augment.parameters import PARAMETERS


class LatentGaussianOversampler(GenerativeOverSampler):
    """Oversample cells from one Gaussian per class in a codec's latent space.

    The ablation of `DiffusionOversampler`: the same codec, the same class means and shrunken
    covariances, cells of a class drawn together as well, no denoiser and no guidance.

    Parameters
    ----------
    sampling_strategy : float, str, dict or callable, default="auto"
        As in imbalanced-learn.
    random_state : int, RandomState or None, default=None
        Source of all randomness.
    encoder, n_latent, decoder_steps, overdispersion
        The codec's, with the defaults of `DiffusionOversampler`.
    temperature : float
        Standard deviation of the noise, library sizes apart; by default that of the same.
    """

    _parameter_constraints: ClassVar[dict] = {
        **BaseOverSampler._parameter_constraints,
        "encoder": [str, HasMethods(["transform"])],
        "n_latent": [int, StrOptions({"auto"})],
        "decoder_steps": [int, StrOptions({"auto"})],
        "overdispersion": PARAMETERS["overdispersion"],
        "temperature": DiffusionOversampler._parameter_constraints["temperature"],
    }

    def __init__(
        self,
        *,
        sampling_strategy: Any = "auto",
        random_state: Any = None,
        encoder: Any = "auto",
        n_latent: int | str = "auto",
        decoder_steps: int | str = "auto",
        overdispersion: float = DiffusionOversampler().overdispersion,
        temperature: float = DiffusionOversampler().temperature,
    ):
        super().__init__(sampling_strategy=sampling_strategy)
        self.random_state = random_state
        self.encoder = encoder
        self.n_latent = n_latent
        self.decoder_steps = decoder_steps
        self.overdispersion = overdispersion
        self.temperature = temperature

    def _fit_model(
        self, X: NDArray, y: NDArray, weight: NDArray, random_state: np.random.RandomState
    ) -> Draw:
        rng, generator = generators(random_state)
        parts = denormalise(X)
        classes, codes = np.unique(y, return_inverse=True)
        with bounded_threads(1):
            codec = codec_for(
                parts, self.encoder, n_latent=self.n_latent, n_steps=self.decoder_steps
            )
            for _ in codec.fit(parts, generator, codes):
                pass
            z = torch.from_numpy(codec.encode(parts))
            mixture = class_mixture(
                z, torch.from_numpy(codes), len(classes), torch.from_numpy(weight).float()
            )
            shift = codec.class_gene_effects(
                [LabelledCells(parts.values, z.numpy(), codes)], len(classes)
            )

        def draw(labels: NDArray) -> NDArray[np.float32]:
            groups = np.searchsorted(classes, labels)
            component = torch.from_numpy(groups)
            noise = torch.from_numpy(normals(groups, (len(labels), z.shape[1]), rng))
            noise[:, : codec.n_latent] *= self.temperature
            z_new = mixture.means[component].clone()
            for k in component.unique():  # the symmetric root, as the chain of diffusion has it
                rows, axes = component == k, mixture.axes[k]
                z_new[rows] += (noise[rows] @ axes * mixture.variances[k].sqrt()) @ axes.T
            values, factor = codec.decode(
                z_new.numpy(), rng, self.overdispersion, shift[component], groups
            )
            return normalise(values, parts.scale, factor=factor, rng=rng)

        return draw
