"""The networks: shapes only, no losses, no loops.

Weights are drawn from the generator that is passed in, so building a network leaves the
global random state alone.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from .mixture import NoisyMixture


def linear(n_in: int, n_out: int, generator: torch.Generator) -> nn.Linear:
    """Build a linear layer with PyTorch's default initialisation, from `generator`."""
    layer = nn.utils.skip_init(nn.Linear, n_in, n_out)
    bound = 1 / math.sqrt(n_in)
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=generator)
        layer.bias.uniform_(-bound, bound, generator=generator)
    return layer


def zero_linear(n_in: int, n_out: int, bias: Tensor | None = None) -> nn.Linear:
    """Build a linear layer that starts as the constant `bias` (default 0)."""
    layer = nn.utils.skip_init(nn.Linear, n_in, n_out)
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.zero_() if bias is None else layer.bias.copy_(bias)
    return layer


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

    def __init__(self, width: int, generator: torch.Generator):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.first = linear(width, width, generator)
        self.noise = linear(width, 2 * width, generator)
        self.second = zero_linear(width, width)

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
        self, n_in: int, n_out: int, width: int, n_blocks: int, generator: torch.Generator
    ):
        super().__init__()
        self.embed = NoiseEmbedding(64)
        self.noise = linear(64, width, generator)
        self.enter = linear(n_in, width, generator)
        self.down = nn.ModuleList(NoiseBlock(width, generator) for _ in range(n_blocks // 2))
        self.middle = nn.ModuleList(NoiseBlock(width, generator) for _ in range(n_blocks % 2))
        self.up = nn.ModuleList(NoiseBlock(width, generator) for _ in range(n_blocks // 2))
        self.norm = nn.LayerNorm(width)
        self.leave = zero_linear(width, n_out)

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

    def forward(self, z: Tensor, sigma: Tensor) -> Tensor:
        sigma_ = sigma[:, None]  # (B, 1)
        with torch.no_grad():
            expected = self.mixture.denoise(z, sigma)  # (B, D)
        reach = sigma_ * self.scale / torch.sqrt(sigma_**2 + self.scale**2)
        return expected + reach * self.network(z / torch.sqrt(1 + sigma_**2), sigma)


class CountDecoder(nn.Module):
    """log proportions of the genes, given a latent; starts at the mean profile."""

    def __init__(self, n_latent: int, log_mean: Tensor, width: int, generator: torch.Generator):
        super().__init__()
        self.hidden = linear(n_latent, width, generator)
        self.genes = zero_linear(width, len(log_mean), log_mean)

    def forward(self, z: Tensor) -> Tensor:
        return torch.log_softmax(self.genes(silu(self.hidden(z))), dim=1)  # (B, genes)
