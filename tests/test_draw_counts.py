"""Counts are drawn as SciPy says that they are distributed."""

import numpy as np
import pytest
from scipy import stats

from scdiff_augment.codec.count_noise import gamma_weights, ratio_table
from scdiff_augment.codec.draw_counts import LARGE, draw_counts
from scdiff_augment.streaming.block_sizes import ROWS

N = 60_000


def drawn(rate, ratios=None, n=N, seed=0):
    rates = np.full((n, 1), rate, dtype=np.float32)
    return draw_counts(rates, ratios, np.random.default_rng(seed))[:, 0]


def table(phi):
    """Equally likely ratios of a gamma distribution."""
    return ratio_table(gamma_weights(np.atleast_1d(phi)).astype(np.float32))


def agree(found, probabilities):
    """Pearson's statistic over counts that are expected at least ten times, and the rest."""
    expected = len(found) * probabilities
    keep = expected >= 10
    seen = np.bincount(found.astype(int), minlength=len(expected))[: len(expected)]
    seen, expected = seen[keep], expected[keep]
    n = len(found)
    seen, expected = np.append(seen, n - seen.sum()), np.append(expected, n - expected.sum())
    statistic = ((seen - expected)[expected > 1] ** 2 / expected[expected > 1]).sum()
    return stats.chi2.sf(statistic, (expected > 1).sum() - 1) > 1e-4


@pytest.mark.parametrize("phi", [None, 0.05, 0.5, 4.0])
@pytest.mark.parametrize("rate", [0.01, 0.7, LARGE - 0.1, LARGE + 0.1, 60.0])
def test_frequencies_are_those_of_the_mixture(rate, phi):
    """Poisson around each of the equally likely ratios, closed form."""
    ratios = None if phi is None else table(phi)
    means = rate * (np.ones(1) if ratios is None else ratios[0].astype(float))
    values = np.arange(int(stats.poisson.ppf(1 - 1e-9, means.max())) + 2)
    found = drawn(rate, ratios)
    assert agree(found, stats.poisson.pmf(values, means[:, None]).mean(axis=0))
    assert (found == np.round(found)).all()


@pytest.mark.parametrize("phi", [0.1, 0.5, 1.5])
@pytest.mark.parametrize("rate", [0.3, 3.0, 20.0])
def test_a_gamma_distribution_gives_nearly_negative_binomials(rate, phi):
    law = stats.nbinom(1 / phi, 1 / (1 + phi * rate))
    found = drawn(rate, table(phi), n=200_000)
    np.testing.assert_allclose(found.mean(), rate, rtol=0.02)
    np.testing.assert_allclose(found.var(), law.var(), rtol=0.1)
    values = np.arange(60)
    seen = np.array([(found <= k).mean() for k in values])
    assert np.abs(seen - law.cdf(values)).max() < 0.02


def test_genes_keep_their_own_rates_and_ratios():
    rates = np.tile(np.array([0.2, 3.0, 3.0, 40.0], dtype=np.float32), (N, 1))
    ratios = table(np.array([0.3, 0.0, 2.0, 0.1]))
    counts = draw_counts(rates, ratios, np.random.default_rng(1))
    mean = rates[0].astype(float)
    variance = mean + ratios.var(axis=1) * mean**2
    np.testing.assert_allclose(counts.mean(axis=0), mean, atol=5 * np.sqrt(variance / N).max())
    np.testing.assert_allclose(counts.var(axis=0), variance, rtol=0.05)


def test_rare_large_counts_are_not_cut_off():
    """Single-precision numbers end at 1 - 6e-8; the tail lies beyond their steps."""
    n = 3_000_000
    counts = drawn(0.5, n=n)
    law = stats.poisson(0.5)
    assert counts.max() >= law.ppf(1 - 1e-6)
    assert (counts >= 6).sum() == pytest.approx(n * law.sf(5), rel=0.5)


def test_blocks_of_rows_follow_one_another():
    rates = np.random.default_rng(0).gamma(0.5, 2.0, (ROWS + 7, 5)).astype(np.float32)
    ratios = table(np.full(5, 0.4))
    whole = draw_counts(rates, ratios, np.random.default_rng(3))
    rng = np.random.default_rng(3)
    parts = [draw_counts(part, ratios, rng) for part in (rates[:ROWS], rates[ROWS:])]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


def test_no_cells_and_no_rates():
    none = np.zeros((0, 4), dtype=np.float32)
    ratios = table(np.full(4, 0.5))
    assert draw_counts(none, ratios, np.random.default_rng(0)).shape == (0, 4)
    zeros = np.zeros((3, 4), dtype=np.float32)
    assert not draw_counts(zeros, ratios, np.random.default_rng(0)).any()


def test_rates_are_not_changed_by_drawing():
    rates = np.full((3, 4), 9.0, dtype=np.float32)
    draw_counts(rates, table(np.full(4, 0.5)), np.random.default_rng(0))
    np.testing.assert_array_equal(rates, 9)
