"""Coordinates of maps: joint UMAPs, and projections into given maps."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.neighbors import NearestNeighbors

from scdiff_augment.metrics.checks import require_same_genes
from scdiff_augment.metrics.embedding import fit_pca

from .inputs import log_values, require_coordinates

MIN_SPECTRAL = 10
"""With no more cells than this, UMAP starts from random coordinates, not eigenvectors."""


def joint_umap(
    *matrices: ArrayLike,
    n_pcs: int = 30,
    n_neighbors: int = 15,
    min_dist: float = 0.3,
    random_state: int = 0,
) -> list[NDArray[np.float32]]:
    """Compute one UMAP of several sets of cells.

    Principal components, neighbours and map are computed from all cells together, so that cells
    unlike any others lie apart. Projecting synthetic cells into a map of real ones would hide that.

    Parameters
    ----------
    *matrices : array-like of shape (n_cells, n_genes)
        Sets of cells on the same genes: counts, or log1p of depth-normalised counts.
    n_pcs : int, default=30
        Principal components in which neighbours are searched; lowered for few cells or genes.
    n_neighbors : int, default=15
        Neighbours of a cell, itself included; lowered for few cells.
    min_dist : float, default=0.3
        Minimum distance between cells in the map, as in umap-learn.
    random_state : int, default=0
        Seed of the map.

    Returns
    -------
    list of ndarray of shape (n_cells, 2)
        Coordinates of each set.

    Raises
    ------
    ValueError
        If the matrices differ in genes, hold NaN or infinity, or have fewer than 4 cells in total
        or 3 genes.

    References
    ----------
    McInnes et al. 2018, UMAP: uniform manifold approximation and projection for dimension
    reduction, arXiv:1802.03426.

    Examples
    --------
    >>> import numpy as np
    >>> from scdiff_augment.plotting import joint_umap
    >>> real, synthetic = np.random.default_rng(0).poisson(3.0, (2, 30, 10))
    >>> [xy.shape for xy in joint_umap(real, synthetic)]
    [(30, 2), (30, 2)]
    """
    named = {f"matrix {i}": log_values(X, f"matrix {i}") for i, X in enumerate(matrices)}
    require_same_genes(named)
    both = np.concatenate(list(named.values()))
    if len(both) < 4:
        raise ValueError(f"a map needs at least 4 cells, got {len(both)}. Pass more.")
    if both.shape[1] < 3:
        raise ValueError(f"a map needs at least 3 genes, got {both.shape[1]}. Pass more.")
    pcs = fit_pca(both, n_pcs, random_state).transform(both)
    places = _umap(pcs, min(n_neighbors, len(both) - 1), min_dist, random_state)
    return np.split(places, np.cumsum([len(X) for X in named.values()])[:-1])


def project(
    real: ArrayLike,
    embedding: ArrayLike,
    cells: ArrayLike,
    *,
    n_pcs: int = 30,
    n_neighbors: int = 15,
) -> NDArray[np.float64]:
    """Project cells into a given map of real cells, by their nearest real neighbours.

    Every cell is placed among real ones, however unlike them it is: the map shows which real cells
    are nearest, not how near they are. Use `joint_umap` to see that.

    Parameters
    ----------
    real : array-like of shape (n_real, n_genes)
        Real cells: counts, or log1p of depth-normalised counts.
    embedding : array-like of shape (n_real, 2)
        Coordinates of the real cells.
    cells : array-like of shape (n_cells, n_genes)
        Cells to project, on the same genes: counts, or log1p of depth-normalised counts.
    n_pcs : int, default=30
        Principal components of the real cells, in which neighbours are searched.
    n_neighbors : int, default=15
        Number of nearest real cells; a cell is placed at the median of their coordinates.

    Returns
    -------
    ndarray of shape (n_cells, 2)
        Coordinates of `cells`.

    Raises
    ------
    ValueError
        If the matrices differ in genes or hold NaN or infinity, or `embedding` is not of shape
        (n_real, 2).

    Examples
    --------
    >>> import numpy as np
    >>> from scdiff_augment.plotting import project
    >>> real = np.random.default_rng(0).normal(size=(40, 5))
    >>> bool(np.allclose(project(real, real[:, :2], real[:3], n_neighbors=1), real[:3, :2]))
    True
    """
    values, new = log_values(real, "real"), log_values(cells, "cells")
    require_same_genes({"real": values, "cells": new})
    xy = require_coordinates(embedding, len(values), "real")
    pca = fit_pca(values, n_pcs)
    search = NearestNeighbors(n_neighbors=min(n_neighbors, len(values)))
    near = search.fit(pca.transform(values)).kneighbors(pca.transform(new))[1]
    return np.median(xy[near], axis=1)


def _umap(
    pcs: NDArray, n_neighbors: int, min_dist: float, random_state: int
) -> NDArray[np.float32]:
    """Run umap-learn directly: through scanpy it fails with 8,192 cells or more."""
    distance, index = NearestNeighbors(n_neighbors=n_neighbors).fit(pcs).kneighbors(pcs)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Tensorflow not installed", ImportWarning)
        warnings.filterwarnings("ignore", r"precomputed_knn\[2\]", UserWarning)
        from umap import UMAP

        mapper = UMAP(
            n_neighbors=n_neighbors,
            min_dist=min_dist,
            init="spectral" if len(pcs) > MIN_SPECTRAL else "random",
            # Precomputed, since umap-learn's own search takes a minute to compile.
            precomputed_knn=(index, distance.astype(np.float32)),
            force_approximation_algorithm=True,
            random_state=random_state,
            n_jobs=1,
        )
        return mapper.fit_transform(pcs.astype(np.float32))
