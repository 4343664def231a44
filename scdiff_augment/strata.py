"""Uniform numbers that cover their range evenly: Latin hypercubes, by arithmetic.

Cells drawn one by one stray by chance from what their model says, each gene's mean in its own
direction, and a classifier that adds up thousands of genes learns that chance. So the cells of a
group are drawn together: in each column their numbers fall into strata of equal width, one into
each ([1]_). What is additive in the numbers then has next to no error of sampling ([2]_), and each
number by itself is still uniform.

Which cell has which stratum is a permutation of each column's own. For a prime p, i -> a i + b
(mod p) is one, and takes a tenth of the time of shuffling.

References
----------
.. [1] McKay, Beckman & Conover 1979, A comparison of three methods for selecting values of input
   variables in the analysis of output from a computer code, Technometrics 21(2), 239-245.
.. [2] Stein 1987, Large sample properties of simulations using Latin hypercube sampling,
   Technometrics 29(2), 143-151.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

BELOW_1 = np.float32(1 - 2**-24)
"""The largest number of single precision below 1."""

Groups = NDArray[np.int64] | None
"""Group of each cell, (cells,); None: all cells are one."""


def uniforms(
    groups: Groups, shape: tuple[int, int], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draw numbers in [0, 1), (cells, columns), stratified within each group and column.

    Parameters
    ----------
    groups : ndarray of int, shape (cells,), or None
    shape : (cells, columns)
    rng : numpy.random.Generator
        Source of all randomness.
    """
    numbers = rng.random(shape, dtype=np.float32)
    for rows in members(groups, shape[0]):
        if (n := len(rows)) > 1:
            p = prime(n)
            a, b = rng.integers(1, p, shape[1]), rng.integers(p, size=shape[1])
            numbers[rows] = np.minimum((strata(n, p, a, b) + numbers[rows]) / p, BELOW_1)
    return numbers


def normals(
    groups: Groups, shape: tuple[int, int], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draw standard normal numbers, (cells, columns), stratified within each group and column."""
    middle = uniforms(groups, shape, rng) + rng.random(shape) * 2**-24 + 2**-60  # never 0
    return ndtri(middle).astype(np.float32)


def strata(n: int, p: int, a: NDArray, b: NDArray) -> NDArray[np.float32]:
    """Return a i + b (mod p) for i up to n, (n, columns); p is prime, and n at most p.

    Whole numbers below 2^24 are exact in single precision, and half a step keeps the quotient away
    from whole ones.
    """
    kind = np.float32 if n * p < 2**23 else np.float64
    value = np.arange(n, dtype=kind)[:, None] * a.astype(kind) + b.astype(kind)
    times = np.floor((value + kind(0.5)) / kind(p))
    return (value - times * kind(p)).astype(np.float32, copy=False)


def members(groups: Groups, n: int) -> list[NDArray[np.intp]]:
    """Return the places of each group's cells."""
    if groups is None:
        return [np.arange(n)]
    order = np.argsort(groups, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)


@cache
def prime(least: int) -> int:
    """Return the smallest prime of at least this size."""
    while any(least % k == 0 for k in range(2, int(least**0.5) + 1)):
        least += 1
    return least
