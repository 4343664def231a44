"""Gradient interpolation: closed form, then behaviour."""

import numpy as np
import pytest
import torch
from tiny import make_model

from scdiff_augment import diffusion
from scdiff_augment.diffusion.classifier import LatentClassifier
from scdiff_augment.diffusion.mixture import NoisyMixture
from scdiff_augment.sampling import interpolation


def lead(mixture, z, weight, sigma, scale=1.0, n_steps=60):
    """Noise cells to sigma and denoise them under both gradients; returns them and the noisy."""
    generator = torch.Generator().manual_seed(0)
    sigmas = diffusion.select_sigmas(diffusion.ddpm_sigmas(), n_steps, sigma)
    mix = interpolation.mixed(mixture.denoise, LatentClassifier(mixture), (0, 1), scale)
    noisy = z + sigmas[0] * torch.randn(z.shape, generator=generator)
    with torch.no_grad():
        (found,) = interpolation.from_noise(mix, z, [weight], sigmas, "dpm++", 0)
    return found, noisy


@pytest.mark.parametrize("weight", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("sigma", [1.0, 4.0])
def test_path_between_equal_gaussians_is_the_straight_line_of_their_means(weight, sigma):
    """The weighted geometric mean of N(a, S) and N(b, S) is N((1-w) a + w b, S)."""
    means = torch.tensor([[0.0, 0.0, 0.0], [4.0, 1.0, 0.0], [0.0, 5.0, 5.0]])
    variance = torch.tensor([1.0, 0.25, 0.5])
    mixture = NoisyMixture(
        means, torch.diag(variance).expand(3, 3, 3), torch.tensor([0.5, 0.2, 0.3])
    )
    z = means[0] + variance.sqrt() * torch.randn(500, 3, generator=torch.Generator().manual_seed(1))
    found, noisy = lead(mixture, z, weight, sigma)
    middle = (1 - weight) * means[0] + weight * means[1]
    # The probability flow of N(m, v) from level s keeps (x - m) / sqrt(v + s²).
    level = diffusion.select_sigmas(diffusion.ddpm_sigmas(), 60, sigma)[0]
    expected = middle + torch.sqrt(variance / (variance + level**2)) * (noisy - middle)
    torch.testing.assert_close(found, expected, atol=0.05, rtol=0.02)


def test_path_bends_to_where_both_classes_have_room():
    """With unequal covariances the mean is weighted by precision and leaves the straight line."""
    means = torch.tensor([[0.0, 0.0], [4.0, 4.0]])
    covariances = torch.stack(
        [torch.diag(torch.tensor([2.0, 0.1])), torch.diag(torch.tensor([0.1, 2.0]))]
    )
    mixture = NoisyMixture(means, covariances, torch.tensor([0.5, 0.5]))
    found, _ = lead(mixture, torch.zeros(400, 2), 0.5, 30.0)
    # Noise hides the covariances at first: the path goes part of the way to (3.8, 0.2).
    assert found[:, 0].mean() > 2.5
    assert found[:, 1].mean() < 1.5


def test_inversion_carries_a_cell_to_the_same_place_among_its_new_neighbours():
    """Between Gaussians of one covariance, the whole cloud is shifted along the means."""
    means = torch.tensor([[0.0, 0.0], [4.0, 2.0]])
    variance = torch.tensor([1.0, 0.3])
    mixture = NoisyMixture(means, torch.diag(variance).expand(2, 2, 2), torch.tensor([0.6, 0.4]))
    z = variance.sqrt() * torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    sigmas = diffusion.select_sigmas(diffusion.ddpm_sigmas(), 200, 20.0)
    mix = interpolation.mixed(mixture.denoise, LatentClassifier(mixture), (0, 1), 1.0)
    with torch.no_grad():
        path = list(interpolation.from_inversion(mix, z, [0.0, 0.5, 1.0], sigmas))
    for weight, found in zip((0.0, 0.5, 1.0), path, strict=True):
        # The flow shrinks towards the mean at the level reached, which is not quite noise alone.
        level = sigmas[0]
        kept = torch.sqrt(variance / (variance + level**2))
        expected = z + (1 - kept) * weight * (means[1] - means[0])
        torch.testing.assert_close(found, expected, atol=1e-4 if weight == 0 else 0.06, rtol=0)


@pytest.mark.parametrize("sampler", ["dpm++", "ddpm"])
def test_a_cell_meets_the_same_noise_at_every_weight(classes_in_a_row, sampler):
    mix = interpolation.mixed(
        classes_in_a_row.denoise, LatentClassifier(classes_in_a_row), (0, 1), 1.0
    )
    sigmas = diffusion.select_sigmas(diffusion.ddpm_sigmas(), 10, 3.0)
    first, second = interpolation.from_noise(mix, torch.zeros(5, 2), [0.4] * 2, sigmas, sampler, 7)
    torch.testing.assert_close(first, second, rtol=0, atol=0)


@pytest.fixture
def classes_in_a_row():
    means = torch.tensor([[0.0, 0.0], [4.0, 0.0]])
    return NoisyMixture(means, torch.eye(2).expand(2, 2, 2), torch.tensor([0.5, 0.5]))


@pytest.fixture(scope="module")
def fitted():
    """Three types in a row, learnt without the one in the middle, and cells of the first."""
    rng = np.random.default_rng(0)
    rates = np.ones((2, 40))
    rates[0, :20], rates[1, 20:] = 12, 12
    labels = np.repeat(["first", "last"], 80)
    X = rng.poisson(rates[(labels == "last").astype(int)]).astype(np.float32)
    parameters = {"denoiser_steps": 60, "decoder_steps": 150, "n_steps": 20}
    # In principal components the types are as far apart as here, so that .05 is little noise.
    model = make_model(encoder="pca", **parameters).fit(X)
    return model.add_condition("type", labels), X[:40]


@pytest.mark.parametrize("noise", ["drawn", "inverted"])
def test_path_leads_evenly_from_source_to_target(fitted, noise):
    model, start = fitted
    weights = np.linspace(0, 1, 6)
    path = model.interpolate(start, "type", "first", "last", weights, noise=noise)
    assert path.shape == (6, 40, 40)
    assert path.dtype == np.float32
    assert (path >= 0).all()
    assert (path == np.round(path)).all()
    share = path[:, :, 20:].sum(axis=(1, 2)) / path.sum(axis=(1, 2))
    assert (np.diff(share) > 0).all()
    assert share[0] < 0.15
    assert share[-1] > 0.85
    assert np.diff(share).max() < 0.45  # no jump from one type to the other


def test_little_noise_keeps_a_cell_what_it_is(fitted):
    model, start = fitted
    (near,) = model.interpolate(start, "type", "first", "last", [1.0], sigma=0.05)
    assert near[:, 20:].sum() < 0.2 * near.sum()


def test_the_backbone_and_the_way_back_are_the_same(fitted):
    model, start = fitted
    before = {k: v.clone() for k, v in model.denoiser_.state_dict().items()}
    model.interpolate(start, "type", "last", "first", [0.5])
    assert all(torch.equal(v, before[k]) for k, v in model.denoiser_.state_dict().items())


@pytest.mark.parametrize(
    ("weights", "options", "said"),
    [
        ([], {}, "weights must be numbers from 0 to 1"),
        ([0.5, 1.5], {}, "weights must be numbers from 0 to 1, got \\[0.5, 1.5\\]"),
        ([float("nan")], {}, "weights must be numbers from 0 to 1"),
        ([0.5], {"sigma": 0.0}, "sigma must be above 0 and finite, got 0"),
        ([0.5], {"sigma": float("nan")}, "sigma must be above 0 and finite, got nan"),
        ([0.5], {"noise": "none"}, "noise must be 'drawn' or 'inverted', got 'none'"),
        ([0.5], {"guidance_scale": -1.0}, "guidance_scale must be at least 0"),
    ],
)
def test_bad_numbers_are_refused(fitted, weights, options, said):
    model, start = fitted
    with pytest.raises(ValueError, match=said):
        model.interpolate(start, "type", "first", "last", weights, **options)


def test_unknown_names_are_answered_with_the_known_ones(fitted):
    model, start = fitted
    with pytest.raises(ValueError, match="condition 'tpye' is unknown; known are \\['type'\\]"):
        model.interpolate(start, "tpye", "first", "last", [0.5])
    with pytest.raises(ValueError, match="has no class 'middle'; its classes are"):
        model.interpolate(start, "type", "first", "middle", [0.5])
