"""Overdispersion: recovered where it is known."""

import numpy as np
import pytest
from scipy import stats

from scdiff_augment.codec.dispersion import GRID, gene_dispersion, profile


def simulated(phi, n_cells=600, seed=0):
    rng = np.random.default_rng(seed)
    n_genes = 200
    rates = np.exp(rng.normal(0.5, 0.8, (n_cells, n_genes))).astype(np.float32)
    noisy = rates * rng.gamma(1 / phi, phi, rates.shape) if phi else rates
    return rng.poisson(noisy).astype(np.float32), rates


@pytest.mark.parametrize("phi", [0.05, 0.3, 1.0])
def test_the_dispersion_that_counts_were_drawn_with_is_found(phi):
    found = gene_dispersion(*simulated(phi))
    assert np.median(found) == pytest.approx(phi, rel=0.2)  # of 600 cells
    assert found.std() < 0.03 + 0.2 * phi


def test_poisson_counts_have_almost_none():
    found = gene_dispersion(*simulated(0.0))
    assert np.mean(found == 0) > 0.3
    assert np.median(found) < 0.01


def test_the_likelihood_is_that_of_the_negative_binomial():
    counts, rates = simulated(0.3, n_cells=40)
    ours = profile(counts, rates)

    def reference(phi):
        size = 1 / phi
        return stats.nbinom.logpmf(counts, size, size / (size + rates)).sum(axis=0)

    got = ours[12] - ours[3]  # the constant drops out
    expected = reference(GRID[12]) - reference(GRID[3])
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-4)


def test_genes_of_few_counts_lean_on_genes_alike():
    counts, rates = simulated(0.3, n_cells=30)
    alone = [gene_dispersion(counts[:, [g]], rates[:, [g]])[0] for g in range(200)]
    together = gene_dispersion(counts, rates)
    assert np.std(together) < 0.8 * np.std(alone)
