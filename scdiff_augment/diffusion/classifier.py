"""A classifier of noisy latents: log p(class | z, sigma).

It reads noisy latents and knows their noise level: ``grad log p(target | z, sigma)`` is then the
exact correction that turns the score of all cells into the score of the target's cells (Dhariwal
and Nichol 2021, arXiv:2105.05233, section 4).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from scdiff_augment.compute.layers import State

from .denoiser import NoiseMLP
from .mixture import NoisyMixture


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

    def to_state(self) -> State:
        """Return what storage keeps."""
        return {"network": None if self.network is None else self.network.shape}, self.state_dict()

    @classmethod
    def from_state(cls, meta: dict[str, Any], tensors: dict[str, Tensor]) -> LatentClassifier:
        """Build the classifier that `to_state` described."""
        mixture = NoisyMixture.blank(*tensors["mixture.means"].shape)
        network = None if meta["network"] is None else NoiseMLP(**meta["network"])
        classifier = cls(mixture, network)
        classifier.load_state_dict(tensors)
        return classifier.eval()
