"""Counts are drawn as SciPy says that negative binomials are."""

import numpy as np
import pytest
from scipy import stats

from scdiff_augment.negative_binomial import LARGE, ROWS, draw_counts

N = 60_000


def drawn(rate, phi, n=N, seed=0):
    rates = np.full((n, 1), rate, dtype=np.float32)
    return draw_counts(rates, np.array([phi], dtype=np.float32), np.random.default_rng(seed))[:, 0]


@pytest.mark.parametrize("phi", [0.0, 0.01, 0.5, 4.0])
@pytest.mark.parametrize("rate", [0.01, 0.7, LARGE - 0.1, LARGE + 0.1, 60.0])
def test_frequencies_are_those_of_the_distribution(rate, phi):
    """Pearson's statistic over counts that are expected at least ten times, and the rest."""
    law = stats.nbinom(1 / phi, 1 / (1 + phi * rate)) if phi else stats.poisson(rate)
    values = np.arange(int(law.ppf(1 - 1e-9)) + 2)
    expected = N * law.pmf(values)
    keep = expected >= 10
    found = drawn(rate, phi)
    seen = np.bincount(found.astype(int), minlength=len(values))[: len(values)]
    seen, expected = seen[keep], expected[keep]
    seen, expected = np.append(seen, N - seen.sum()), np.append(expected, N - expected.sum())
    statistic = ((seen - expected)[expected > 1] ** 2 / expected[expected > 1]).sum()
    assert stats.chi2.sf(statistic, (expected > 1).sum() - 1) > 1e-4
    assert (found == np.round(found)).all()


def test_genes_keep_their_own_rates_and_dispersions():
    rates = np.tile(np.array([0.2, 3.0, 3.0, 40.0], dtype=np.float32), (N, 1))
    phi = np.array([0.3, 0.0, 2.0, 0.1], dtype=np.float32)
    counts = draw_counts(rates, phi, np.random.default_rng(1))
    mean, variance = rates[0].astype(float), rates[0] + phi * rates[0].astype(float) ** 2
    np.testing.assert_allclose(counts.mean(axis=0), mean, atol=5 * np.sqrt(variance / N).max())
    np.testing.assert_allclose(counts.var(axis=0), variance, rtol=0.05)


def test_rare_large_counts_are_not_cut_off():
    """Single-precision numbers end at 1 - 6e-8; the tail of a wide gene lies beyond its steps."""
    counts = drawn(1.0, 10.0, n=1_000_000)
    law = stats.nbinom(0.1, 1 / 11)
    assert counts.max() > law.ppf(1 - 1e-5)
    beyond = (counts > law.ppf(1 - 1e-4)).mean()
    assert beyond == pytest.approx(law.sf(law.ppf(1 - 1e-4)), rel=0.35)


def test_blocks_of_rows_follow_one_another():
    rates = np.random.default_rng(0).gamma(0.5, 2.0, (ROWS + 7, 5)).astype(np.float32)
    phi = np.full(5, 0.4, dtype=np.float32)
    whole = draw_counts(rates, phi, np.random.default_rng(3))
    rng = np.random.default_rng(3)
    parts = [draw_counts(part, phi, rng) for part in (rates[:ROWS], rates[ROWS:])]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


@pytest.mark.parametrize("phi", [1e-14, 1e-10, 1e-7])
def test_hardly_any_overdispersion_is_poisson(phi):
    found = drawn(1.0, phi)
    np.testing.assert_allclose([found.mean(), found.var()], 1, atol=0.03)


def test_much_overdispersion_is_drawn_in_few_steps():
    found = drawn(3.0, 200.0, n=400_000)
    law = stats.nbinom(1 / 200, 1 / 601)
    np.testing.assert_allclose((found == 0).mean(), law.pmf(0), atol=0.002)
    np.testing.assert_allclose(found.mean(), 3, rtol=0.1)


def test_no_cells_and_no_rates():
    none = np.zeros((0, 4), dtype=np.float32)
    phi = np.full(4, 0.5, dtype=np.float32)
    assert draw_counts(none, phi, np.random.default_rng(0)).shape == (0, 4)
    assert not draw_counts(np.zeros((3, 4), dtype=np.float32), phi, np.random.default_rng(0)).any()


def test_rates_are_not_changed_by_drawing():
    rates = np.full((3, 4), 9.0, dtype=np.float32)
    draw_counts(rates, np.full(4, 0.5, dtype=np.float32), np.random.default_rng(0))
    np.testing.assert_array_equal(rates, 9)
