"""Where the value of other real cells would lie: intervals for nulls."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

N_BOOTSTRAPS = 1000
"""Resamples; the ends of an interval move by about 2 % of its width between seeds."""


def median_interval(
    values: NDArray, n_new: int, level: float = 0.95, random_state: int = 0
) -> tuple[float, float]:
    """Interval for the median of other cells of the same kind, by the bootstrap.

    Both the median of `values` and that of the other cells vary by chance, so the interval is that
    of the difference between two resamples, around the median of `values`.

    Parameters
    ----------
    values : ndarray of shape (n_cells,)
        One value for each real cell.
    n_new : int
        Cells whose median is asked for.
    level : float, default=0.95
        Share of such medians that lie inside.
    random_state : int, default=0
        Seed of the resamples.

    Returns
    -------
    tuple of float
        Lower and upper end.

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
    """Interval for one more value, where those that are known are normal and independent.

    Parameters
    ----------
    values : array-like of shape (n_values,)
        What was measured, at least 2 values.
    level : float, default=0.95
        The chance that one more lies inside.

    Returns
    -------
    tuple of float
        Lower and upper end: the mean, and on both sides Student's quantile times the standard
        deviation times the root of 1 + 1 / n.

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
            f"an interval needs at least 2 values to learn their spread from, got {len(known)}. "
            f"Measure again on other cells."
        )
    reach = stats.t.ppf((1 + level) / 2, len(known) - 1) * known.std(ddof=1)
    reach *= np.sqrt(1 + 1 / len(known))
    return float(known.mean() - reach), float(known.mean() + reach)
