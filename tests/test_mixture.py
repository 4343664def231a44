"""Gaussian mixtures under noise, against scipy and autograd."""

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from scdiff_augment.diffusion.mixture import NoisyMixture, class_mixture, clusters


@pytest.fixture
def mixture():
    generator = torch.Generator().manual_seed(0)
    means = 2 * torch.randn(3, 4, generator=generator)
    roots = torch.randn(3, 4, 4, generator=generator)
    return NoisyMixture(means, roots @ roots.transpose(1, 2), torch.tensor([0.5, 0.3, 0.2]))


def scipy_log_joint(mixture, z, sigma):
    columns = []
    for mean, axes, variances, log_weight in zip(
        mixture.means, mixture.axes, mixture.variances, mixture.log_weights, strict=True
    ):
        covariance = (axes * variances) @ axes.T + sigma**2 * torch.eye(len(mean))
        density = multivariate_normal(mean.double(), covariance.double())
        columns.append(density.logpdf(z) + float(log_weight))
    return np.stack(columns, axis=1) + 0.5 * z.shape[1] * np.log(2 * np.pi)


@pytest.mark.parametrize("sigma", [0.01, 1.0, 30.0])
def test_log_joint_equals_scipy(mixture, sigma):
    z = torch.randn(10, 4, generator=torch.Generator().manual_seed(1))
    ours = mixture.log_joint(z, torch.full((10,), sigma))
    np.testing.assert_allclose(ours, scipy_log_joint(mixture, z.numpy(), sigma), rtol=2e-3)


@pytest.mark.parametrize("sigma", [0.1, 1.0, 30.0])
def test_denoiser_obeys_tweedie(mixture, sigma):
    """E[clean | z] = z + sigma² grad log p(z), with the density's gradient by autograd."""
    z = torch.randn(10, 4, generator=torch.Generator().manual_seed(1)) * (1 + sigma)
    z.requires_grad_(True)
    level = torch.full((10,), sigma)
    (score,) = torch.autograd.grad(torch.logsumexp(mixture.log_joint(z, level), 1).sum(), z)
    torch.testing.assert_close(
        mixture.denoise(z, level), z.detach() + sigma**2 * score, rtol=1e-3, atol=1e-3
    )


def test_log_density_is_normalised_by_component(mixture):
    z = torch.stack([torch.zeros(4), torch.ones(4)])
    joint = scipy_log_joint(mixture, z.numpy(), 1.0)
    share = torch.softmax(mixture.log_joint(z, torch.ones(2)), dim=1)
    np.testing.assert_allclose(
        share, np.exp(joint - logsumexp(joint, axis=1, keepdims=True)), rtol=1e-3
    )


def test_class_mixture_shrinks_small_classes_to_the_pooled_covariance():
    generator = torch.Generator().manual_seed(0)
    codes = torch.tensor([0] * 2000 + [1])
    z = torch.randn(2001, 2, generator=generator) * torch.tensor([3.0, 1.0])
    mixture = class_mixture(z, codes, 2, torch.ones(2001))
    rebuilt = torch.einsum("kij,kj,klj->kil", mixture.axes, mixture.variances, mixture.axes)
    np.testing.assert_allclose(rebuilt[0].diagonal(), [9, 1], rtol=0.1)
    np.testing.assert_allclose(rebuilt[1], rebuilt[0] * 10 / 11, rtol=0.02, atol=0.02)
    np.testing.assert_allclose(mixture.log_weights.exp(), [2000 / 2001, 1 / 2001], rtol=1e-3)


def test_clusters_are_codes_without_gaps():
    z = torch.randn(500, 3, generator=torch.Generator().manual_seed(0))
    codes = clusters(z, torch.Generator().manual_seed(0))
    assert sorted(codes.unique().tolist()) == list(range(int(codes.max()) + 1))
    assert len(codes) == 500


@pytest.mark.parametrize("sigma", [0.02, 1.0, 30.0])
def test_one_level_for_all_cells_gives_what_a_level_for_each_gives(mixture, sigma):
    covariances = (mixture.axes * mixture.variances[:, None]) @ mixture.axes.transpose(1, 2)
    weights = mixture.log_weights.exp().double()
    exact = NoisyMixture(mixture.means.double(), covariances.double(), weights)
    generator = torch.Generator().manual_seed(1)
    z = torch.randn(600, 4, generator=generator, dtype=torch.float64) * (1 + sigma)
    one = torch.tensor([sigma], dtype=torch.float64)
    torch.testing.assert_close(exact.denoise(z, one), exact.denoise(z, one.repeat(600)))
    codes = torch.randint(3, (600,), generator=generator)
    whole = torch.rand(600, 1, generator=generator, dtype=torch.float64)
    parts = torch.nn.functional.one_hot(codes, 3) * 1.25
    torch.testing.assert_close(
        exact.denoise_mixed(z, one, whole, parts),
        whole * exact.denoise(z, one) + 1.25 * exact.denoise_as(z, one, codes),
    )
    single = mixture.denoise(z.float(), one.float()).double()
    torch.testing.assert_close(single, exact.denoise(z, one), atol=2e-4, rtol=0)
