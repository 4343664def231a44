"""Ordinary kriging against scikit-learn's Gaussian process and against its own definition."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel

from scdiff_augment.conditions.kriging import (
    Field,
    fit_field,
    kriging_weights,
    restricted_likelihood,
    squared_distances,
)


@pytest.fixture
def known():
    """Six places, a smooth effect of four dimensions at each, and its errors."""
    rng = np.random.default_rng(0)
    places = rng.normal(size=(6, 3))
    effects = 5 + np.sin(places @ rng.normal(size=(3, 4)))
    return places, effects, rng.uniform(0.01, 0.1, 6)


@pytest.mark.parametrize("field", [Field(0.5, 2.0), Field(3.0, 0.7)])
def test_prediction_is_that_of_a_gaussian_process_with_a_free_mean(known, field):
    places, effects, noise = known
    free_mean = ConstantKernel(1e6, "fixed")
    kernel = free_mean + ConstantKernel(field.variance, "fixed") * RBF(field.length, "fixed")
    process = GaussianProcessRegressor(kernel, alpha=noise, optimizer=None).fit(places, effects)
    place = np.array([0.3, -0.2, 0.9])
    weights = kriging_weights(field, places, place, noise)
    assert weights.sum() == pytest.approx(1)
    np.testing.assert_allclose(weights @ effects, process.predict(place[None])[0], rtol=1e-4)


def test_restricted_likelihood_is_the_density_of_the_contrasts(known):
    places, effects, noise = known
    squared = squared_distances(places)
    contrasts = np.linalg.svd(np.ones((1, 6)))[2][1:]  # orthonormal, each sums to 0

    def density(field):
        covariance = contrasts @ (field.covariance(squared) + np.diag(noise)) @ contrasts.T
        return multivariate_normal(np.zeros(5), covariance).logpdf((contrasts @ effects).T).sum()

    a, b = Field(0.4, 1.0), Field(2.0, 3.0)
    difference = restricted_likelihood(a, squared, effects, noise)
    difference -= restricted_likelihood(b, squared, effects, noise)
    assert difference == pytest.approx(density(a) - density(b))


def test_length_of_a_field_is_found():
    rng = np.random.default_rng(1)
    places = rng.uniform(0, 10, (40, 2))
    true = Field(2.0, 1.5)
    root = np.linalg.cholesky(true.covariance(squared_distances(places)) + 1e-8 * np.eye(40))
    found = fit_field(places, 3 + root @ rng.normal(size=(40, 30)), np.full(40, 1e-4))
    assert found.length == pytest.approx(2.0, rel=0.2)


def test_near_places_count_and_far_ones_share():
    places = np.array([[0.0, 0], [0.1, 0], [5, 0], [0, 5]])
    field, noise = Field(1.0, 1.0), np.full(4, 0.01)
    near = kriging_weights(field, places, np.array([5.0, 0.1]), noise)
    assert near[2] > 0.95
    far = kriging_weights(field, places, np.array([50.0, 50]), noise)
    assert far[2] == pytest.approx(far[3], rel=1e-4)
    assert far[0] + far[1] == pytest.approx(far[2], rel=0.05)  # two of one kind count as one


@pytest.mark.parametrize(
    "effects", [np.ones((4, 2)), np.array([[1.0, 2.0]]), np.array([[1.0, 2], [3, 4]])]
)
def test_too_little_to_learn_a_field_from_weighs_all_alike(effects):
    places = np.arange(len(effects))[:, None] * np.ones((1, 2))
    noise = np.full(len(effects), 0.1)
    field = fit_field(places, effects, noise)
    assert field is None
    np.testing.assert_allclose(kriging_weights(field, places, places[0], noise), 1 / len(effects))
