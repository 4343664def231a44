"""Condition classifiers, and steering a denoiser by their gradients.

A condition is learnt apart from the denoiser, from latents and labels alone, so new conditions
never touch the denoiser. Its classifier reads noisy latents and knows their noise level:
``grad log p(target | z, sigma)`` is then the exact correction that turns the score of all cells
into the score of the target's cells (Dhariwal and Nichol 2021, arXiv:2105.05233, §4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from scdiff_augment.conditions.effects import Effects

from .denoiser import Denoiser, NoiseMLP, State
from .mixture import NoisyMixture
from .samplers import Model


class LatentClassifier(nn.Module):
    """Log p(class | z, sigma): Gaussian class densities, corrected by a network.

    Where each class is Gaussian in the latent, its noisy density and gradient are known exactly.
    The network (zero before training) learns what this misses. With ten cells a class the closed
    form carries nearly all of the gradient; with thousands the network may bend it.

    Parameters
    ----------
    mixture : NoisyMixture
        One component per class.
    network : NoiseMLP, optional
        Adds to the classes' log densities.
    effects : Effects, optional
        What the classes change within the groups of another condition.
    """

    def __init__(
        self,
        mixture: NoisyMixture,
        network: NoiseMLP | None = None,
        effects: Effects | None = None,
    ):
        super().__init__()
        self.mixture = mixture
        self.network = network
        self.effects = effects

    def forward(self, z: Tensor, sigma: Tensor) -> Tensor:
        """Log probabilities of the classes, (B, K)."""
        logits = self.mixture.log_joint(z, sigma)
        if self.network is not None:
            logits = logits + self.network(z / torch.sqrt(1 + sigma**2)[:, None], sigma)
        return torch.log_softmax(logits, dim=1)

    def to_state(self) -> State:
        """Return what storage keeps."""
        shape = None if self.network is None else self.network.shape
        within = None if self.effects is None else self.effects.within
        return {"network": shape, "within": within}, self.state_dict()

    @classmethod
    def from_state(cls, meta: dict[str, Any], tensors: dict[str, Tensor]) -> LatentClassifier:
        """Build the classifier that `to_state` described."""
        mixture = NoisyMixture.blank(*tensors["mixture.means"].shape)
        network = None if meta["network"] is None else NoiseMLP(**meta["network"])
        effects = None
        if meta["within"] is not None:
            effects = Effects.blank(meta["within"], tuple(tensors["effects.shift"].shape))
        classifier = cls(mixture, network, effects)
        classifier.load_state_dict(tensors)
        return classifier.eval()


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
    left = z.new_full((len(z), 1), share)
    moved = torch.zeros_like(z)
    for c in conditions:
        scale = torch.as_tensor(c.scale, dtype=z.dtype, device=z.device).reshape(
            -1, 1
        )  # (B, 1) or (1, 1)
        moved += scale * mixture.denoise_as(z, sigma, c.target)
        left = left - scale
    return moved if not left.any() else moved + left * mixture.denoise(z, sigma)


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
