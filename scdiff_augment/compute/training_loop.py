"""One training loop for every network. It yields, the caller logs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw
from torch.optim.swa_utils import get_ema_multi_avg_fn

from .processes import current


def training_steps(
    model: nn.Module,
    loss: Callable[[nn.Module], Tensor],
    *,
    n_steps: int,
    learning_rate: float,
    weight_decay: float = 0.0,
    ema_decay: float | None = None,
) -> Iterator[float]:
    """Minimise `loss(model)` with AdamW under a one-cycle schedule; yield each step's loss.

    With `ema_decay`, the model ends as the exponential moving average of its weights. AdamW is
    called in its functional form: the optimiser class imports the compiler, which takes longer
    than training on a small data set. Several processes train together within `team.distributed`.
    """
    if n_steps == 0:
        return
    together = current()
    together.take(model)
    parameters: list[Tensor] = list(model.parameters())
    first = [torch.zeros_like(p) for p in parameters]
    second = [torch.zeros_like(p) for p in parameters]
    counts = [torch.zeros((), device=p.device) for p in parameters]
    averages = [p.detach().clone() for p in parameters] if ema_decay is not None else []
    update = get_ema_multi_avg_fn(ema_decay) if ema_decay is not None else None
    for step in range(n_steps):
        value = loss(model)
        gradients, value = together.average(torch.autograd.grad(value, parameters), value.detach())
        with torch.no_grad():
            adamw(
                parameters,
                list(gradients),
                first,
                second,
                [],
                counts,
                fused=True,
                amsgrad=False,
                beta1=0.9,
                beta2=0.999,
                lr=one_cycle(step, n_steps, learning_rate),
                weight_decay=weight_decay,
                eps=1e-8,
                maximize=False,
            )
        if update is not None:
            update(averages, parameters, step)
        yield float(value)
    with torch.no_grad():
        for parameter, average in zip(parameters, averages, strict=False):
            parameter.copy_(average)
    together.give_back(model)


def steps_for(
    n_steps: int | str, n_cells: int, batch_size: int, epochs: int, least: int, most: int
) -> int:
    """Return training steps; "auto" shows each cell `epochs` times, in `least` to `most` steps.

    Where there are few cells, longer training follows the noise of single ones.
    """
    if not isinstance(n_steps, str):
        return n_steps
    return max(least, min(most, epochs * n_cells // batch_size))


def one_cycle(step: int, n_steps: int, peak: float) -> float:
    """Learning rate that rises over 30 % of the steps from peak / 25, then falls to almost 0.

    Smith and Topin 2018, arXiv:1708.07120, with cosine ramps.
    """
    turn = 0.3 * n_steps - 1
    if step <= turn:
        start, end, share = peak / 25, peak, step / turn if turn else 1.0
    else:
        start, end, share = peak, peak / 25e4, (step - turn) / (n_steps - 1 - turn)
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))
