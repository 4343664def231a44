"""Two sets of cells of equal number, and the figures that are read of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import depth, embedding, genes, judges, manifold


@dataclass(frozen=True)
class Cells:
    """One set of cells: log1p values, counts where they are known, labels where they are given."""

    log: NDArray
    counts: NDArray | None = None
    labels: NDArray[np.str_] | None = None

    def __len__(self) -> int:
        return len(self.log)

    def take(self, rows: NDArray) -> Cells:
        """Take some of the cells, in the order of `rows`."""
        return Cells(
            self.log[rows],
            None if self.counts is None else self.counts[rows],
            None if self.labels is None else self.labels[rows],
        )

    def join(self, other: Cells) -> Cells:
        """Put the others after these cells; what only one set knows is dropped."""
        both = [(self.counts, other.counts), (self.labels, other.labels)]
        known = [None if a is None or b is None else np.concatenate([a, b]) for a, b in both]
        return Cells(np.concatenate([self.log, other.log]), *known)


@dataclass(frozen=True)
class Judges:
    """How forests are grown."""

    seed: int
    n_estimators: int = 500
    n_jobs: int | None = None


@dataclass(frozen=True)
class Pair:
    """Real cells, as many others, and both in joint principal components."""

    real: Cells
    other: Cells
    z: tuple[NDArray, NDArray]
    how: Judges

    @property
    def log(self) -> tuple[NDArray, NDArray]:
        return self.real.log, self.other.log

    @cached_property
    def cover(self) -> tuple[float, float]:
        return manifold.density_and_coverage_of(*self.z)

    def forest(self, kind: judges.Kind) -> float:
        """AUC of a forest on components or genes."""
        options = self.how
        return judges.forest_auc_of(
            *(self.z if kind == "pca" else self.log),
            kind,
            n_estimators=options.n_estimators,
            n_jobs=options.n_jobs,
            seed=options.seed,
        )

    def library(self) -> float:
        """Distance of library sizes; NaN where counts are not known."""
        if self.real.counts is None or self.other.counts is None:
            return np.nan
        return depth.library_size_distance(self.real.counts, self.other.counts)


class Figure(NamedTuple):
    """How a figure is read of a pair, its ideal, the cells it needs of each set, and where.

    Those that are `latent` read principal components.
    """

    value: Callable[[Pair], float]
    ideal: float
    min_cells: int
    latent: bool = False


FIGURES = {
    "scc": Figure(lambda p: genes.scc(*p.log), 1, 5),
    "pcc": Figure(lambda p: genes.pcc(*p.log), 1, 5),
    "mmd": Figure(lambda p: embedding.mmd_of(*p.z), 0, 5, latent=True),
    "ilisi": Figure(lambda p: embedding.ilisi_of(*p.z), 1, 50, latent=True),
    "forest_auc_pca": Figure(lambda p: p.forest("pca"), 0.5, 100, latent=True),
    "forest_auc_genes": Figure(lambda p: p.forest("genes"), 0.5, 100),
    "knn_auc": Figure(lambda p: judges.knn_auc_of(*p.z, seed=p.how.seed), 0.5, 100, latent=True),
    "gene_correlation_error": Figure(lambda p: genes.gene_correlation_error(*p.log), 0, 30),
    "mean_variance_error": Figure(lambda p: genes.mean_variance(*p.log).error, 0, 10),
    "zero_fraction_difference": Figure(lambda p: genes.zero_fraction(*p.log).error, 0, 5),
    "zero_curve_error": Figure(lambda p: genes.zero_curve_error(*p.log), 0, 10),
    "library_size_distance": Figure(Pair.library, 0, 5),
    "density": Figure(lambda p: p.cover[0], 1, 10, latent=True),
    "coverage": Figure(lambda p: p.cover[1], 1, 10, latent=True),
}
"""Figures of two sets of cells; those of markers and of memorisation need more than a pair."""
