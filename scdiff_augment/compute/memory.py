"""Whether a result will fit into memory, said before it is made."""

from __future__ import annotations

import warnings
from pathlib import Path

import psutil

GROUP = Path("/sys/fs/cgroup")
"""Where Linux keeps the limits of a container, or of a job on a cluster."""


def available_memory() -> int:
    """Return how many bytes this process may still take."""
    free = int(psutil.virtual_memory().available)
    try:
        limit, used = (int((GROUP / f"memory.{k}").read_text()) for k in ("max", "current"))
    except (OSError, ValueError):  # no such limit
        return free
    return min(free, max(limit - used, 0))


def require_room(n_bytes: float, what: str, way_out: str) -> None:
    """Refuse what will not fit; warn of what takes more than half of what is available.

    Parameters
    ----------
    n_bytes : float
        What it will take.
    what : str
        What that is, in the plural.
    way_out : str
        A sentence on what to do about it.

    Raises
    ------
    ValueError
        If it is more than is available.
    """
    free = available_memory()
    if n_bytes <= free / 2:
        return
    told = f"{what} take about {_gb(n_bytes)}, and {_gb(free)} of memory are available. {way_out}"
    if n_bytes > free:
        raise ValueError(told)
    warnings.warn(told, UserWarning, stacklevel=4)


def _gb(n_bytes: float) -> str:
    return f"{n_bytes / 1e9:,.1f} GB" if n_bytes >= 1e8 else f"{n_bytes / 1e6:,.2g} MB"
