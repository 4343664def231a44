"""What a class has of its own in each gene, beyond what the latent tells: empirical Bayes.

A latent of a few dozen coordinates can't hold every gene of every type. What it leaves over is the
same for all cells of a class, so that few cells tell it well: the counts that they have against
those that were expected of their latents. Cells decoded without it have the genes of the types
around them in part, and linear classifiers, which add all genes up, rank types by that.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import gammaln

Array = NDArray[np.float64]

Piece = tuple[Any, NDArray[np.float32], NDArray[np.int64]]
"""Some cells: values (cells, genes), dense or CSR; latents (cells, n_latent); class codes."""

LEAST = 0.1
"""Expected counts below which a gene says nothing about how far genes stray."""

STRENGTHS = (-3.0, 10.0)
"""Log of the prior's strength: between these genes stray at will, or not at all."""


class ClassTotals:
    """Counts of each class, and what was expected of its cells' latents, summed block by block.

    Parameters
    ----------
    n_classes, n_genes : int

    Attributes
    ----------
    seen, expected : ndarray of shape (n_classes, n_genes)
        Counts, and expected counts.
    squares : ndarray of shape (n_classes, n_genes)
        Squares of the expected counts of single cells.
    """

    def __init__(self, n_classes: int, n_genes: int):
        self.seen, self.expected, self.squares = np.zeros((3, n_classes, n_genes))

    def add(self, codes: NDArray[np.int64], counts: NDArray, rates: NDArray) -> None:
        """Add cells: their classes (cells,), counts and expected counts (cells, genes)."""
        for k in np.unique(codes):
            rows = codes == k
            self.seen[k] += counts[rows].sum(axis=0, dtype=np.float64)
            self.expected[k] += rates[rows].sum(axis=0, dtype=np.float64)
            self.squares[k] += np.square(rates[rows]).sum(axis=0, dtype=np.float64)

    def log_ratios(self, dispersion: NDArray) -> NDArray[np.float32]:
        """Return log of counts over expected counts, shrunken towards 0, (n_classes, n_genes).

        Parameters
        ----------
        dispersion : ndarray of shape (n_genes,)
            Overdispersion of counts around expected ones; the more, the less a ratio says.
        """
        excess = dispersion * self.squares / np.maximum(self.expected, 1e-12)
        trust = 1 / (1 + excess)  # Poisson counts that vary as much as these are that many fewer
        ratios = map(shrunken_ratios, self.seen * trust, self.expected * trust)
        return np.log(np.stack(list(ratios))).astype(np.float32)


def shrunken_means(sums: Array, sizes: Array, variance: Array) -> NDArray[np.float32]:
    """Posterior means of the classes' residuals under a normal prior of mean 0, (classes, genes).

    Parameters
    ----------
    sums : ndarray of shape (classes, genes)
        Residuals, summed over the cells of each class.
    sizes : ndarray of shape (classes,)
        How many cells these are.
    variance : ndarray of shape (genes,)
        Of one cell's residual.
    """
    sizes = np.maximum(sizes, 1)[:, None]
    means, noise = sums / sizes, variance / sizes
    prior = np.maximum((means**2 - noise).mean(axis=1, keepdims=True), 0)
    return (means * prior / np.maximum(prior + noise, 1e-12)).astype(np.float32)


def shrunken_ratios(seen: Array, expected: Array) -> Array:
    """Posterior means of the genes' ratios under a gamma prior of mean 1, (genes,).

    Counts are Poisson with mean ``expected * ratio``, and ratios gamma with shape and rate `a`, so
    that counts are negative binomial; `a` is where the likelihood of all genes is highest.

    Parameters
    ----------
    seen, expected : ndarray of shape (genes,)
        Counts of a class, and their expectation.

    References
    ----------
    Robbins 1956, An empirical Bayes approach to statistics, Proc. Third Berkeley Symposium 1,
    157-163.
    """
    told = expected > LEAST
    if not told.any():
        return np.ones(len(seen))
    counts, means = seen[told], expected[told]

    def loss(log_a: float) -> float:
        a = np.exp(log_a)
        terms = gammaln(counts + a) - gammaln(a) + a * np.log(a) - (counts + a) * np.log(a + means)
        return -float(terms.sum())

    a = np.exp(minimize_scalar(loss, bounds=STRENGTHS, method="bounded").x)
    return (seen + a) / (expected + a)
