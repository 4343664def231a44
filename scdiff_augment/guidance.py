"""Condition classifiers, and steering a denoiser by their gradients.

A condition is learnt apart from the denoiser, from latents and labels alone, so new conditions
never touch the denoiser. Its classifier reads noisy latents and knows their noise level:
``grad log p(target | z, sigma)`` is then the exact correction that turns the score of all cells
into the score of the target's cells (Dhariwal and Nichol 2021, arXiv:2105.05233, §4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .diffusion import Model
from .mixture import NoisyMixture
from .networks import NoiseMLP


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
    """

    def __init__(self, mixture: NoisyMixture, network: NoiseMLP | None = None):
        super().__init__()
        self.mixture = mixture
        self.network = network

    def forward(self, z: Tensor, sigma: Tensor) -> Tensor:
        """Log probabilities of the classes, (B, K)."""
        logits = self.mixture.log_joint(z, sigma)
        if self.network is not None:
            logits = logits + self.network(z / torch.sqrt(1 + sigma**2)[:, None], sigma)
        return torch.log_softmax(logits, dim=1)


@dataclass(frozen=True)
class Condition:
    """One class to steer towards.

    Attributes
    ----------
    classifier : LatentClassifier or callable ``(z, sigma) -> log probabilities``
    target : Tensor of shape (B,)
        Index of the wanted class for each cell.
    scale : float
        Weight of the gradient; 1 is Bayes' rule, more sharpens the class.
    """

    classifier: Model
    target: Tensor
    scale: float = 1.0


def guide(model: Model, conditions: Sequence[Condition]) -> Model:
    """Wrap a denoiser so that it also follows the conditions' gradients.

    By Tweedie's formula a score correction ``g`` moves the denoised latent by ``sigma² g``;
    the gradients of several conditions add up.
    """
    if not conditions:
        return model

    def guided(z: Tensor, sigma: Tensor) -> Tensor:
        with torch.enable_grad():
            z_ = z.detach().requires_grad_(True)
            total = z_.new_zeros(())
            for c in conditions:
                total = total + c.scale * c.classifier(z_, sigma).gather(1, c.target[:, None]).sum()
            (gradient,) = torch.autograd.grad(total, z_)  # (B, D)
        return model(z, sigma) + sigma[:, None] ** 2 * gradient

    return guided
