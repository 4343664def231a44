"""Several workers for one command: a Dask cluster to sample, several devices to train."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from .terminal import Terminal

SEED = "SCDIFF_AUGMENT_SEED"
"""Environment variable that passes a random seed from the first training process to the others."""


@contextmanager
def cluster(scheduler: str | None) -> Iterator[Any]:
    """Connect to the Dask cluster at this address; yield None without an address."""
    if scheduler is None:
        yield None
        return
    from scdiff_augment.streaming.dask_cluster import connected

    with connected(scheduler) as client:
        yield client


def training_processes(devices: int, nodes: int, accelerator: str | None) -> Any:
    """Context in which training runs on several devices; does nothing for a single one."""
    if devices == nodes == 1:
        return nullcontext()
    from scdiff_augment.compute.processes import distributed

    return distributed(devices, nodes, accelerator or "auto")


def shared_seed(seed: int | None, devices: int, nodes: int, terminal: Terminal) -> int:
    """Return the seed, or a random one that all training processes of this machine share.

    Raises
    ------
    ValueError
        If several machines would have to share a random seed.
    """
    if seed is None and nodes > 1:
        raise ValueError(
            "--nodes needs --seed, because all machines must use the same one. Add, for example, "
            "--seed 0 to the command on each machine."
        )
    if seed is None and devices > 1:
        os.environ.setdefault(SEED, str(secrets.randbelow(2**31)))
        seed = int(os.environ[SEED])
        terminal.say(f"seed {seed}")
    return terminal.seed(seed)
