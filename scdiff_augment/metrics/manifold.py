"""Density and coverage: whether synthetic cells lie where real ones do, and reach all of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors

from .checks import MAX_CELLS, Seed, equal_sized_pair
from .embedding import Latents, joint_pca

N_NEIGHBORS = 5
"""A real cell's neighbourhood reaches to its k-th nearest real neighbour; k as published."""


def density(
    real: ArrayLike,
    synthetic: ArrayLike,
    *,
    n_neighbors: int = N_NEIGHBORS,
    max_cells: int = MAX_CELLS,
    random_state: Seed = 0,
) -> float:
    """Mean number of real cells' neighbourhoods that contain a synthetic cell, divided by k.

    The neighbourhood of a real cell is the ball around it that reaches to its k-th nearest real
    neighbour, k = `n_neighbors`, in 50 joint principal components.

    Parameters
    ----------
    real, synthetic : array-like of shape (n_cells, n_genes)
        log1p expression. Both are subsampled to the same number of cells.
    n_neighbors : int, default=5
        Rank k of the neighbour to which a neighbourhood reaches.
    max_cells : int, default=5000
        Limit on the cells of each set; larger sets are subsampled.
    random_state : int, numpy.random.Generator or None, default=0
        For subsampling, and for the principal components.

    Returns
    -------
    float
        About 1 for cells of the same distribution; below 1 if synthetic cells lie off the real
        ones, above 1 if they concentrate in the densest regions.

    Raises
    ------
    ValueError
        If the matrices differ in genes, hold NaN or infinity, or have no more than `n_neighbors`
        cells.

    References
    ----------
    Naeem et al. 2020, Reliable fidelity and diversity metrics for generative models, ICML,
    arXiv:2002.09797.

    Examples
    --------
    >>> import numpy as np
    >>> from scdiff_augment.metrics import density
    >>> rng = np.random.default_rng(0)
    >>> real = rng.normal(size=(200, 5))
    >>> density(real, real + 50), density(real, rng.normal(size=(200, 5))) > 0.8
    (0.0, True)
    """
    return density_and_coverage_of(
        *_points(real, synthetic, n_neighbors, max_cells, random_state), n_neighbors
    )[0]


def coverage(
    real: ArrayLike,
    synthetic: ArrayLike,
    *,
    n_neighbors: int = N_NEIGHBORS,
    max_cells: int = MAX_CELLS,
    random_state: Seed = 0,
) -> float:
    """Fraction of real cells with at least one synthetic cell in their neighbourhood.

    Neighbourhoods are defined as for `density`.

    Parameters
    ----------
    real, synthetic : array-like of shape (n_cells, n_genes)
        log1p expression. Both are subsampled to the same number of cells.
    n_neighbors : int, default=5
        Rank k of the neighbour to which a neighbourhood reaches.
    max_cells : int, default=5000
        Limit on the cells of each set; larger sets are subsampled.
    random_state : int, numpy.random.Generator or None, default=0
        For subsampling, and for the principal components.

    Returns
    -------
    float
        1 for identical sets; about 1 - 2^-k = 0.97 for many cells of the same distribution; low if
        kinds of cells are missing from the synthetic set.

    Raises
    ------
    ValueError
        As for `density`.

    References
    ----------
    Naeem et al. 2020, Reliable fidelity and diversity metrics for generative models, ICML,
    arXiv:2002.09797.

    Examples
    --------
    >>> import numpy as np
    >>> from scdiff_augment.metrics import coverage
    >>> real = np.random.default_rng(0).normal(size=(40, 5))
    >>> coverage(real, real), coverage(real, real + 50)
    (1.0, 0.0)
    """
    return density_and_coverage_of(
        *_points(real, synthetic, n_neighbors, max_cells, random_state), n_neighbors
    )[1]


def density_and_coverage_of(
    real: Latents, synthetic: Latents, n_neighbors: int = N_NEIGHBORS
) -> tuple[float, float]:
    """Both metrics for two sets of points."""
    n_neighbors = min(n_neighbors, len(real) - 1)
    tree = NearestNeighbors(n_neighbors=n_neighbors, algorithm="kd_tree").fit(real)
    radius = tree.kneighbors()[0][:, -1]
    inside = np.zeros(len(real), dtype=np.int64)
    for start in range(0, len(real), 1024):
        rows = slice(start, start + 1024)
        inside[rows] = (cdist(real[rows], synthetic) <= radius[rows, None]).sum(axis=1)
    return float(inside.sum() / (n_neighbors * len(synthetic))), float((inside > 0).mean())


def _points(
    real: ArrayLike, synthetic: ArrayLike, n_neighbors: int, max_cells: int, random_state: Seed
) -> tuple[NDArray, NDArray]:
    if n_neighbors < 1:
        raise ValueError(
            f"`n_neighbors` must be at least 1, got {n_neighbors}. The default is {N_NEIGHBORS}."
        )
    rng = np.random.default_rng(random_state)
    pair = equal_sized_pair(
        real, synthetic, min_cells=n_neighbors + 1, max_cells=max_cells, random_state=rng
    )
    return joint_pca(*pair, random_state=int(rng.integers(2**31)))
