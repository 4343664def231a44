"""What the cells of each group and class are on average, in the latent."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]


class Combinations(NamedTuple):
    """Groups crossed with the classes of a condition.

    Attributes
    ----------
    means : ndarray of shape (n_groups, n_classes, n_latent)
        Mean latents; 0 where there is no cell.
    sizes : ndarray of shape (n_groups, n_classes)
        Numbers of cells.
    variance : float
        Of cells around the mean of their combination, per dimension.
    """

    means: Array
    sizes: NDArray[np.int64]
    variance: float


def combinations_of(
    z: Tensor, groups: NDArray[np.int64], n_groups: int, codes: NDArray[np.int64], n_classes: int
) -> Combinations:
    """Count and average the cells of each combination.

    Parameters
    ----------
    z : Tensor of shape (n_cells, n_latent)
    groups, n_groups : ndarray of shape (n_cells,), int
        Group of each cell, and how many groups there are.
    codes, n_classes : ndarray of shape (n_cells,), int
        Class of each cell, and how many classes there are.
    """
    points = z.numpy().astype(np.float64)
    combination = groups * n_classes + codes
    count = np.bincount(combination, minlength=n_groups * n_classes)
    mean = np.zeros((len(count), points.shape[1]))
    np.add.at(mean, combination, points)
    mean /= np.maximum(count, 1)[:, None]
    freedom = max(len(points) - np.count_nonzero(count), 1)
    variance = float(((points - mean[combination]) ** 2).sum() / points.shape[1] / freedom)
    shape = n_groups, n_classes
    return Combinations(mean.reshape(*shape, -1), count.reshape(shape), variance)
