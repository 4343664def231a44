"""Draws of counts: most are zero, and found to be so by one comparison.

A count is Poisson around its expected value, or around that times a ratio drawn from its gene's
own (`count_noise`). Its probabilities follow from one another, p(0) = exp(-r) and
p(k+1) / p(k) = r / (k+1), so a uniform number is led upwards until their sum passes it. Three of
four entries of a single-cell matrix end at p(0). The numbers of a group of cells are stratified
(`compute.stratified`), so that their counts add up to what was expected.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from scdiff_augment.compute.stratified import Groups, uniforms
from scdiff_augment.streaming.block_sizes import ROWS

LARGE = 20.0
"""Expected counts from which on NumPy's own, independent draws take the place of many steps."""

TAIL = 1e-15
"""Probability of counts so large that none is distinguished from the next."""


def draw_counts(
    rates: NDArray[np.float32],
    ratios: NDArray[np.float32] | None,
    rng: np.random.Generator,
    groups: Groups = None,
) -> NDArray[np.float32]:
    """Draw counts of these expected values, (cells, genes).

    Parameters
    ----------
    rates : ndarray of shape (cells, genes)
        Expected counts.
    ratios : ndarray of shape (genes, levels) or None
        Equally likely ratios of each gene, of mean 1; at most 256. None draws Poisson counts.
    rng : numpy.random.Generator
        Source of all randomness.
    groups : ndarray of int, shape (cells,), optional
        Cells whose random numbers are stratified together; by default all are.
    """
    counts = np.zeros(rates.shape, dtype=np.float32)
    for start in range(0, len(rates), ROWS):
        rows = slice(start, start + ROWS)
        some = np.ascontiguousarray(rates[rows])
        together = None if groups is None else groups[rows]
        if ratios is not None:
            some = some * _ratios_of(ratios, uniforms(together, some.shape, rng))
        _draw(some, uniforms(together, some.shape, rng), rng, counts[rows].reshape(-1))
    return counts


def _ratios_of(ratios: NDArray[np.float32], uniform: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return one of its gene's ratios for each entry, (cells, genes)."""
    n_genes, levels = ratios.shape
    places = torch.from_numpy(uniform).mul_(levels).int()
    places.add_(torch.arange(n_genes, dtype=torch.int32) * levels)
    found = torch.from_numpy(ratios).view(-1).index_select(0, places.view(-1))
    return found.view(uniform.shape).numpy()


def _draw(
    rates: NDArray[np.float32],
    uniform: NDArray[np.float32],
    rng: np.random.Generator,
    counts: NDArray[np.float32],
) -> None:
    """Write the counts of some cells, cell by cell, where they are not 0."""
    jump = rates > LARGE
    none = torch.from_numpy(rates).neg().exp_().numpy()
    candidates = np.flatnonzero((uniform >= none) | jump)
    r = rates.reshape(-1)[candidates].astype(np.float64)
    u = uniform.reshape(-1)[candidates] + rng.random(len(r)) * 2**-24  # single precision, refined
    large = jump.reshape(-1)[candidates]
    few, many = np.flatnonzero(~large), np.flatnonzero(large)
    counts[candidates[few]] = _climb(u[few], r[few])
    counts[candidates[many]] = rng.poisson(r[many])


def _climb(u: NDArray, r: NDArray) -> NDArray[np.float32]:
    """Return the least count from 1 on whose cumulative probability passes `u`, (entries,)."""
    found = np.ones(len(u), dtype=np.float32)
    probability = np.exp(-r)
    left = u - probability - probability * r
    probability *= r
    rows, k = np.arange(len(u)), 1
    while len(above := np.flatnonzero((left > TAIL) & (probability > 0))):
        rows, left, probability, r = rows[above], left[above], probability[above], r[above]
        probability *= r / (k + 1)
        left -= probability
        k += 1
        found[rows] = k
    return found
