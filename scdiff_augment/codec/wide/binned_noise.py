"""The noise of counts (`codec.count_noise`) from entries that are alike, counted once.

Of a wide matrix most entries are 0, and what a 0 says depends on its expected value alone. So the
entries of a gene are put into bins of one count and of expected values within a tenth of their
mean, which stands for all of them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from scdiff_augment.codec.count_noise import (
    PRIOR_CELLS,
    ROUNDS,
    gamma_weights,
    possible,
    ratio_likelihood,
)
from scdiff_augment.codec.dispersion import GRID, shrunken_peak

BINS = 48
"""Of expected values, from a gene's largest downwards; the last holds all that are lower."""

WIDTH = 0.25 * np.log(2.0)
"""Of a bin, in logarithms."""

GENES = 64
"""Genes at a time, of as many bins as the fullest of them."""

ROWS = 64
"""Cells at a time."""


class Bins(NamedTuple):
    """Entries that are alike, in the order of their genes, (bins,) each.

    Attributes
    ----------
    gene, value : ndarray of int
        Gene, and count of each of the entries.
    rate : ndarray
        Mean expected value.
    size : ndarray
        How many entries there are.
    n_genes, n_cells : int
        Of the matrix.
    """

    gene: NDArray[np.intp]
    value: NDArray[np.intp]
    rate: NDArray[np.float64]
    size: NDArray[np.float64]
    n_genes: int
    n_cells: int


def binned_weights(counts: NDArray, rates: NDArray) -> NDArray[np.float32]:
    """Learn how likely each ratio is in each gene, as `count_noise.ratio_weights` does.

    Parameters
    ----------
    counts, rates : ndarray of shape (cells, genes)
        Counts, and what was expected of them.

    Returns
    -------
    ndarray of shape (genes, ratios)
    """
    bins = binned(counts, rates)
    dispersion = shrunken_peak(binned_profile(bins), rates.mean(axis=0), bins.n_cells)
    prior = gamma_weights(dispersion)
    ends = np.searchsorted(bins.gene, np.arange(bins.n_genes + 1))
    order = np.argsort(np.diff(ends), kind="stable")
    found = np.empty(prior.shape, dtype=np.float32)
    for first in range(0, bins.n_genes, GENES):
        genes = order[first : first + GENES]
        starts, lengths = ends[genes], ends[genes + 1] - ends[genes]
        places = starts[:, None] + np.arange(lengths.max())
        there = np.arange(lengths.max()) < lengths[:, None]
        places[~there] = 0
        size = np.where(there, bins.size[places], 0.0).astype(np.float32)
        likelihood = ratio_likelihood(bins.value[places].astype(np.float32), bins.rate[places])
        found[genes] = _by_likelihood(likelihood, size, prior[genes], bins.n_cells)
    return found


def binned(counts: NDArray, rates: NDArray) -> Bins:
    """Put the entries of a matrix into bins."""
    n_cells, n_genes = counts.shape
    top = np.log(np.maximum(rates.max(axis=0), 1e-8)).astype(np.float32)
    totals = np.zeros((2, n_genes * BINS))
    offset = np.arange(n_genes, dtype=np.int32) * BINS
    positive = []
    for start in range(0, n_cells, ROWS):
        rows = slice(start, start + ROWS)
        expected = np.maximum(rates[rows], np.float32(1e-8))
        level = (top - np.log(expected)) * np.float32(1 / WIDTH)
        place = np.clip(level, 0, BINS - 1).astype(np.int32)
        place += offset
        found = np.flatnonzero(counts[rows])
        seen, mine = place.ravel()[found], expected.ravel()[found].astype(np.float64)
        positive.append((seen, counts[rows].ravel()[found].astype(np.intp), mine))
        place, expected = place.ravel(), expected.ravel()
        totals[0] += np.bincount(place, minlength=totals.shape[1])
        totals[1] += np.bincount(place, expected, totals.shape[1])
        totals[0] -= np.bincount(seen, minlength=totals.shape[1])
        totals[1] -= np.bincount(seen, mine, totals.shape[1])
    place, count, rate = (np.concatenate(column) for column in zip(*positive, strict=True))
    most = int(count.max(initial=0)) + 1
    keys, which, size = np.unique(
        place.astype(np.int64) * most + count, return_inverse=True, return_counts=True
    )
    zeros = np.flatnonzero(totals[0] > 0.5)
    gene = np.concatenate([zeros // BINS, keys // most // BINS])
    order = np.argsort(gene, kind="stable")
    sizes = np.concatenate([totals[0, zeros], size])
    sums = np.concatenate([np.maximum(totals[1, zeros], 0), np.bincount(which, rate, len(keys))])
    every = np.concatenate([np.zeros(len(zeros), dtype=np.intp), keys % most])
    return Bins(gene[order], every[order], (sums / sizes)[order], sizes[order], n_genes, n_cells)


def binned_profile(bins: Bins) -> NDArray[np.float64]:
    """Log-likelihood of each gene at each phi of `GRID`, up to a constant, (phi, genes)."""
    rate = np.maximum(bins.rate, 1e-8)
    log_rate, x = np.log(rate), bins.value
    some = x > 0
    distinct, which = np.unique(x[some], return_inverse=True)
    found = np.empty((len(GRID), bins.n_genes))
    for row, phi in zip(found, GRID, strict=True):
        size = 1 / phi
        term = -size * np.log1p(phi * rate)
        gammas = (gammaln(distinct + size) - gammaln(size))[which]
        term[some] += gammas + x[some] * (log_rate[some] - np.log(size + rate[some]))
        row[:] = np.bincount(bins.gene, term * bins.size, bins.n_genes)
    return found


def _by_likelihood(
    likelihood: NDArray[np.float32], size: NDArray[np.float32], prior: NDArray, n_cells: int
) -> NDArray:
    """Weights of some genes, from bins of these likelihoods (genes, bins, ratios) and sizes."""
    prior = possible(prior)
    pseudo, weights = PRIOR_CELLS * prior, prior.astype(np.float32)
    for _ in range(ROUNDS):
        told = np.matmul(likelihood, weights[:, :, None])[:, :, 0]  # (genes, bins)
        share = weights * np.matmul((size / told)[:, None], likelihood)[:, 0]
        weights = ((share + pseudo) / (n_cells + PRIOR_CELLS)).astype(np.float32)
    return weights
