"""Counts behind values: in each cell, linear values are integers times one number of its own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

INTEGER_TOLERANCE = 0.05
"""How far from an integer a recovered count may lie."""

INTEGER_FRACTION = 0.99
"""The share of non-zero entries that must be near-integer for counts to be recovered."""

MULTIPLES = range(2, 6)
"""What a cell's least count may be, besides 1."""


def near_integer(values: NDArray) -> NDArray[np.bool_]:
    """Which values lie as near to an integer as recovered counts do."""
    return np.abs(values - np.rint(values)) < INTEGER_TOLERANCE


def counts_of(linear: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Candidate counts of each row, not yet rounded, and the value of one count.

    A cell's smallest positive value is taken for one count; where that gives no integers, for two
    to five counts, whichever comes first.
    """
    smallest = np.min(linear, axis=1, where=linear > 0, initial=np.inf)
    smallest[~np.isfinite(smallest)] = 1.0  # cells of zeros
    ratios = linear / smallest[:, None]
    multiple = np.ones(len(linear))
    for candidate in MULTIPLES:
        open_rows = np.flatnonzero(~near_integer(ratios * multiple[:, None]).all(axis=1))
        fits = near_integer(ratios[open_rows] * candidate).all(axis=1)
        multiple[open_rows[fits]] = candidate
    return ratios * multiple[:, None], smallest / multiple


def shared_total(totals: NDArray[np.float64]) -> float | None:
    """Sum that all cells share, if they do."""
    shared = totals.size > 0 and np.ptp(totals) < 1e-2 * totals.mean()
    return float(np.median(totals)) if shared else None
