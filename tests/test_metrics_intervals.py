"""Intervals contain as many further values as they promise."""

import numpy as np
import pytest
from scipy import stats

from scdiff_augment.metrics.intervals import median_interval, prediction_interval


@pytest.mark.parametrize("n_new", [40, 160])
def test_medians_of_other_cells_lie_inside_as_often_as_promised(n_new):
    rng = np.random.default_rng(0)
    inside = []
    for i in range(300):
        low, high = median_interval(rng.lognormal(size=80), n_new, random_state=i)
        inside.append(low < np.median(rng.lognormal(size=n_new)) < high)
    assert 0.91 < np.mean(inside) < 0.985


def test_the_median_interval_is_as_wide_as_its_closed_form():
    rng = np.random.default_rng(0)
    ends = [median_interval(rng.normal(size=1000), 250, random_state=i) for i in range(30)]
    # The median of n normal values has standard deviation sqrt(pi / 2n).
    expected = 2 * 1.96 * np.sqrt(np.pi / 2 * (1 / 1000 + 1 / 250))
    assert np.mean(np.diff(ends)) == pytest.approx(expected, rel=0.1)
    values = rng.normal(size=20)
    assert median_interval(values, 20) == median_interval(values, 20)


def test_prediction_interval_is_the_textbook_one():
    values = [0.3, 0.5, 0.4, 0.6]
    low, high = prediction_interval(values)
    reach = stats.t(3).ppf(0.975) * np.std(values, ddof=1) * np.sqrt(1.25)
    assert (low, high) == pytest.approx((0.45 - reach, 0.45 + reach))
    with pytest.raises(ValueError, match="an interval needs at least 2 values"):
        prediction_interval([1.0])


def test_one_more_value_lies_inside_the_prediction_interval_as_often_as_promised():
    rng = np.random.default_rng(0)
    ends = np.array([prediction_interval(rng.normal(size=8)) for _ in range(2000)])
    new = rng.normal(size=2000)
    assert np.mean((ends[:, 0] < new) & (new < ends[:, 1])) == pytest.approx(0.95, abs=0.015)
