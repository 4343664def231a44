"""One training loop for every network. It yields, the caller logs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


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

    With `ema_decay`, the model ends as the exponential moving average of its weights.
    """
    if n_steps == 0:
        return
    parameters = list(model.parameters())
    optimiser = torch.optim.AdamW(
        parameters, lr=learning_rate, weight_decay=weight_decay, fused=True
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=learning_rate, total_steps=n_steps
    )
    averages = [p.detach().clone() for p in parameters] if ema_decay is not None else []
    update = get_ema_multi_avg_fn(ema_decay) if ema_decay is not None else None
    for step in range(n_steps):
        value = loss(model)
        value.backward()
        optimiser.step()
        optimiser.zero_grad()
        schedule.step()
        if update is not None:
            update(averages, parameters, step)
        yield float(value.detach())
    with torch.no_grad():
        for parameter, average in zip(parameters, averages, strict=False):
            parameter.copy_(average)


@contextmanager
def bounded_threads(n_threads: int) -> Iterator[None]:
    """Run with this many threads in torch and BLAS, then restore what was set before.

    Many small matrix products on oversubscribed cores run ten times slower than on one.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        with threadpool_limits(n_threads):
            yield
    finally:
        torch.set_num_threads(before)
