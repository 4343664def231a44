"""Whether synthetic cells are copies of the cells that the generator was trained on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.neighbors import NearestNeighbors

from .embedding import N_PCS, Latents, fit_pca
from .inputs import MAX_CELLS, Seed, checked, drawn, require_max_cells, same_genes

TOLERANCE = 1e-4
"""Two cells are the same where no gene differs by more, on the log scale."""

NEAR = 0.01
"""The share of honest cells that count as near duplicates."""


class Duplicates(NamedTuple):
    """Copies of training cells among synthetic ones.

    Attributes
    ----------
    exact : int
        Synthetic cells that equal a training cell in every gene.
    near : float
        Share of synthetic cells nearer to a training cell than all but 1 % of held-out cells are.
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
    """Distance of synthetic cells to the nearest training cell, over that to a held-out cell.

    Distances are taken in 50 joint principal components of all three sets. Where there are more
    held-out than training cells, the distance is that expected for as many held-out cells as there
    are training cells. Where there are fewer, honest cells have a ratio somewhat below 1: compare
    with the value of real cells that are in neither set.

    Parameters
    ----------
    real : array-like of shape (n_real, n_genes)
        log1p expression of real cells that the generator has not seen.
    synthetic : array-like of shape (n_synthetic, n_genes)
        Synthetic cells.
    training : array-like of shape (n_training, n_genes)
        The cells that the generator has seen; all of them are looked at.
    max_cells : int, default=5000
        At most this many synthetic cells, and of each set for the principal components.
    random_state : int, numpy.random.Generator or None, default=0
        For drawing cells, and for the principal components.

    Returns
    -------
    float
        Median over synthetic cells: 0 where at least half of them are copies, about 1 where
        training cells are no nearer than other real cells.

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
    return float(np.median(ratios_of(*components(a, s, t, max_cells, seed))))


def duplicates(
    real: ArrayLike,
    synthetic: ArrayLike,
    training: ArrayLike,
    *,
    max_cells: int = MAX_CELLS,
    random_state: Seed = 0,
) -> Duplicates:
    """Count exact and near copies of training cells.

    Parameters
    ----------
    real : array-like of shape (n_real, n_genes)
        log1p expression of real cells that the generator has not seen. Their distances to training
        cells say what is near.
    synthetic : array-like of shape (n_synthetic, n_genes)
        Synthetic cells.
    training : array-like of shape (n_training, n_genes)
        The cells that the generator has seen; all of them are looked at.
    max_cells : int, default=5000
        At most this many synthetic cells, and of each set for the principal components.
    random_state : int, numpy.random.Generator or None, default=0
        For drawing cells, and for the principal components.

    Returns
    -------
    Duplicates
        `exact`: number of synthetic cells that equal a training cell in every gene, within 1e-4;
        `near`: share of synthetic cells that are nearer to their nearest training cell, in 50 joint
        principal components, than the nearest 1 % of real cells are (about 0.01 for honest cells).

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
    z = components(a, s, t, max_cells, seed)
    return Duplicates(exact_of(s, t, z[1], z[2]), near_of(*z))


def components(
    real: NDArray, synthetic: NDArray, training: NDArray, max_cells: int, seed: int
) -> tuple[Latents, Latents, Latents]:
    """All three in their joint principal components."""
    # Cells that the components were not fitted to are drawn inwards, so every set takes part.
    rng = np.random.default_rng(seed)
    sets = (real, synthetic, training)
    pca = fit_pca(np.concatenate([X[drawn(len(X), max_cells, rng)] for X in sets]), N_PCS, seed)
    return pca.transform(real), pca.transform(synthetic), pca.transform(training)


def ratios_of(real: Latents, synthetic: Latents, training: Latents) -> NDArray[np.float64]:
    """Ratio of the nearest distances of each point."""
    to_training, to_real = nearest(synthetic, training), nearest(synthetic, real, len(training))
    # A cell that equals both a training and a held-out cell says nothing of copying.
    return np.divide(to_training, to_real, out=np.ones_like(to_real), where=to_real > 0)


def near_of(real: Latents, synthetic: Latents, training: Latents) -> float:
    """Share of points nearer to training points than nearly all held-out ones."""
    limit = np.quantile(nearest(real, training), NEAR)
    return float((nearest(synthetic, training) < limit).mean())


def exact_of(synthetic: NDArray, training: NDArray, z: Latents, z_training: Latents) -> int:
    """Count cells that equal their nearest training cell in every gene."""
    index = NearestNeighbors(n_neighbors=1).fit(z_training).kneighbors(z)[1][:, 0]
    return int((np.abs(synthetic - training[index]) <= TOLERANCE).all(axis=1).sum())


def nearest(points: Latents, others: Latents, n: int | None = None) -> NDArray[np.float64]:
    """Distance to the nearest of `others`, or the mean over all their subsets of n."""
    size = len(others)
    n = size if n is None else min(n, size)
    # The k-th nearest is the nearest of a subset of n with chance C(size - k, n - 1) / C(size, n).
    chance = [n / size]
    while sum(chance) < 1 - 1e-9 and len(chance) <= size - n:
        k = len(chance)
        chance.append(chance[-1] * (size - k - n + 1) / (size - k))
    distance, index = NearestNeighbors(n_neighbors=len(chance)).fit(others).kneighbors(points)
    # Taken from the points again: fast searches lose the last digits, and copies must have 0.
    distance[:, 0] = np.linalg.norm(points - others[index[:, 0]], axis=1)
    return distance @ (np.array(chance) / sum(chance))


def _checked(
    real: ArrayLike, synthetic: ArrayLike, training: ArrayLike, max_cells: int, random_state: Seed
) -> tuple[NDArray, NDArray, NDArray, int]:
    named = {"real": real, "synthetic": synthetic, "training": training}
    least = {"real": 2, "synthetic": 1, "training": 2}
    values = [checked(X, name, least[name]) for name, X in named.items()]
    same_genes(named)
    rng = np.random.default_rng(random_state)
    synthetic_rows = drawn(len(values[1]), require_max_cells(max_cells), rng)
    return values[0], values[1][synthetic_rows], values[2], int(rng.integers(2**31))
