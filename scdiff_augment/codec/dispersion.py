"""Overdispersion of counts around their expected values: one number for each gene.

Counts of a gene with expected value r vary as r + phi r²: Poisson draws around rates that are
themselves multiplied by gamma noise of mean 1 and variance phi, the negative binomial.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

GRID = np.geomspace(1e-3, 10, 25)
"""Values of phi at which the likelihood is looked at."""

PRIOR_CELLS = 10
"""How many cells the dispersion of genes alike in mean weighs, beside a gene's own cells."""

NEIGHBOURS = 100
"""How many genes are alike in mean."""


def gene_dispersion(counts: NDArray, rates: NDArray) -> NDArray[np.float32]:
    """Return each gene's overdispersion phi, (genes,), by weighted likelihood.

    Parameters
    ----------
    counts : ndarray of shape (cells, genes)
        Of cells that the rates' model has not been trained on.
    rates : ndarray of shape (cells, genes)
        Their expected values.

    References
    ----------
    McCarthy, Chen and Smyth 2012, Nucleic Acids Research 40(10), 4288-4297 (a gene's likelihood
    is joined by that of the genes alike in mean).
    """
    return shrunken_peak(profile(counts, rates), rates.mean(axis=0), len(counts))


def shrunken_peak(
    likelihood: NDArray[np.float64], mean: NDArray, n_cells: int
) -> NDArray[np.float32]:
    """Return the phi at which a gene's likelihood, joined by that of its like, is highest.

    Parameters
    ----------
    likelihood : ndarray of shape (phi, genes)
        At each phi of `GRID`, as `profile` gives it.
    mean : ndarray of shape (genes,)
        By which genes are alike.
    n_cells : int
        How many cells the likelihood is of.
    """
    order = np.argsort(mean)
    ranked = np.cumsum(np.pad(likelihood[:, order], ((0, 0), (1, 0))), axis=1)
    at = np.arange(len(order))
    low = np.clip(at - NEIGHBOURS // 2, 0, None)
    high = np.clip(at + NEIGHBOURS // 2 + 1, None, len(order))
    alike = np.empty_like(likelihood)
    alike[:, order] = (ranked[:, high] - ranked[:, low]) / (high - low)
    total = likelihood + alike * (PRIOR_CELLS / n_cells)
    return _peak(total)


def profile(counts: NDArray, rates: NDArray) -> NDArray[np.float64]:
    """Log-likelihood of each gene at each phi of `GRID`, up to a constant, (phi, genes)."""
    rates = np.maximum(rates, 1e-8)
    cells, genes = np.nonzero(counts)
    x = counts[cells, genes].astype(np.float64)
    log_rate = np.log(rates[cells, genes])
    found = np.empty((len(GRID), counts.shape[1]))
    for row, phi in zip(found, GRID, strict=True):
        size = 1 / phi
        row[:] = -size * np.log1p(phi * rates).sum(axis=0, dtype=np.float64)
        positive = (
            gammaln(x + size) - gammaln(size) + x * (log_rate - np.log(size + np.exp(log_rate)))
        )
        row += np.bincount(genes, positive, minlength=counts.shape[1])
    return found


def _peak(likelihood: NDArray[np.float64]) -> NDArray[np.float32]:
    """Maximum of each column, between the points of `GRID` by a parabola; 0 at the lower end."""
    best = np.clip(likelihood.argmax(axis=0), 1, len(GRID) - 2)
    columns = np.arange(likelihood.shape[1])
    left, middle, right = (likelihood[best + d, columns] for d in (-1, 0, 1))
    bend = left - 2 * middle + right
    shift = np.divide(left - right, 2 * bend, out=np.zeros_like(bend), where=bend < 0)
    step = np.log(GRID[1] / GRID[0])
    phi = np.exp(np.log(GRID[best]) + np.clip(shift, -1, 1) * step)
    return np.where(likelihood.argmax(axis=0) == 0, 0.0, phi).astype(np.float32)
