"""Calibration of a classifier's probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 15


def reliability_bins(
    truth: NDArray[np.int64], proba: NDArray[np.floating[Any]], bins: int = BINS
) -> NDArray[np.float64]:
    """Return cells, mean confidence and accuracy, in bins of equal width.

    The confidence of a cell is the largest of its probabilities.

    Parameters
    ----------
    truth : ndarray of int, shape (cells,)
        Column of the true class.
    proba : ndarray, shape (cells, classes)
        Probabilities.
    bins : int, default=15
        Bins between 0 and 1.

    Returns
    -------
    ndarray, shape (bins, 3)
        NaN in the last two columns where a bin is empty.
    """
    confidence = np.clip(proba.max(axis=1), 0, 1)
    right = proba.argmax(axis=1) == truth
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    cells = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(place, confidence, bins) / cells
        share = np.bincount(place, right, bins) / cells
    return np.column_stack([cells, mean, share])


def expected_calibration_error(bins: NDArray[np.float64]) -> float:
    """Return the mean distance between confidence and accuracy.

    Parameters
    ----------
    bins : ndarray, shape (bins, 3)
        From `reliability_bins`.

    Returns
    -------
    float
        Between 0 and 1.

    References
    ----------
    Guo et al. (2017), On calibration of modern neural networks, ICML.
    """
    full = bins[bins[:, 0] > 0]
    return float(np.average(np.abs(full[:, 1] - full[:, 2]), weights=full[:, 0]))
