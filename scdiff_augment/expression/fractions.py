"""Fractional counts as counts, and back: corrected or estimated counts, transcripts per million.

A gene's values are counted in steps. A step is one count where values are fractions of molecules
(SoupX, CellBender, salmon); of full-length data it is about what one read adds, which depends on
the gene's length. Positive values are at least one step, so zeros stay as many as they are. On the
way back a value is drawn from those that real cells have at this number of steps, so that new
values are as fractional as real ones, and 0 steps are 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEVELS = 8
"""Numbers of steps whose values are kept; beyond, values spread evenly over a step."""

QUANTILES = np.linspace(0, 1, 33)
"""Of the values at a number of steps."""

MOLECULES = (0.4, 2.5)
"""A typical step in this range is that of fractional molecules: 1 for all genes."""

PRIOR_VALUES = 10
"""How many values the typical step of all genes weighs, beside those of a gene."""


@dataclass(frozen=True, eq=False)
class Steps:
    """How fractional values become counts, and counts fractional values.

    Attributes
    ----------
    sizes : ndarray of shape (n_genes,), or (1,) for all genes
        Linear value of one step.
    shares : ndarray of shape (LEVELS, quantiles)
        Quantiles of real values at 1, 2, … steps, over that many steps.
    """

    sizes: NDArray[np.float64]
    shares: NDArray[np.float64]

    def counts(self, linear: NDArray) -> NDArray[np.float32]:
        """Count the steps of each value; positive values have at least one."""
        steps = np.maximum(np.rint(linear / self.sizes), 1)
        return np.where(linear > 0, steps, 0).astype(np.float32)

    def values(
        self, counts: NDArray, columns: NDArray | None, rng: np.random.Generator | None
    ) -> NDArray[np.float32]:
        """Draw linear values; without `rng`, means.

        `columns` are the genes of `counts` where these are a list of some; by default the last
        axis.
        """
        levels, last = self.shares.shape[0], self.shares.shape[1] - 1
        few = np.clip(counts, 1, levels).astype(np.intp) - 1
        if rng is None:
            share = self.shares.mean(axis=1)[few]
            loose = 0.0
        else:
            place = rng.random(counts.shape) * last
            below = place.astype(np.intp)
            low, high = self.shares[few, below], self.shares[few, below + 1]
            share = low + (place - below) * (high - low)
            loose = place / last - 0.5
        sizes = self.sizes if columns is None or len(self.sizes) == 1 else self.sizes[columns]
        steps = np.where(counts > levels, counts + loose, counts * share)
        return (steps * sizes).astype(np.float32)


def steps_of(linear: NDArray[np.float64]) -> Steps:
    """Find the steps of a matrix of fractional values, (n_cells, n_genes)."""
    n_cells = len(linear)
    positive = linear > 0
    n_positive = positive.sum(axis=0)
    sizes = np.ones(linear.shape[1])
    bound = np.full(linear.shape[1], np.inf)
    for gene in np.flatnonzero(n_positive):
        values = linear[positive[:, gene], gene]
        sizes[gene] = np.quantile(values, 0.25)
        # As many zeros as Poisson counts of this mean have; cells of several types have more.
        none = max(1 - n_positive[gene] / n_cells, 0.5 / n_cells)
        bound[gene] = values.sum() / n_cells / -np.log(none)
    sparse = (n_positive >= 5) & (n_positive <= 0.3 * n_cells)
    known = sparse if sparse.any() else n_positive > 0
    typical = float(np.median(bound[known])) if known.any() else 1.0
    if MOLECULES[0] < typical < MOLECULES[1]:
        sizes = np.ones(1)
    else:
        seen = np.log(np.minimum(sizes, bound))
        shrunken = n_positive * seen + PRIOR_VALUES * np.log(typical)
        sizes = np.exp(shrunken / (n_positive + PRIOR_VALUES))
        sizes[n_positive == 0] = typical
    cells, genes = np.nonzero(positive)
    each = sizes if len(sizes) == 1 else sizes[genes]
    inside = linear[cells, genes] / each
    steps = np.maximum(np.rint(inside), 1)
    shares = np.ones((LEVELS, len(QUANTILES)))
    for level in range(1, LEVELS + 1):
        here = inside[steps == level]
        if here.size >= len(QUANTILES):
            shares[level - 1] = np.quantile(here, QUANTILES) / level
        else:
            shares[level - 1] = 1 + (QUANTILES - 0.5) / level
    return Steps(sizes, shares)
