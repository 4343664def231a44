"""Memorisation: whether synthetic cells are copies of the generator's training cells."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.neighbors import NearestNeighbors

from .checks import (
    MAX_CELLS,
    Seed,
    checked_matrix,
    require_max_cells,
    require_same_genes,
    subsample,
)
from .embedding import N_PCS, Latents, fit_pca

TOLERANCE = 1e-4
"""Cells are exact duplicates if no gene differs by more, in log1p expression."""

NEAR = 0.01
"""Fraction of held-out real cells that count as near duplicates by definition."""


class Duplicates(NamedTuple):
    """Copies of training cells among the synthetic ones.

    Attributes
    ----------
    exact : int
        Number of synthetic cells that equal a training cell in every gene.
    near : float
        Fraction of synthetic cells nearer to a training cell than all but 1 % of held-out cells.
    """

    exact: int
    near: float


def nearest_neighbour_ratio(
    real: ArrayLike,
    synthetic: ArrayLike,
    training: ArrayLike,
    *,
    max_cells: int = MAX_CELLS,
    random_state: Seed = 0,
) -> float:
    """Distance to the nearest training cell divided by that to the nearest held-out real cell.

    Distances are Euclidean, in 50 joint principal components of all three sets. If there are more
    held-out than training cells, the distance to the nearest held-out cell is its expectation over
    random subsets of the training set's size. If there are fewer, cells that copy nothing have
    ratios somewhat below 1: compare with the real reference, the value of real cells in neither
    set.

    Parameters
    ----------
    real : array-like of shape (n_real, n_genes)
        log1p expression of held-out real cells, which the generator was not trained on.
    synthetic : array-like of shape (n_synthetic, n_genes)
        log1p expression of the synthetic cells.
    training : array-like of shape (n_training, n_genes)
        log1p expression of the cells that the generator was trained on; all of them are used.
    max_cells : int, default=5000
        Limit on the synthetic cells, and on the cells of each set that the principal components
        are fitted to; larger sets are subsampled.
    random_state : int, numpy.random.Generator or None, default=0
        For subsampling, and for the principal components.

    Returns
    -------
    float
        Median over the synthetic cells: 0 if more than half of them are copies, about 1 if training
        cells are no nearer than other real cells.

    Raises
    ------
    ValueError
        If the matrices differ in genes or hold NaN or infinity.

    Examples
    --------
    >>> import numpy as np
    >>> from scdiff_augment.metrics import nearest_neighbour_ratio
    >>> training, held_out, new = np.random.default_rng(0).normal(size=(3, 200, 5))
    >>> nearest_neighbour_ratio(held_out, training, training)
    0.0
    >>> 0.9 < nearest_neighbour_ratio(held_out, new, training) < 1.1
    True
    """
    a, s, t, seed = _checked(real, synthetic, training, max_cells, random_state)
    return float(np.median(ratios_of(*joint_components(a, s, t, max_cells, seed))))


def duplicates(
    real: ArrayLike,
    synthetic: ArrayLike,
    training: ArrayLike,
    *,
    max_cells: int = MAX_CELLS,
    random_state: Seed = 0,
) -> Duplicates:
    """Count exact and near duplicates of training cells.

    Parameters
    ----------
    real : array-like of shape (n_real, n_genes)
        log1p expression of held-out real cells, which the generator was not trained on. Their
        distances to training cells define what is near.
    synthetic : array-like of shape (n_synthetic, n_genes)
        log1p expression of the synthetic cells.
    training : array-like of shape (n_training, n_genes)
        log1p expression of the cells that the generator was trained on; all of them are used.
    max_cells : int, default=5000
        Limit on the synthetic cells, and on the cells of each set that the principal components
        are fitted to; larger sets are subsampled.
    random_state : int, numpy.random.Generator or None, default=0
        For subsampling, and for the principal components.

    Returns
    -------
    Duplicates
        `exact`: number of synthetic cells that equal a training cell in every gene, within 1e-4 in
        log1p expression. `near`: fraction of synthetic cells whose distance to the nearest training
        cell, in 50 joint principal components, is below the 1 % quantile of that distance over the
        held-out real cells (about 0.01 for cells that copy nothing).

    Raises
    ------
    ValueError
        If the matrices differ in genes or hold NaN or infinity.

    Examples
    --------
    >>> import numpy as np
    >>> from scdiff_augment.metrics import duplicates
    >>> training, held_out, new = np.random.default_rng(0).normal(size=(3, 200, 5))
    >>> duplicates(held_out, np.concatenate([new, training[:3]]), training).exact
    3
    """
    a, s, t, seed = _checked(real, synthetic, training, max_cells, random_state)
    z = joint_components(a, s, t, max_cells, seed)
    return Duplicates(exact_duplicates_of(s, t, z[1], z[2]), near_duplicates_of(*z))


def joint_components(
    real: NDArray, synthetic: NDArray, training: NDArray, max_cells: int, seed: int
) -> tuple[Latents, Latents, Latents]:
    """Return all three sets in their joint principal components."""
    # Cells left out of the fit are projected towards the centre, so every set enters it.
    rng = np.random.default_rng(seed)
    sets = (real, synthetic, training)
    pca = fit_pca(np.concatenate([X[subsample(len(X), max_cells, rng)] for X in sets]), N_PCS, seed)
    return pca.transform(real), pca.transform(synthetic), pca.transform(training)


def ratios_of(real: Latents, synthetic: Latents, training: Latents) -> NDArray[np.float64]:
    """Ratio of the distances to the nearest training and held-out cell, for each point."""
    to_training = nearest_distance(synthetic, training)
    to_real = nearest_distance(synthetic, real, len(training))
    # A cell that equals both a training and a held-out cell is no evidence of copying.
    return np.divide(to_training, to_real, out=np.ones_like(to_real), where=to_real > 0)


def near_duplicates_of(real: Latents, synthetic: Latents, training: Latents) -> float:
    """Fraction of points nearer to training points than all but 1 % of held-out points."""
    limit = np.quantile(nearest_distance(real, training), NEAR)
    return float((nearest_distance(synthetic, training) < limit).mean())


def exact_duplicates_of(
    synthetic: NDArray, training: NDArray, z: Latents, z_training: Latents
) -> int:
    """Count the cells that equal their nearest training cell in every gene."""
    index = NearestNeighbors(n_neighbors=1).fit(z_training).kneighbors(z)[1][:, 0]
    return int((np.abs(synthetic - training[index]) <= TOLERANCE).all(axis=1).sum())


def nearest_distance(points: Latents, others: Latents, n: int | None = None) -> NDArray[np.float64]:
    """Distance of each point to the nearest of `others`, or its mean over their subsets of n."""
    size = len(others)
    n = size if n is None else min(n, size)
    # The k-th nearest of all is the nearest of a random subset of n with probability
    # C(size - k, n - 1) / C(size, n).
    chance = [n / size]
    while sum(chance) < 1 - 1e-9 and len(chance) <= size - n:
        k = len(chance)
        chance.append(chance[-1] * (size - k - n + 1) / (size - k))
    distance, index = NearestNeighbors(n_neighbors=len(chance)).fit(others).kneighbors(points)
    # Recomputed: fast searches lose the last digits, and copies must have distance 0.
    distance[:, 0] = np.linalg.norm(points - others[index[:, 0]], axis=1)
    return distance @ (np.array(chance) / sum(chance))


def _checked(
    real: ArrayLike, synthetic: ArrayLike, training: ArrayLike, max_cells: int, random_state: Seed
) -> tuple[NDArray, NDArray, NDArray, int]:
    named = {"real": real, "synthetic": synthetic, "training": training}
    least = {"real": 2, "synthetic": 1, "training": 2}
    values = [checked_matrix(X, name, least[name]) for name, X in named.items()]
    require_same_genes(named)
    rng = np.random.default_rng(random_state)
    synthetic_rows = subsample(len(values[1]), require_max_cells(max_cells), rng)
    return values[0], values[1][synthetic_rows], values[2], int(rng.integers(2**31))
