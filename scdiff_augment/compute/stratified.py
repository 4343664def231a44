"""Uniform numbers that cover their range evenly: Latin hypercubes, by arithmetic.

Cells drawn one by one deviate by chance from what their model says, each gene's mean in its own
direction, and a classifier that adds up thousands of genes learns that chance. So the cells of a
group are stratified: in each column their numbers fall into strata of equal width, one into
each ([1]_), at the same place of each. What is additive in the numbers then has next to no error
of sampling ([2]_), and each number by itself is still uniform.

Which cell has which stratum is a permutation of each column's own. For a prime p, i -> a i + b
(mod p) is one; a shuffled table, read from a place of each column's own, is put before it, since
lines alone leave too few permutations. That takes a third of the time of shuffling each column.

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
import torch
from numpy.typing import NDArray
from scipy.special import ndtri
from torch import Tensor

BELOW_1 = 1 - 2**-24
"""The largest number of single precision below 1."""

EXACT = 1024
"""Primes from which on quotients need double precision."""

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
    places = members(groups, shape[0])
    drawn = [_together(len(rows), shape[1], rng) for rows in places]
    order = torch.from_numpy(np.concatenate(places)) if len(places) > 1 else None
    numbers = torch.cat(drawn)
    if order is None or bool((order[1:] > order[:-1]).all()):
        return numbers.numpy()
    return numbers[order.argsort()].numpy()


def _together(n: int, columns: int, rng: np.random.Generator) -> Tensor:
    """Draw numbers at equal distances, shifted by chance and shuffled in each column."""
    shift = torch.from_numpy(rng.random(columns, dtype=np.float32))
    if n == 1:
        return shift[None]
    p = prime(n)
    return strata(n, p, columns, rng).add_(shift).div_(p).clamp_(max=BELOW_1)


def normals(
    groups: Groups, shape: tuple[int, int], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draw standard normal numbers, (cells, columns), stratified within each group and column."""
    middle = uniforms(groups, shape, rng) + rng.random(shape) * 2**-24 + 2**-60  # never 0
    return ndtri(middle).astype(np.float32)


def strata(n: int, p: int, columns: int, rng: np.random.Generator) -> Tensor:
    """Draw different whole numbers below p in each column, (n, columns).

    Parameters
    ----------
    n, p : int
        How many; a prime of at least n.
    columns : int
    rng : numpy.random.Generator
        Source of all randomness.
    """
    twice = np.tile(rng.permutation(p), 2).astype(np.float32 if p < EXACT else np.float64)
    starts, a, b = (rng.integers(least, p, columns) for least in (0, 1, 0))
    read = np.lib.stride_tricks.sliding_window_view(twice, n)[starts]  # (columns, n)
    a_, b_ = (torch.from_numpy(x.astype(twice.dtype)) for x in (a, b))
    return modulo(torch.from_numpy(read).t().contiguous().mul_(a_).add_(b_), p).float()


def modulo(values: Tensor, p: int) -> Tensor:
    """Return whole numbers up to p squared modulo p.

    Half a step keeps the quotients further from whole numbers than rounding errs.
    """
    return values.sub_((values + 0.5).div_(p).floor_(), alpha=p)


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
