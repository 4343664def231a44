"""Guidance: a denoiser steered by the gradients of classifiers.

Classifiers are trained apart from the denoiser, on latents and labels alone, so new conditions
never touch the denoiser.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .classifier import LatentClassifier
from .denoiser import Denoiser
from .mixture import NoisyMixture
from .samplers import Model


@dataclass(frozen=True)
class Condition:
    """One class to steer towards.

    Attributes
    ----------
    classifier : LatentClassifier or callable ``(z, sigma) -> log probabilities``
    target : Tensor of shape (B,)
        Index of the wanted class for each cell.
    scale : float or Tensor of shape (B,)
        Weight of the gradient; 1 is Bayes' rule, more sharpens the class. Two conditions of
        weights 1 - w and w on one classifier lead from one class to the other.
    """

    classifier: Model
    target: Tensor
    scale: float | Tensor = 1.0


def guide(
    model: Model, conditions: Sequence[Condition], interval: tuple[float, float] | None = None
) -> Model:
    """Wrap a denoiser so that it also follows the conditions' gradients.

    By Tweedie's formula a score correction ``g`` moves the denoised latent by ``sigma² g``;
    the gradients of several conditions add up. With an `interval` (low, high) of sigma, the
    gradients act inside it only (Kynkäänniemi et al. 2024, arXiv:2404.07724).

    The move of a classifier in closed form is what its mixture denoises to in the wanted class,
    less what it denoises to in all of them. Where the denoiser itself starts from that mixture,
    the latter cancels at scale 1: its start becomes the wanted class's own.
    """
    if not conditions:
        return model
    known, learnt = _by_mixture(conditions)
    own: list[Condition] = []
    if isinstance(model, Denoiser):
        for mixture in known:
            if _same(mixture, model.mixture):
                own = known.pop(mixture)
                break

    def guided(z: Tensor, sigma: Tensor) -> Tensor:
        if interval is not None and not interval[0] <= float(sigma[0]) <= interval[1]:
            return model(z, sigma)
        if own and isinstance(model, Denoiser):
            denoised = model(z, sigma, _moved(model.mixture, own, z, sigma, 1.0))
        else:
            denoised = model(z, sigma)
        for mixture, several in known.items():
            denoised = denoised + _moved(mixture, several, z, sigma, 0.0)
        if learnt:
            denoised = denoised + sigma[:, None] ** 2 * _gradient(learnt, z, sigma)
        return denoised

    return guided


def _by_mixture(
    conditions: Sequence[Condition],
) -> tuple[dict[NoisyMixture, list[Condition]], list[Condition]]:
    """Conditions whose classifier is a mixture in closed form, by mixture; and the others."""
    known: dict[NoisyMixture, list[Condition]] = {}
    learnt = []
    for c in conditions:
        if isinstance(c.classifier, LatentClassifier) and c.classifier.network is None:
            known.setdefault(c.classifier.mixture, []).append(c)
        else:
            learnt.append(c)
    return known, learnt


def _same(a: NoisyMixture, b: NoisyMixture) -> bool:
    ours, theirs = a.state_dict(), b.state_dict()
    return all(ours[k].shape == theirs[k].shape and torch.equal(ours[k], theirs[k]) for k in ours)


def _moved(
    mixture: NoisyMixture, conditions: Sequence[Condition], z: Tensor, sigma: Tensor, share: float
) -> Tensor:
    """Return `share` of what the mixture denoises to, and the moves towards its classes, (B, D)."""
    left, scales = z.new_full((len(z), 1), share), []
    for c in conditions:
        scale = torch.as_tensor(c.scale, dtype=z.dtype, device=z.device).reshape(-1, 1)
        scales.append(scale)  # (B, 1) or (1, 1)
        left = left - scale
    mixed = bool(left.any())
    if mixed and len(sigma) == 1:
        parts = z.new_zeros(len(z), len(mixture.means))
        for c, scale in zip(conditions, scales, strict=True):
            parts.scatter_add_(1, c.target[:, None], scale.expand(len(z), 1))
        return mixture.denoise_mixed(z, sigma, left, parts)
    moved = torch.zeros_like(z)
    for c, scale in zip(conditions, scales, strict=True):
        moved += scale * mixture.denoise_as(z, sigma, c.target)
    return moved + left * mixture.denoise(z, sigma) if mixed else moved


def _gradient(conditions: Sequence[Condition], z: Tensor, sigma: Tensor) -> Tensor:
    """Gradient of the weighted log probabilities, (B, D)."""
    with torch.enable_grad():
        z_ = z.detach().requires_grad_(True)
        total = z_.new_zeros(())
        for c in conditions:
            log_probability = c.classifier(z_, sigma).gather(1, c.target[:, None])[:, 0]
            total = total + (c.scale * log_probability).sum()
        (gradient,) = torch.autograd.grad(total, z_)
    return gradient
