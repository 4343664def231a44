"""How well separated the rare types are from the others, before any augmentation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scdiff_bench.classifiers.learners import UpToPCA
from sklearn.neighbors import NearestNeighbors

NEIGHBOURS = 15


def separation(X: NDArray[np.float32], y: NDArray[np.str_], rare: Sequence[str], seed: int) -> Any:
    """Return the fraction of a rare cell's neighbours that are of its own type.

    Neighbours are sought among real cells in up to 50 principal components. A type of fewer than
    16 cells has as many neighbours as it has other cells.

    Parameters
    ----------
    X : ndarray, shape (cells, genes)
        Real cells outside the test set: the training set, and cells held out for the oracle.
    y : ndarray of str, shape (cells,)
        Their types.
    rare : sequence of str
        Rare types.
    seed : int
        Seed of the projection.

    Returns
    -------
    float
        Mean over the rare types: 1 for types apart from all others, about the type's
        share of all cells for one that cannot be told apart. NaN without a rare type of two cells.
    """
    Z = UpToPCA(50, random_state=seed).fit(X).transform(X)
    finder = NearestNeighbors().fit(Z)
    found = []
    for name in rare:
        mine = np.flatnonzero(y == name)
        k = min(NEIGHBOURS, len(mine) - 1)
        if k > 0:
            near = finder.kneighbors(Z[mine], k + 1, return_distance=False)[:, 1:]
            found.append((y[near] == name).mean())
    return float(np.mean(found)) if found else float("nan")
