"""The networks: shapes only, no losses, no loops.

Weights are drawn from the generator that is passed in, so building a network leaves the
global random state alone.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from scdiff_augment.compute.layers import Linear, State

from .mixture import NoisyMixture


class NoiseEmbedding(nn.Module):
    """Sine and cosine features of log sigma."""

    frequencies: Tensor

    def __init__(self, width: int):
        super().__init__()
        self.register_buffer("frequencies", torch.logspace(-1, 1, width // 2))

    def forward(self, sigma: Tensor) -> Tensor:
        angle = sigma.log()[:, None] * self.frequencies  # (B, width / 2)
        return torch.cat([angle.sin(), angle.cos()], dim=1)  # (B, width)


class NoiseBlock(nn.Module):
    """Residual block whose hidden units are shifted and scaled by the noise level."""

    def __init__(self, width: int, generator: torch.Generator | None):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.first = Linear(width, width, generator)
        self.noise = Linear(width, 2 * width, generator)
        self.second = Linear(width, width)

    def forward(self, h: Tensor, noise: Tensor) -> Tensor:
        shift, scale = self.noise(noise).chunk(2, dim=1)  # (B, width) each
        inner = self.first(self.norm(h)) * (1 + scale) + shift
        return h + self.second(silu(inner))


class NoiseMLP(nn.Module):
    """Skip-connected MLP of (latent, noise level): down blocks feed their mirror images.

    The latent enters once; block ``i`` of the second half receives the output of block ``i`` of
    the first half, counted from the middle, as in a U-Net without a change of width.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        width: int,
        n_blocks: int,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        self.embed = NoiseEmbedding(64)
        self.noise = Linear(64, width, generator)
        self.enter = Linear(n_in, width, generator)
        self.down = nn.ModuleList(NoiseBlock(width, generator) for _ in range(n_blocks // 2))
        self.middle = nn.ModuleList(NoiseBlock(width, generator) for _ in range(n_blocks % 2))
        self.up = nn.ModuleList(NoiseBlock(width, generator) for _ in range(n_blocks // 2))
        self.norm = nn.LayerNorm(width)
        self.leave = Linear(width, n_out)

    @property
    def shape(self) -> dict[str, int]:
        """Arguments that build a network of this shape."""
        return {
            "n_in": self.enter.weight.shape[1],
            "n_out": self.leave.weight.shape[0],
            "width": self.enter.weight.shape[0],
            "n_blocks": 2 * len(self.down) + len(self.middle),
        }

    def forward(self, z: Tensor, sigma: Tensor) -> Tensor:
        noise = silu(self.noise(self.embed(sigma)))  # (B, width)
        h = self.enter(z)
        skips = []
        for block in self.down:
            h = block(h, noise)
            skips.append(h)
        for block in self.middle:
            h = block(h, noise)
        for block in self.up:
            h = block((h + skips.pop()) * math.sqrt(0.5), noise)
        return self.leave(silu(self.norm(h)))  # (B, n_out)


class Denoiser(nn.Module):
    """Estimate of the clean latent: a mixture's exact denoiser, corrected by a network.

    The network's output is scaled as in Karras et al. 2022 (table 1), dimension by dimension, so
    that it is asked for values of order one at every noise level. Before training the denoiser is
    the mixture's.

    Parameters
    ----------
    mixture : NoisyMixture
        A first description of the latents.
    scale : Tensor of shape (n_latent,)
        Standard deviation of the latents within components.
    network : NoiseMLP
        The correction.
    """

    scale: Tensor

    def __init__(self, mixture: NoisyMixture, scale: Tensor, network: NoiseMLP):
        super().__init__()
        self.mixture = mixture
        self.register_buffer("scale", scale)
        self.network = network

    def forward(self, z: Tensor, sigma: Tensor, expected: Tensor | None = None) -> Tensor:
        """Denoised latents, (B, D); `expected` may take the place of the mixture's own estimate."""
        sigma_ = sigma[:, None]  # (B, 1) or (1, 1)
        if expected is None:
            with torch.no_grad():
                expected = self.mixture.denoise(z, sigma)  # (B, D)
        reach = sigma_ * self.scale / torch.sqrt(sigma_**2 + self.scale**2)
        return expected + reach * self.network(z / torch.sqrt(1 + sigma_**2), sigma)

    def to_state(self) -> State:
        """Return what storage keeps."""
        return {"network": self.network.shape}, self.state_dict()

    @classmethod
    def from_state(cls, meta: dict[str, Any], tensors: dict[str, Tensor]) -> Denoiser:
        """Build the denoiser that `to_state` described."""
        mixture = NoisyMixture.blank(*tensors["mixture.means"].shape)
        denoiser = cls(mixture, tensors["scale"], NoiseMLP(**meta["network"]))
        denoiser.load_state_dict(tensors)
        return denoiser.eval()
