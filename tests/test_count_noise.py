"""Noise of counts, gene by gene: found again where it is known, and led by the prior elsewhere."""

import numpy as np
import pytest
from scipy import stats

from scdiff_augment.codec.count_noise import (
    LEVELS,
    PRIOR_CELLS,
    RATIOS,
    gamma_weights,
    poisson,
    ratio_table,
    ratio_weights,
)
from scdiff_augment.codec.dispersion import gene_dispersion


def simulated(ratio, n_cells=800, n_genes=60, seed=0):
    """Counts around rates times ratios that `ratio(rng, shape)` draws."""
    rng = np.random.default_rng(seed)
    rates = np.exp(rng.normal(1.0, 0.6, (n_cells, n_genes)))
    return rng.poisson(rates * ratio(rng, rates.shape)).astype(np.float32), rates


def gamma(phi):
    return lambda rng, shape: rng.gamma(1 / phi, phi, shape)


def off_or_on(rng, shape):
    """A gene that 40 % of the cells do not have at all."""
    return np.where(rng.random(shape) < 0.4, 0.002, 1 / 0.6)


@pytest.mark.parametrize("phi", [0.05, 0.3, 1.0])
def test_gamma_noise_is_found_again(phi):
    weights = ratio_weights(*simulated(gamma(phi)))
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)
    below = np.cumsum(weights.mean(axis=0))[:-1]
    edges = np.sqrt(RATIOS[1:] * RATIOS[:-1])
    assert np.abs(below - stats.gamma.cdf(edges, 1 / phi, scale=phi)).max() < 0.06


def test_a_gene_that_is_off_in_some_cells_is_seen_to_be_so():
    """No negative binomial has this many zeros and so few small counts."""
    counts, rates = simulated(off_or_on)
    table = ratio_table(ratio_weights(counts, rates))
    off = (table < 0.1).mean(axis=1)
    assert np.median(off) == pytest.approx(0.4, abs=0.06)
    rng = np.random.default_rng(1)
    drawn = rng.poisson(rates * table[:, rng.integers(LEVELS, size=len(rates))].T)
    held_out, _ = simulated(off_or_on, seed=2)
    assert (drawn == 0).mean() == pytest.approx((held_out == 0).mean(), abs=0.02)
    size = 1 / np.maximum(gene_dispersion(counts, rates), 1e-3)
    negative_binomial = rng.negative_binomial(size, size / (size + rates))
    gaps = [
        stats.ks_2samp(new.ravel(), held_out.ravel()).statistic
        for new in (drawn, negative_binomial)
    ]
    assert gaps[0] < 0.5 * gaps[1]


def test_poisson_counts_get_almost_no_noise():
    table = ratio_table(ratio_weights(*simulated(lambda rng, shape: np.ones(shape))))
    assert np.median(table.var(axis=1)) < 0.02


@pytest.mark.parametrize("rate", [0.01, 0.5, 50.0, 500.0])
@pytest.mark.parametrize("count", [0, 20, 1_000, 1_000_000])
def test_a_single_cell_far_from_all_others_is_taken_as_it_is(rate, count):
    rates = np.full((900, 40), rate)
    counts = np.random.default_rng(0).poisson(rates).astype(np.float32)
    counts[0, :8] = count
    weights = ratio_weights(counts, rates)
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-4)
    table = ratio_table(weights)
    np.testing.assert_allclose(table.mean(axis=1), 1, rtol=1e-4)


def test_few_cells_are_led_by_the_prior():
    """With fewer cells than the prior weighs, a gene stays near the gamma distribution."""
    counts, rates = simulated(off_or_on, n_cells=5)
    weights = ratio_weights(counts, rates)
    prior = gamma_weights(gene_dispersion(counts, rates))
    assert np.abs(weights - prior).sum(axis=1).max() <= 2 * 5 / (5 + PRIOR_CELLS) + 1e-5


def test_equally_likely_ratios_have_mean_1_and_the_share_of_the_variance_that_is_asked():
    weights = gamma_weights(np.array([0.0, 0.1, 0.5])).astype(np.float32)
    table = ratio_table(weights)
    assert table.shape == (3, LEVELS)
    np.testing.assert_allclose(table.mean(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(table.var(axis=1)[1:], [0.1, 0.5], rtol=0.15)
    half = ratio_table(weights, 0.5)
    np.testing.assert_allclose(half.mean(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(half.var(axis=1)[1], table.var(axis=1)[1] / 2, rtol=0.1)
    assert (ratio_table(weights, 0.0) == 1).all()
    assert (ratio_table(poisson(4)) == 1).all()
