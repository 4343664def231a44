"""One map for several sets of cells."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.neighbors import NearestNeighbors

from scdiff_augment.expression.kinds import depth_normalised, detect_kind
from scdiff_augment.metrics.embedding import fit_pca
from scdiff_augment.metrics.inputs import checked, same_genes

MIN_SPECTRAL = 10
"""Cells without which a map has no eigenvectors to start from."""


def joint_umap(
    *matrices: ArrayLike,
    n_pcs: int = 30,
    n_neighbors: int = 15,
    min_dist: float = 0.3,
    random_state: int = 0,
) -> list[NDArray[np.float32]]:
    """Place several sets of cells in one UMAP.

    Principal components, neighbours and map are those of all cells together, so that cells unlike
    any other stand apart. Projecting synthetic cells into a map of real ones would hide that.

    Parameters
    ----------
    *matrices : array-like of shape (n_cells, n_genes)
        Sets of cells on the same genes: counts, or log1p of depth-normalised counts.
    n_pcs : int, default=30
        Principal components that neighbours are searched in.
    n_neighbors : int, default=15
        Neighbours of a cell.
    min_dist : float, default=0.3
        How close cells may come in the map.
    random_state : int, default=0
        Makes the map repeatable.

    Returns
    -------
    list of ndarray of shape (n_cells, 2)
        Coordinates of each set.

    Raises
    ------
    ValueError
        If the matrices differ in genes, hold NaN or infinity, or have fewer than 4 cells together.

    Examples
    --------
    >>> import numpy as np
    >>> from scdiff_augment.plotting import joint_umap
    >>> real, synthetic = np.random.default_rng(0).poisson(3.0, (2, 30, 10))
    >>> [xy.shape for xy in joint_umap(real, synthetic)]
    [(30, 2), (30, 2)]
    """
    named = {f"matrix {i}": log_values(X, f"matrix {i}") for i, X in enumerate(matrices)}
    same_genes(named)
    both = np.concatenate(list(named.values()))
    if len(both) < 4:
        raise ValueError(f"a map needs at least 4 cells, got {len(both)}.")
    if both.shape[1] < 3:
        raise ValueError(f"a map needs at least 3 genes, got {both.shape[1]}.")
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
    """Place further cells in a map of real ones, among the real cells that they are most like.

    Every cell ends up on the map, however unlike any real cell it is: this shows which real cells
    are nearest, not how near they are. `joint_umap` shows that.

    Parameters
    ----------
    real : array-like of shape (n_real, n_genes)
        Real cells: counts, or log1p of depth-normalised counts.
    embedding : array-like of shape (n_real, 2)
        Where they lie.
    cells : array-like of shape (n_cells, n_genes)
        Cells to place, on the same genes.
    n_pcs : int, default=30
        Principal components of the real cells in which neighbours are searched.
    n_neighbors : int, default=15
        Nearest real cells; a cell lies at the median of their places.

    Returns
    -------
    ndarray of shape (n_cells, 2)
        Coordinates.

    Raises
    ------
    ValueError
        If the matrices differ in genes or hold NaN or infinity, or the embedding does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from scdiff_augment.plotting import project
    >>> real = np.random.default_rng(0).normal(size=(40, 5))
    >>> bool(np.allclose(project(real, real[:, :2], real[:3], n_neighbors=1), real[:3, :2]))
    True
    """
    values, new = log_values(real, "real"), log_values(cells, "cells")
    same_genes({"real": values, "cells": new})
    xy = require_places(embedding, len(values), "real")
    pca = fit_pca(values, n_pcs)
    search = NearestNeighbors(n_neighbors=min(n_neighbors, len(values)))
    near = search.fit(pca.transform(values)).kneighbors(pca.transform(new))[1]
    return np.median(xy[near], axis=1)


def require_places(places: ArrayLike, n: int, name: str) -> NDArray[np.float64]:
    """Refuse coordinates that are not two finite numbers for each cell."""
    xy = np.asarray(places, dtype=float)
    if xy.shape != (n, 2) or not np.isfinite(xy).all():
        raise ValueError(
            f"the embedding of {name} cells must hold 2 finite coordinates for each of the {n} "
            f"cells, got shape {xy.shape}. Use joint_umap(real, synthetic)."
        )
    return xy


def log_values(X: ArrayLike, name: str) -> NDArray:
    """log1p values of a set of cells, which may be given as counts."""
    values = checked(X, name, min_cells=1)
    return depth_normalised(values) if detect_kind(values) == "counts" else values


def _umap(
    pcs: NDArray, n_neighbors: int, min_dist: float, random_state: int
) -> NDArray[np.float32]:
    """Lay out cells by umap-learn; scanpy's way to it fails with 8,192 cells or more."""
    distance, index = NearestNeighbors(n_neighbors=n_neighbors).fit(pcs).kneighbors(pcs)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Tensorflow not installed", ImportWarning)
        warnings.filterwarnings("ignore", r"precomputed_knn\[2\]", UserWarning)
        from umap import UMAP

        mapper = UMAP(
            n_neighbors=n_neighbors,
            min_dist=min_dist,
            init="spectral" if len(pcs) > MIN_SPECTRAL else "random",
            precomputed_knn=(
                index,
                distance.astype(np.float32),
            ),  # its own search compiles a minute
            force_approximation_algorithm=True,
            random_state=random_state,
            n_jobs=1,
        )
        return mapper.fit_transform(pcs.astype(np.float32))
