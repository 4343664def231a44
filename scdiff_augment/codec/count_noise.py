"""How counts vary around their expected values, gene by gene; `draw_counts` draws them.

Poisson is not enough, and one number a gene beyond it is not either: a gene of the sex chromosome
is there or not, one of a few secretory cells floats at low counts through all others. So a count
is Poisson around its expected value times a random ratio, and the ratio's distribution is learnt
for each gene as weights on a grid, by likelihood. A gene of few counts says little about it: the
gamma distribution that makes counts negative binomial (`gene_dispersion`) is the prior.

References
----------
Laird 1978, Nonparametric maximum likelihood estimation of a mixing distribution, Journal of the
American Statistical Association 73(364), 805-811.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from .dispersion import GRID, gene_dispersion

_STEPS = np.array([0.12, 0.25, 0.4, 0.6, 0.85, 1.15, 1.5, 2.0, 2.6, 3.4])
RATIOS = np.exp(np.concatenate([[-6.0], -_STEPS[::-1], [0.0], _STEPS]))
"""Ratios of the grid: almost nothing, then 1/30 to 30, closest together around 1."""

PRIOR_CELLS = 50
"""How many cells the prior weighs, beside those that are looked at."""

ROUNDS = 60
"""Of expectation and maximisation."""

POSSIBLE = 1e-6
"""Weight of every ratio in the prior, at least: a single cell may be far from all others."""

GENES = 32
"""Genes at a time: their likelihoods stay in the processor's cache."""

LEVELS = 256
"""Equally likely ratios of a gene that counts are drawn with."""


def poisson(n_genes: int) -> NDArray[np.float32]:
    """Weights of no noise beyond Poisson, (n_genes, ratios)."""
    return np.tile((RATIOS == 1).astype(np.float32), (n_genes, 1))


def ratio_weights(counts: NDArray, rates: NDArray) -> NDArray[np.float32]:
    """Learn how likely each ratio of `RATIOS` is in each gene, (genes, ratios).

    Parameters
    ----------
    counts, rates : ndarray of shape (cells, genes)
        Counts, and what was expected of them.
    """
    prior = gamma_weights(gene_dispersion(counts, rates))
    found = np.empty(prior.shape, dtype=np.float32)
    for start in range(0, len(prior), GENES):
        some = slice(start, start + GENES)
        found[some] = _by_likelihood(counts[:, some].T, rates[:, some].T, prior[some])
    return found


def gamma_weights(dispersion: NDArray) -> NDArray[np.float64]:
    """Weights that a gamma distribution of mean 1 gives the ratios, (genes, ratios).

    Parameters
    ----------
    dispersion : ndarray of shape (genes,)
        Its variance; 0 is Poisson.
    """
    phi = np.maximum(dispersion, GRID[0])[:, None]
    edges = np.sqrt(RATIOS[1:] * RATIOS[:-1])
    below = stats.gamma.cdf(edges, 1 / phi, scale=phi)  # (genes, ratios - 1)
    return np.diff(below, axis=1, prepend=0.0, append=1.0)


def ratio_table(weights: NDArray[np.float32], share: float = 1.0) -> NDArray[np.float32]:
    """Return equally likely ratios of mean 1 for each gene, (genes, `LEVELS`).

    Parameters
    ----------
    weights : ndarray of shape (genes, ratios)
    share : float, default=1.0
        About this share of the ratios' variance; 0 leaves Poisson counts.
    """
    passed = np.cumsum(weights, axis=1, dtype=np.float64)
    passed /= passed[:, -1:]
    ends = np.floor(passed * LEVELS + 0.5).astype(np.intp)  # levels up to each ratio
    ratios = np.tile(RATIOS ** np.sqrt(share), len(weights))
    table = ratios.repeat(np.diff(ends, axis=1, prepend=0).ravel()).reshape(len(weights), LEVELS)
    return (table / table.mean(axis=1, keepdims=True)).astype(np.float32)


def _by_likelihood(counts: NDArray, rates: NDArray, prior: NDArray) -> NDArray:
    """Weights of some genes, from counts and rates of shape (genes, cells)."""
    likelihood = ratio_likelihood(counts, rates)
    prior = possible(prior)
    pseudo, n_cells = PRIOR_CELLS * prior, counts.shape[1]
    weights = prior.astype(np.float32)
    for _ in range(ROUNDS):
        told = np.matmul(likelihood, weights[:, :, None])  # (genes, cells, 1)
        share = weights * np.matmul((1 / told).transpose(0, 2, 1), likelihood)[:, 0]
        weights = ((share + pseudo) / (n_cells + PRIOR_CELLS)).astype(np.float32)
    return weights


def ratio_likelihood(counts: NDArray, rates: NDArray) -> NDArray[np.float32]:
    """Return how likely counts are under each ratio, (genes, cells, ratios), at most 1.

    Parameters
    ----------
    counts, rates : ndarray of shape (genes, cells)
    """
    rates = np.maximum(rates, 1e-8).astype(np.float32)
    likelihood = counts[:, :, None] * np.log(RATIOS).astype(np.float32)
    likelihood -= rates[:, :, None] * RATIOS.astype(np.float32)
    likelihood -= likelihood.max(axis=2, keepdims=True)
    return np.exp(likelihood, out=likelihood)


def possible(prior: NDArray) -> NDArray:
    """Give every ratio at least the weight `POSSIBLE`, (genes, ratios)."""
    return (prior + POSSIBLE) / (1 + len(RATIOS) * POSSIBLE)
