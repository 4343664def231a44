"""The networks of the codec: shapes only, no losses, no loops."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from scdiff_augment.compute.layers import Linear


class CountEncoder(nn.Module):
    """MLP from log1p values to a latent; LayerNorm, so that a cell's latent is its own affair.

    The genes' means are taken off first: what all cells share would drown what distinguishes them.
    """

    mean: Tensor

    def __init__(
        self,
        n_genes: int,
        hidden: Sequence[int],
        n_latent: int,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        sizes = [n_genes, *hidden]
        self.register_buffer("mean", torch.zeros(n_genes))
        self.layers = nn.ModuleList(Linear(a, b, generator) for a, b in pairwise(sizes))
        self.norms = nn.ModuleList(nn.LayerNorm(b) for b in hidden)
        self.leave = Linear(sizes[-1], n_latent, generator)

    def forward(self, features: Tensor) -> Tensor:
        h = features - self.mean
        for layer, norm in zip(self.layers, self.norms, strict=True):
            h = silu(norm(layer(h)))
        return self.leave(h)  # (B, n_latent)


class CountDecoder(nn.Module):
    """log proportions of the genes, given a latent; starts at the mean profile."""

    def __init__(
        self,
        n_latent: int,
        log_mean: Tensor,
        hidden: Sequence[int],
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        self.widths = tuple(hidden)
        sizes = [n_latent, *hidden]
        self.layers = nn.ModuleList(Linear(a, b, generator) for a, b in pairwise(sizes))
        self.genes = Linear(sizes[-1], len(log_mean), bias=log_mean)

    def forward(self, z: Tensor, shift: Tensor | None = None) -> Tensor:
        """Log proportions, (B, genes); `shift` (B, genes) adds to the logits."""
        logits = self.genes(self.hidden(z))
        return torch.log_softmax(logits if shift is None else logits.add_(shift), dim=1)

    def hidden(self, z: Tensor) -> Tensor:
        """Units of the last hidden layer, (B, units)."""
        for layer in self.layers:
            z = silu(layer(z))
        return z
