"""Intervals for real references: where the value of other real cells would lie."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

N_BOOTSTRAPS = 1000
"""Bootstrap resamples: between seeds an interval's ends move by about 2 % of its width."""


def median_interval(
    values: NDArray, n_new: int, level: float = 0.95, random_state: int = 0
) -> tuple[float, float]:
    """Bootstrap interval for the median of other cells of the same population.

    Both the median of `values` and that of the other cells vary by chance. The interval therefore
    holds the differences between the medians of two resamples, centred at the median of `values`.

    Parameters
    ----------
    values : ndarray of shape (n_cells,)
        One value per real cell.
    n_new : int
        Number of other cells.
    level : float, default=0.95
        Fraction of such medians that the interval contains.
    random_state : int, default=0
        Seed of the resampling.

    Returns
    -------
    low, high : float
        Ends of the interval, in the units of `values`.

    Examples
    --------
    >>> import numpy as np
    >>> from scdiff_augment.metrics.intervals import median_interval
    >>> values = np.random.default_rng(0).normal(1, 0.1, 400)
    >>> low, high = median_interval(values, 400)
    >>> 0.95 < low < np.median(values) < high < 1.05
    True
    """
    rng = np.random.default_rng(random_state)
    own, other = (
        np.median(rng.choice(values, (N_BOOTSTRAPS, n)), axis=1) for n in (len(values), n_new)
    )
    tail = (1 - level) / 2
    low, high = np.median(values) + np.quantile(other - own, [tail, 1 - tail])
    return float(low), float(high)


def prediction_interval(values: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """Prediction interval for one further value of a normal sample.

    Parameters
    ----------
    values : array-like of shape (n_values,)
        At least 2 independent, normally distributed values.
    level : float, default=0.95
        Probability that the interval contains one further value.

    Returns
    -------
    low, high : float
        The mean minus and plus Student's t quantile times the standard deviation times
        sqrt(1 + 1 / n), in the units of `values`.

    Raises
    ------
    ValueError
        If there are fewer than 2 values.

    Examples
    --------
    >>> from scdiff_augment.metrics.intervals import prediction_interval
    >>> low, high = prediction_interval([1.0, 2.0, 3.0])
    >>> round(low, 3), round(high, 3)
    (-2.968, 6.968)
    """
    known = np.asarray(values, dtype=float)
    if len(known) < 2:
        raise ValueError(
            f"an interval needs at least 2 values to estimate their spread, got {len(known)}. "
            f"Compute the value again on other cells."
        )
    reach = stats.t.ppf((1 + level) / 2, len(known) - 1) * known.std(ddof=1)
    reach *= np.sqrt(1 + 1 / len(known))
    return float(known.mean() - reach), float(known.mean() + reach)
