"""Bayesian correlated t-test with a region of practical equivalence."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from baycomp.single import Posterior
from numpy.typing import ArrayLike
from scdiff_bench.statistics.contrasts import variance_of_mean


class Rope(NamedTuple):
    """Posterior probabilities; NaN where there are fewer than 2 folds.

    Attributes
    ----------
    worse, same, better : float
        They add up to 1.
    """

    worse: float
    same: float
    better: float


def rope_probabilities(
    gains: ArrayLike,
    n_test: float,
    n_train: float,
    rope: float = 0.01,
    *,
    subsampled: bool = False,
) -> Rope:
    """Return the probabilities that a strategy is worse, practically the same, or better.

    The posterior of the mean gain is a t distribution with the variance of the corrected interval.
    baycomp's own shortcut allows for cross-validation alone, where the two are the same.

    Parameters
    ----------
    gains : array, shape (J,)
        One paired gain per fold; above 0 is better.
    n_test, n_train : float
        Cells in a test set, and cells outside it.
    rope : float, default=0.01
        Half the width of the region of practical equivalence, in the unit of the score.
    subsampled : bool, default=False
        Whether each fold trains on a part of the cells outside its test set.

    Returns
    -------
    Rope
        Probabilities.

    References
    ----------
    Benavoli et al. (2017), Time for a change: a tutorial for comparing multiple classifiers
    through Bayesian analysis, JMLR 18.
    """
    values = np.asarray(gains, dtype=float)
    if len(values) < 2:
        return Rope(float("nan"), float("nan"), float("nan"))
    variance = variance_of_mean(values, n_test, n_train, subsampled=subsampled)
    posterior = Posterior(values.mean(), variance, len(values) - 1, rope)
    return Rope(*(float(p) for p in posterior.probs()))
