"""The processes that train one model together; by default there is one, and nothing is asked.

All of them draw the same batches from the same seed, and each computes the gradient of its own
share of the rows. The mean of the gradients is that of the whole batch, so the number of processes
changes the time that training takes, and its result only by rounding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from .process_rank import is_leader

__all__ = ["current", "distributed", "is_leader", "on_device", "share"]


class Alone:
    """One process, on the CPU."""

    def take(self, model: nn.Module) -> None:
        """Bring a model to where it is trained."""

    def give_back(self, model: nn.Module) -> None:
        """Bring a trained model to the CPU."""

    def share(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        """Rows of a batch that are this process's to compute."""
        return tensors

    def average(self, gradients: Sequence[Tensor], loss: Tensor) -> tuple[Sequence[Tensor], Tensor]:
        """Mean of gradients and loss over the processes."""
        return gradients, loss


class Elsewhere(Alone):
    """One process, on another device than the CPU."""

    def __init__(self, device: torch.device):
        self._device = device

    def take(self, model: nn.Module) -> None:
        """Bring a model to the device."""
        model.to(self._device)

    def give_back(self, model: nn.Module) -> None:
        """Bring a trained model to the CPU."""
        model.to("cpu")

    def share(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        """Bring the rows of a batch to the device."""
        return [tensor.to(self._device) for tensor in tensors]


class Together(Alone):
    """One of several processes, or one on an accelerator.

    Parameters
    ----------
    fabric : lightning_fabric.Fabric
        Launched.
    """

    def __init__(self, fabric: Any):
        self._fabric = fabric

    def take(self, model: nn.Module) -> None:
        """Bring a model to this process's device; all must begin with the same weights.

        Raises
        ------
        ValueError
            If they do not.
        """
        model.to(self._fabric.device)
        own = sum(p.detach().abs().sum(dtype=torch.float32) for p in model.parameters())
        mean = self._fabric.all_reduce(own.clone(), reduce_op="mean")  # type: ignore[union-attr]
        if not torch.isclose(own, mean, rtol=1e-5):  # type: ignore[arg-type]
            raise ValueError(
                "the processes that train together began with different weights. Give the model a "
                "whole number as random_state, and all of them the same cells."
            )

    def give_back(self, model: nn.Module) -> None:
        """Bring a trained model to the CPU."""
        model.to("cpu")

    def share(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        """Rows of a batch that are this process's to compute, on its device."""
        size, rank = self._fabric.world_size, self._fabric.global_rank
        if len(tensors[0]) >= size:
            tensors = [tensor[rank::size] for tensor in tensors]
        return [tensor.to(self._fabric.device) for tensor in tensors]

    def average(self, gradients: Sequence[Tensor], loss: Tensor) -> tuple[Sequence[Tensor], Tensor]:
        """Mean of gradients and loss over the processes, in one message."""
        if self._fabric.world_size == 1:
            return gradients, loss
        flat = torch.cat([loss.reshape(1), *(g.reshape(-1) for g in gradients)])
        flat = self._fabric.all_reduce(flat, reduce_op="mean")
        parts = flat[1:].split([g.numel() for g in gradients])
        return [p.view_as(g) for p, g in zip(parts, gradients, strict=True)], flat[0]


_team: ContextVar[Alone] = ContextVar("team", default=Alone())  # noqa: B039  it has no state


def current() -> Alone:
    """Who trains here."""
    return _team.get()


def share(*tensors: Tensor) -> Sequence[Tensor]:
    """Rows of a batch that are this process's to compute, where it computes them."""
    return _team.get().share(tensors)


@contextmanager
def on_device(device: torch.device) -> Iterator[None]:
    """Train the models within on a device; in a team that is there already, where the team does."""
    if device.type == "cpu" or type(current()) is not Alone:
        yield
        return
    token = _team.set(Elsewhere(device))
    try:
        yield
    finally:
        _team.reset(token)


@contextmanager
def distributed(
    devices: int | str = 1, nodes: int = 1, accelerator: str = "auto"
) -> Iterator[None]:
    """Train the models that are fitted within on several devices, under Lightning Fabric (DDP).

    With more than one device on a machine, this script is started once for each of them, with the
    same arguments; on several machines, start it on each, with ``NODE_RANK``, ``MASTER_ADDR`` and
    ``MASTER_PORT`` set, or under SLURM or torchrun. All processes end with the same model; let the
    one write it in which `is_leader` is true.

    Parameters
    ----------
    devices : int or "auto", default=1
        GPUs, or processes where there are none, of each machine.
    nodes : int, default=1
        Machines.
    accelerator : {"auto", "cpu", "cuda", "mps"}, default="auto"
        What is computed on; "auto" takes GPUs where there are any.

    Raises
    ------
    ValueError
        If Lightning Fabric is not installed.
    """
    if find_spec("lightning_fabric") is None:
        raise ValueError(
            "training on several devices needs a package that is not installed. Install it with: "
            "pip install 'scdiff-augment[fabric]'."
        )
    from lightning_fabric import Fabric

    alone = devices == 1 and nodes == 1
    fabric = Fabric(
        accelerator=accelerator,
        devices=devices,
        num_nodes=nodes,
        strategy="auto" if alone else "ddp",
    )
    fabric.launch()
    token = _team.set(Together(fabric))
    try:
        yield
    finally:
        _team.reset(token)
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
