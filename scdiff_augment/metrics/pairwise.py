"""The metrics of two sets of cells of equal size, by the name that they have in tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import depth, discriminators, embedding, genes, manifold


@dataclass(frozen=True)
class CellSet:
    """One set of cells.

    Attributes
    ----------
    log : ndarray of shape (n_cells, n_genes)
        log1p of depth-normalised expression.
    counts : ndarray of shape (n_cells, n_genes), or None
        Counts, if they are known.
    labels : ndarray of str of shape (n_cells,), or None
        Class of each cell, if given.
    """

    log: NDArray
    counts: NDArray | None = None
    labels: NDArray[np.str_] | None = None

    def __len__(self) -> int:
        return len(self.log)

    def take(self, rows: NDArray) -> CellSet:
        """Return some of the cells, in the order of `rows`."""
        return CellSet(
            self.log[rows],
            None if self.counts is None else self.counts[rows],
            None if self.labels is None else self.labels[rows],
        )

    def join(self, other: CellSet) -> CellSet:
        """Append the cells of another set; counts or labels that only one of them has are lost."""
        both = [(self.counts, other.counts), (self.labels, other.labels)]
        known = [None if a is None or b is None else np.concatenate([a, b]) for a, b in both]
        return CellSet(np.concatenate([self.log, other.log]), *known)


@dataclass(frozen=True)
class ForestOptions:
    """Options of the random forests; `seed` also serves the other discriminators."""

    seed: int
    n_estimators: int = 500
    n_jobs: int | None = None


@dataclass(frozen=True)
class Pair:
    """Real cells and as many other cells, with both in joint principal components.

    Attributes
    ----------
    real, other : CellSet
        The two sets, of equal size.
    z : pair of ndarray of shape (n_cells, n_components)
        Both in their joint principal components; empty where no metric reads them.
    forest_options : ForestOptions
        How the forests are trained.
    """

    real: CellSet
    other: CellSet
    z: tuple[NDArray, NDArray]
    forest_options: ForestOptions

    @property
    def log(self) -> tuple[NDArray, NDArray]:
        """log1p expression of both sets."""
        return self.real.log, self.other.log

    @cached_property
    def density_and_coverage(self) -> tuple[float, float]:
        """Both metrics, which share their neighbours."""
        return manifold.density_and_coverage_of(*self.z)

    def forest_auc(self, kind: discriminators.Kind) -> float:
        """AUC of a random forest on principal components or on genes."""
        options = self.forest_options
        return discriminators.forest_auc_of(
            *(self.z if kind == "pca" else self.log),
            kind,
            n_estimators=options.n_estimators,
            n_jobs=options.n_jobs,
            seed=options.seed,
        )

    def knn_auc(self) -> float:
        """AUC of nearest neighbours on principal components."""
        return discriminators.knn_auc_of(*self.z, seed=self.forest_options.seed)

    def library_size_distance(self) -> float:
        """Distance of the library sizes; NaN if counts are not known."""
        if self.real.counts is None or self.other.counts is None:
            return np.nan
        return depth.library_size_distance(self.real.counts, self.other.counts)


class Metric(NamedTuple):
    """How to compute a metric of two sets of cells.

    Attributes
    ----------
    value : callable
        Computes it from a `Pair`.
    ideal : float
        Its value for a perfect generator and many cells.
    min_cells : int
        Cells of each set that it needs; with fewer the table has NaN.
    latent : bool
        Whether it reads the principal components.
    """

    value: Callable[[Pair], float]
    ideal: float
    min_cells: int
    latent: bool = False


METRICS = {
    "scc": Metric(lambda p: genes.scc(*p.log), 1, 5),
    "pcc": Metric(lambda p: genes.pcc(*p.log), 1, 5),
    "mmd": Metric(lambda p: embedding.mmd_of(*p.z), 0, 5, latent=True),
    "ilisi": Metric(lambda p: embedding.ilisi_of(*p.z), 1, 50, latent=True),
    "forest_auc_pca": Metric(lambda p: p.forest_auc("pca"), 0.5, 100, latent=True),
    "forest_auc_genes": Metric(lambda p: p.forest_auc("genes"), 0.5, 100),
    "knn_auc": Metric(Pair.knn_auc, 0.5, 100, latent=True),
    "gene_correlation_error": Metric(lambda p: genes.gene_correlation_error(*p.log), 0, 30),
    "mean_variance_error": Metric(lambda p: genes.mean_variance(*p.log).error, 0, 10),
    "zero_fraction_difference": Metric(lambda p: genes.zero_fraction(*p.log).error, 0, 5),
    "zero_curve_error": Metric(lambda p: genes.zero_curve_error(*p.log), 0, 10),
    "library_size_distance": Metric(Pair.library_size_distance, 0, 5),
    "density": Metric(lambda p: p.density_and_coverage[0], 1, 10, latent=True),
    "coverage": Metric(lambda p: p.density_and_coverage[1], 1, 10, latent=True),
}
"""Metrics of two sets of cells. Those of markers and memorisation need more: see `scoring`."""
