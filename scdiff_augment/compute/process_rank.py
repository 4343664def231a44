"""Which of several processes this one is, by its environment."""

from __future__ import annotations

import os

RANKS = ("RANK", "SLURM_PROCID", "NODE_RANK", "GROUP_RANK", "LOCAL_RANK")
"""Variables of torchrun, SLURM and Lightning that are 0 in the first process."""


def is_leader() -> bool:
    """Whether this process is the one that writes results."""
    return all(os.environ.get(name, "0") == "0" for name in RANKS)
