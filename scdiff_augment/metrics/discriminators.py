"""Discriminators: classifiers trained to tell synthetic cells from real ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier

from .checks import MAX_CELLS, Seed, equal_sized_pair
from .embedding import joint_pca

MIN_CELLS = 8
"""Cells that each set needs, so that a quarter of them makes a test set."""

Kind = Literal["pca", "genes"]

STATISTICS: dict[str, Callable[[NDArray], NDArray]] = {
    "mean": lambda X: X.mean(axis=0, dtype=np.float64),
    "sd": lambda X: X.std(axis=0, dtype=np.float64),
    "q10": lambda X: np.quantile(X, 0.1, axis=0),
    "q90": lambda X: np.quantile(X, 0.9, axis=0),
    "zeros": lambda X: (X == 0).mean(axis=0),
}
"""Statistics of each gene in the table of `telling_genes`."""


def forest_auc(
    real: ArrayLike,
    synthetic: ArrayLike,
    kind: Kind = "pca",
    *,
    n_estimators: int = 500,
    max_cells: int = MAX_CELLS,
    n_jobs: int | None = None,
    random_state: Seed = 0,
) -> float:
    """AUC of a random forest that tells synthetic cells from real ones, on a test set.

    Parameters
    ----------
    real, synthetic : array-like of shape (n_cells, n_genes)
        log1p expression. Both are subsampled to the same number of cells; three quarters are the
        forest's training set, one quarter its test set.
    kind : {"pca", "genes"}, default="pca"
        "pca": 50 joint principal components and trees of depth 5, as in scDiffusion. "genes": all
        genes and trees of unlimited depth, a stronger discriminator.
    n_estimators : int, default=500
        Trees. On genes the value keeps rising with their number: compare only values of the same
        number.
    max_cells : int, default=5000
        Limit on the cells of each set; larger sets are subsampled.
    n_jobs : int, optional
        Parallel jobs of the forest; None means 1, -1 all cores.
    random_state : int, numpy.random.Generator or None, default=0
        For subsampling, for the split, and for the forest.

    Returns
    -------
    float
        Area under the ROC curve on the test set: 1 if synthetic cells are perfectly recognised,
        about 0.5 if they cannot be distinguished from real ones.

    Raises
    ------
    ValueError
        If `kind` is unknown, or the matrices differ in genes, hold NaN or infinity, or have fewer
        than 8 cells.

    References
    ----------
    Luo et al. 2024, scDiffusion: conditional generation of high-quality single-cell data using
    diffusion model, Bioinformatics 40(9), btae518.

    Examples
    --------
    >>> import numpy as np
    >>> from scdiff_augment.metrics import forest_auc
    >>> rng = np.random.default_rng(0)
    >>> forest_auc(rng.normal(size=(40, 5)), rng.normal(9, size=(40, 5)), n_estimators=20)
    1.0
    """
    if kind not in ("pca", "genes"):
        raise ValueError(f"`kind` must be 'pca' or 'genes', got {kind!r}.")
    rng = np.random.default_rng(random_state)
    pair = equal_sized_pair(
        real, synthetic, min_cells=MIN_CELLS, max_cells=max_cells, random_state=rng
    )
    seed = int(rng.integers(2**31))
    if kind == "pca":
        pair = joint_pca(*pair, random_state=seed)
    return forest_auc_of(*pair, kind, n_estimators=n_estimators, n_jobs=n_jobs, seed=seed)


def knn_auc(
    real: ArrayLike,
    synthetic: ArrayLike,
    *,
    n_neighbors: int = 15,
    max_cells: int = MAX_CELLS,
    random_state: Seed = 0,
) -> float:
    """AUC of a k-nearest-neighbour classifier that tells synthetic cells from real ones.

    Neighbours are searched in 50 joint principal components.

    Parameters
    ----------
    real, synthetic : array-like of shape (n_cells, n_genes)
        log1p expression. Both are subsampled to the same number of cells; three quarters are the
        training set, in which the test cells' neighbours are searched.
    n_neighbors : int, default=15
        Neighbours of a test cell; lowered for small sets.
    max_cells : int, default=5000
        Limit on the cells of each set; larger sets are subsampled.
    random_state : int, numpy.random.Generator or None, default=0
        For subsampling, for the split, and for the principal components.

    Returns
    -------
    float
        Area under the ROC curve on the test set: 1 if synthetic cells are perfectly recognised,
        about 0.5 if they cannot be distinguished from real ones, below 0.5 if cells lie nearer to
        those of the other set than to their own.

    Raises
    ------
    ValueError
        If the matrices differ in genes, hold NaN or infinity, or have fewer than 8 cells.

    Examples
    --------
    >>> import numpy as np
    >>> from scdiff_augment.metrics import knn_auc
    >>> rng = np.random.default_rng(0)
    >>> knn_auc(rng.normal(size=(40, 5)), rng.normal(9, size=(40, 5)))
    1.0
    """
    rng = np.random.default_rng(random_state)
    pair = equal_sized_pair(
        real, synthetic, min_cells=MIN_CELLS, max_cells=max_cells, random_state=rng
    )
    seed = int(rng.integers(2**31))
    return knn_auc_of(*joint_pca(*pair, random_state=seed), n_neighbors=n_neighbors, seed=seed)


def telling_genes(
    real: ArrayLike,
    synthetic: ArrayLike,
    genes: ArrayLike | None = None,
    *,
    n_estimators: int = 500,
    max_cells: int = MAX_CELLS,
    n_jobs: int | None = None,
    random_state: Seed = 0,
) -> pd.DataFrame:
    """Rank genes by how much they help a random forest tell synthetic cells from real ones.

    Parameters
    ----------
    real, synthetic : array-like of shape (n_cells, n_genes)
        log1p expression. Both are subsampled to the same number of cells.
    genes : array-like of shape (n_genes,), optional
        Names of the genes. By default the columns of `real` if it is a data frame, else 0 to
        n_genes - 1.
    n_estimators : int, default=500
        Trees.
    max_cells : int, default=5000
        Limit on the cells of each set; larger sets are subsampled.
    n_jobs : int, optional
        Parallel jobs of the forest; None means 1, -1 all cores.
    random_state : int, numpy.random.Generator or None, default=0
        For subsampling, and for the forest.

    Returns
    -------
    DataFrame
        One row per gene, the most important first. Columns: "importance" (mean decrease in
        impurity; sums to 1), then, each with the suffix "_real" or "_synthetic", "mean", "sd",
        "q10" and "q90" (quantiles) of log1p expression and "zeros" (fraction of cells in which the
        gene is zero).

    Raises
    ------
    ValueError
        If the matrices differ in genes, hold NaN or infinity, or have fewer than 8 cells, or the
        number of names is not that of the genes.

    Examples
    --------
    >>> import numpy as np
    >>> from scdiff_augment.metrics import telling_genes
    >>> real, synthetic = np.random.default_rng(0).normal(size=(2, 50, 3))
    >>> table = telling_genes(real, synthetic + [0, 5, 0], ["A", "B", "C"], n_estimators=20)
    >>> table.index[0], bool(table["importance"].iloc[0] > 0.5)
    ('B', True)
    """
    if genes is None:
        genes = real.columns if isinstance(real, pd.DataFrame) else np.arange(np.shape(real)[1])
    rng = np.random.default_rng(random_state)
    pair = equal_sized_pair(
        real, synthetic, min_cells=MIN_CELLS, max_cells=max_cells, random_state=rng
    )
    if len(np.asarray(genes)) != pair[0].shape[1]:
        raise ValueError(
            f"`genes` needs one name for each of the {pair[0].shape[1]} genes, got "
            f"{len(np.asarray(genes))}. Pass the names of the columns of `real`."
        )
    forest = RandomForestClassifier(
        n_estimators, n_jobs=n_jobs, random_state=int(rng.integers(2**31))
    )
    forest.fit(np.concatenate(pair), np.repeat([0, 1], len(pair[0])))
    table = pd.DataFrame({"importance": forest.feature_importances_}, index=np.asarray(genes))
    for statistic, of in STATISTICS.items():
        for side, values in zip(("real", "synthetic"), pair, strict=True):
            table[f"{statistic}_{side}"] = of(values)
    return table.sort_values("importance", ascending=False, kind="stable")


def forest_auc_of(
    real: NDArray,
    synthetic: NDArray,
    kind: Kind,
    *,
    n_estimators: int = 500,
    n_jobs: int | None = None,
    seed: int = 0,
) -> float:
    """AUC of a random forest on two sets of equally many points."""
    forest = RandomForestClassifier(
        n_estimators,
        max_depth=5 if kind == "pca" else None,
        n_jobs=n_jobs,
        random_state=seed,
    )
    return _test_auc(forest, real, synthetic, seed)


def knn_auc_of(real: NDArray, synthetic: NDArray, *, n_neighbors: int = 15, seed: int = 0) -> float:
    """AUC of nearest neighbours on two sets of equally many points."""
    return _test_auc(KNeighborsClassifier(min(n_neighbors, len(real))), real, synthetic, seed)


def _test_auc(
    discriminator: ClassifierMixin, real: NDArray, synthetic: NDArray, seed: int
) -> float:
    X = np.concatenate([real, synthetic])
    y = np.repeat([0, 1], [len(real), len(synthetic)])
    train, test = train_test_split(np.arange(len(y)), test_size=0.25, stratify=y, random_state=seed)
    discriminator.fit(X[train], y[train])
    return float(roc_auc_score(y[test], discriminator.predict_proba(X[test])[:, 1]))
