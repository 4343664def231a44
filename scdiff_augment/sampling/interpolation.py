"""Leading latents from one class towards another by mixed gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor

from scdiff_augment import diffusion
from scdiff_augment.diffusion.guidance import Condition, guide
from scdiff_augment.diffusion.samplers import Model

Mix = Callable[[float], Model]
"""Weight of the target to a denoiser."""


def checked(weights: Iterable[float], sigma: float, noise: str) -> list[float]:
    """Read the weights of a path; refuse what `LatentDiffusion.interpolate` cannot do.

    Raises
    ------
    ValueError
        If a weight is not from 0 to 1, or `sigma` or `noise` is out of range.
    """
    values = [float(weight) for weight in weights]
    if not values or not all(0 <= value <= 1 for value in values):
        raise ValueError(f"weights must be numbers from 0 to 1, got {values}.")
    if not 0 < sigma < math.inf:
        raise ValueError(f"sigma must be above 0 and finite, got {sigma:g}.")
    if noise not in ("drawn", "inverted"):
        raise ValueError(f"noise must be 'drawn' or 'inverted', got {noise!r}.")
    return values


def mixed(model: Model, classifier: Model, ends: tuple[int, int], scale: float) -> Mix:
    """Denoisers along ``(1 - w) grad log p(source | z) + w grad log p(target | z)``.

    With `scale` 1 and the score of all cells added, this is the score of the weighted geometric
    mean of the two classes: for Gaussians of one covariance, of the Gaussian in between.
    """

    def at(weight: float) -> Model:
        def denoised(z: Tensor, sigma: Tensor) -> Tensor:
            steering = [
                Condition(classifier, torch.full((len(z),), code), scale * share)
                for code, share in zip(ends, (1 - weight, weight), strict=True)
                if scale * share > 0
            ]
            return guide(model, steering)(z, sigma)

        return denoised

    return at


def from_noise(
    mix: Mix, z: Tensor, weights: Sequence[float], sigmas: Tensor, sampler: str, seed: int
) -> Iterator[Tensor]:
    """Noise latents to the first of `sigmas`, and denoise them at each weight.

    All randomness is that of `seed`, so a cell meets the same noise at every weight.
    """
    for weight in weights:
        generator = torch.Generator().manual_seed(seed)
        noisy = z + sigmas[0] * torch.randn(z.shape, generator=generator)
        yield diffusion.SAMPLERS[sampler](mix(weight), noisy, sigmas, generator)


def from_inversion(
    mix: Mix, z: Tensor, weights: Sequence[float], sigmas: Tensor
) -> Iterator[Tensor]:
    """Lead latents up to the first of `sigmas` as cells of the source, and down at each weight.

    Weight 0 leads back to `z`: what distinguishes a cell from the other source cells goes along.
    """
    noisy = diffusion.invert_ddim(mix(0.0), z, sigmas)
    for weight in weights:
        yield diffusion.sample_ddim(mix(weight), noisy, sigmas)
