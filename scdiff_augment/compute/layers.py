"""A linear layer whose weights come from a generator of one's own, and what storage keeps of parts.

Weights are drawn from the generator that is passed in, so building a network leaves the global
random state alone.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

State = tuple[dict[str, Any], dict[str, Tensor]]
"""What storage needs of a part: plain values, and tensors."""


class Linear(nn.Module):
    """Linear layer that starts as the constant `bias`, or at random from `generator`.

    The random start is PyTorch's own, uniform within 1 / sqrt(n_in).
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        generator: torch.Generator | None = None,
        bias: Tensor | None = None,
    ):
        super().__init__()
        weight, bias = torch.zeros(n_out, n_in), torch.zeros(n_out) if bias is None else bias
        if generator is not None:
            bound = 1 / math.sqrt(n_in)
            weight.uniform_(-bound, bound, generator=generator)
            bias.uniform_(-bound, bound, generator=generator)
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    def forward(self, h: Tensor) -> Tensor:
        return torch.nn.functional.linear(h, self.weight, self.bias)


def within(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names start with `prefix`, without it."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
