"""What a class has of its own in each gene, beyond what the latent tells: empirical Bayes.

A latent of a few dozen coordinates can't hold every gene of every type. What it leaves over is the
same for all cells of a class, so that few cells are enough to estimate it: the counts that they
have against those that were expected of their latents. Cells decoded without it have the genes of
the types around them in part, and linear classifiers, which add all genes up, rank types by that.

Most genes are as expected and a few are far from it, so one width of prior does not fit: it
would move nothing, or move noise. The prior is a mixture from narrow to wide, with the weights
under which all genes together are most likely ([1]_).

References
----------
.. [1] Stephens 2017, False discovery rates: a new deal, Biostatistics 18(2), 275-294.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import gammaln
from torch import Tensor

from scdiff_augment.streaming.block_sizes import as_dense, cells_per_block

from .wide.core_genes import WIDE

Array = NDArray[np.float64]


class LabelledCells(NamedTuple):
    """Some cells of a condition.

    Attributes
    ----------
    values : ndarray or csr_matrix of shape (cells, genes)
    z : ndarray of shape (cells, n_latent)
        Their latents.
    codes : ndarray of shape (cells,)
        Their classes.
    others : mapping of str to ndarray of shape (cells,)
        Their classes in conditions that are known already.
    """

    values: Any
    z: NDArray[np.float32]
    codes: NDArray[np.int64]
    others: Mapping[str, NDArray[np.int64]] = MappingProxyType({})

    def blocks(self) -> Iterator[LabelledCells]:
        """Cut into pieces small enough to be dense."""
        size = cells_per_block(self.values.shape[1])
        for start in range(0, len(self.z), size):
            rows = slice(start, start + size)
            others = {name: codes[rows] for name, codes in self.others.items()}
            yield LabelledCells(as_dense(self.values[rows]), self.z[rows], self.codes[rows], others)


LEAST = 0.1
"""Expected counts below which a gene says nothing about how far genes deviate."""

SHAPES = 2.0 ** np.arange(-1, 11)
"""Shapes, and rates, of the gamma priors of ratios: variances of 2 to 1/1,024."""

WIDTHS = np.concatenate([[0.0], 2.0 ** np.arange(-4, 4)])
"""Standard deviations of the normal priors of residuals, in units of the genes' mean noise."""

ROUNDS = 100
"""Of expectation and maximisation; the likelihood of the weights has one maximum."""


class ClassTotals:
    """Counts of each class, and what was expected of its cells' latents, summed block by block.

    Parameters
    ----------
    n_classes, n_genes : int

    Attributes
    ----------
    seen, expected : ndarray of shape (n_classes, n_genes)
        Counts, and expected counts.
    """

    def __init__(self, n_classes: int, n_genes: int):
        self.seen, self.expected = np.zeros((2, n_classes, n_genes))

    def add(self, codes: NDArray[np.int64], counts: NDArray, rates: NDArray) -> None:
        """Add cells: their classes (cells,), counts and expected counts (cells, genes)."""
        for k in np.unique(codes):
            rows = codes == k
            self.seen[k] += counts[rows].sum(axis=0, dtype=np.float64)
            self.expected[k] += rates[rows].sum(axis=0, dtype=np.float64)

    def log_ratios(self) -> NDArray[np.float32]:
        """Return log of counts over expected counts, shrunken towards 0, (n_classes, n_genes).

        Expected counts are those of cells as deep as the ones that were seen.
        """
        depth = self.seen.sum(axis=1) / np.maximum(self.expected.sum(axis=1), 1e-12)
        expected = self.expected * depth[:, None]
        found = [shrunken_ratios(s, e) for s, e in zip(self.seen, expected, strict=True)]
        return np.log(np.stack(found)).astype(np.float32)


def shift_of(tables: Mapping[str, Tensor], codes: Mapping[str, Any]) -> Tensor | None:
    """Return what classes add to each cell's genes, (cells, genes), or None where nothing does.

    Parameters
    ----------
    tables : mapping of str to Tensor of shape (n_classes, genes)
        By condition.
    codes : mapping of str to Tensor or ndarray of shape (cells,)
        Class of each cell, by condition.
    """
    total = None
    for name, classes in codes.items():
        if name in tables:
            added = tables[name][torch.as_tensor(classes)]
            total = added if total is None else total.add_(added)
    return total


def shrunken_ratios(seen: Array, expected: Array) -> Array:
    """Posterior means of the genes' ratios, (genes,).

    Counts are Poisson with mean ``expected * ratio``; a ratio has one of several gamma priors of
    mean 1, under each of which counts are negative binomial.

    Parameters
    ----------
    seen, expected : ndarray of shape (genes,)
        Counts of a class, and their expectation.
    """
    informative = expected > LEAST
    if not informative.any():
        return np.ones(len(seen))
    x, mean = seen[:, None], expected[:, None]
    log_likelihood = (
        gammaln(x + SHAPES)
        - gammaln(SHAPES)
        + SHAPES * np.log(SHAPES)
        - (x + SHAPES) * np.log(SHAPES + mean)
    )  # (genes, priors), up to what does not depend on the prior
    means = (x + SHAPES) / (mean + SHAPES)
    return (responsibilities(log_likelihood, informative) * means).sum(axis=1)


def shrunken_means(sums: Array, sizes: Array, variance: Array) -> NDArray[np.float32]:
    """Posterior means of the classes' residuals, (classes, genes).

    Parameters
    ----------
    sums : ndarray of shape (classes, genes)
        Residuals, summed over the cells of each class.
    sizes : ndarray of shape (classes,)
        How many cells these are.
    variance : ndarray of shape (genes,)
        Of one cell's residual.
    """
    found = np.zeros(sums.shape, dtype=np.float32)
    every = np.ones(sums.shape[1], dtype=bool)
    for k in np.flatnonzero(sizes):
        mean, noise = (sums[k] / sizes[k])[:, None], (variance / sizes[k])[:, None]
        noise = np.maximum(noise, 1e-12)
        prior = WIDTHS**2 * noise.mean()
        log_likelihood = -0.5 * (mean**2 / (noise + prior) + np.log(noise + prior))
        means = mean * prior / (noise + prior)
        found[k] = (responsibilities(log_likelihood, every) * means).sum(axis=1)
    return found


def responsibilities(log_likelihood: Array, informative: NDArray[np.bool_]) -> Array:
    """Return how likely each prior is for each gene, (genes, priors), weights learnt by EM.

    Parameters
    ----------
    log_likelihood : ndarray of shape (genes, priors)
    informative : ndarray of bool, shape (genes,)
        Genes that the weights are learnt from.
    """
    likelihood = np.exp(log_likelihood - log_likelihood.max(axis=1, keepdims=True))
    known, weights = likelihood[informative], np.full(likelihood.shape[1], 1 / likelihood.shape[1])
    for _ in range(ROUNDS):
        if len(known) > WIDE:  # the same sum as a product of matrices
            weights = weights * ((1 / (known @ weights)) @ known) / len(known)
        else:
            weights = (known * (weights / (known @ weights)[:, None])).mean(axis=0)
    found = likelihood * weights
    return found / found.sum(axis=1, keepdims=True)
