"""Whether a result will fit into memory, said before it is made."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

GROUP = Path("/sys/fs/cgroup")
"""Where Linux keeps the limits of a container, or of a job on a cluster."""


def available_memory() -> int | None:
    """Return how many bytes this process may still take, as far as the system says so."""
    found = []
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        found += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")]
    except OSError:
        found.append(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    try:
        limit, used = (int((GROUP / f"memory.{k}").read_text()) for k in ("max", "current"))
        found.append(max(limit - used, 0))
    except (OSError, ValueError):  # no such limit
        pass
    return min(found, default=None)


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
    if free is None or n_bytes <= free / 2:
        return
    told = f"{what} take about {_gb(n_bytes)}, and {_gb(free)} of memory are available. {way_out}"
    if n_bytes > free:
        raise ValueError(told)
    warnings.warn(told, UserWarning, stacklevel=4)


def _gb(n_bytes: float) -> str:
    return f"{n_bytes / 1e9:,.1f} GB" if n_bytes >= 1e8 else f"{n_bytes / 1e6:,.2g} MB"
