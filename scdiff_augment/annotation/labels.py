"""Labels of cells, and how often a cell of each class is shown in training."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def balanced_weights(labels: ArrayLike, balance: float = 0.5) -> NDArray[np.float64]:
    """Return ``n_class ** -balance`` for each cell, (n_cells,).

    With 0.5 rare classes are seen more often than they occur, but not equally often as others.

    Parameters
    ----------
    labels : array-like of shape (n_cells,)
    balance : float in [0, 1], default=0.5
        0 keeps the natural proportions, 1 shows all classes equally often.
    """
    _, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return np.asarray(counts[codes] ** -float(balance), dtype=np.float64)
