"""Integers under rounding noise: counts that were divided and multiplied are still counts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ROUNDINGS = 16
"""How many roundings of single precision, relative to the value, lie between a count and its
integer. Matrices of double precision have often been single before."""

HALF_ROUNDINGS = 4
"""The same for half precision."""

FLOOR = 1e-5
"""Least distance that is allowed: results of exp and log of values near 0 are not better."""

NOTHING = 1e-6
"""Largest value that may be the noise of a zero."""

TELLING = 0.1
"""Values whose allowed distance is larger say nothing about being integers."""


def not_integers(values: NDArray) -> NDArray[np.bool_]:
    """Which values are no integers, nor were before their own arithmetic rounded them."""
    if values.dtype.kind != "f":
        return np.zeros(values.shape, dtype=bool)
    whole = np.rint(values)
    distance = np.abs(values - whole)
    return np.where(whole == 0, np.abs(values) > NOTHING, distance > allowed(values))


def allowed(values: NDArray) -> NDArray:
    """Distance to an integer that arithmetic on these values may leave."""
    half = values.dtype == np.float16
    relative = (HALF_ROUNDINGS if half else ROUNDINGS) * np.finfo(
        np.float16 if half else np.float32
    ).eps
    return np.maximum(np.abs(values) * relative, relative if half else FLOOR)


def are_counts(X: NDArray) -> bool:
    """Whether all values are non-negative integers, but for rounding noise."""
    if X.dtype.kind == "b":
        return True
    if X.min() >= 0 and np.array_equal(X, np.rint(X)):
        return True
    if X.dtype.kind != "f" or X.min() < -NOTHING:
        return False
    some = X[: 1 + len(X) // 100]  # most other matrices end here
    if not_integers(some).any() or not_integers(X).any():
        return False
    whole = np.rint(X)
    return bool(((whole != 0) & (allowed(X) < TELLING)).any())


def rounded(X: NDArray) -> NDArray[np.float32]:
    """Return counts without their rounding noise."""
    values = np.ascontiguousarray(X, dtype=np.float32)
    return np.rint(values) + np.float32(0) if X.dtype.kind == "f" else values
