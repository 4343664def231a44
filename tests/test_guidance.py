"""Guidance in closed form: a guided mixture is the class itself."""

import numpy as np
import pytest
import torch

from scdiff_augment import diffusion
from scdiff_augment.diffusion.classifier import LatentClassifier
from scdiff_augment.diffusion.denoiser import Denoiser, NoiseMLP
from scdiff_augment.diffusion.guidance import Condition, guide
from scdiff_augment.diffusion.mixture import NoisyMixture


@pytest.fixture
def classes():
    """Three Gaussian classes that overlap, as a mixture."""
    generator = torch.Generator().manual_seed(0)
    means = torch.tensor([[0.0, 0.0], [1.5, 0.0], [0.0, 2.0]])
    roots = 0.7 * torch.randn(3, 2, 2, generator=generator) + torch.eye(2)
    return NoisyMixture(means, roots @ roots.transpose(1, 2), torch.tensor([0.7, 0.25, 0.05]))


def only(mixture, k):
    """One class of the mixture by itself."""
    covariance = (mixture.axes[k] * mixture.variances[k]) @ mixture.axes[k].T
    return NoisyMixture(mixture.means[[k]], covariance[None], torch.ones(1))


@pytest.mark.parametrize("k", [0, 1, 2])
@pytest.mark.parametrize("sigma", [0.05, 0.5, 5.0, 100.0])
def test_guided_denoiser_is_the_class_denoiser(classes, k, sigma):
    z = torch.randn(64, 2, generator=torch.Generator().manual_seed(1)) * (1 + sigma)
    level = torch.full((64,), sigma)
    target = torch.full((64,), k)
    guided = guide(classes.denoise, [Condition(LatentClassifier(classes), target)])
    torch.testing.assert_close(
        guided(z, level), only(classes, k).denoise(z, level), rtol=2e-3, atol=5e-3
    )


def test_guided_sampling_recovers_the_rare_class(classes):
    k, n = 2, 20_000
    generator = torch.Generator().manual_seed(0)
    sigmas = diffusion.select_sigmas(diffusion.ddpm_sigmas(), 40)
    target = torch.full((n,), k)
    guided = guide(classes.denoise, [Condition(LatentClassifier(classes), target)])
    z = sigmas[0] * torch.randn(n, 2, generator=generator)
    with torch.no_grad():
        z = diffusion.sample_dpmpp(guided, z, sigmas)
    covariance = (classes.axes[k] * classes.variances[k]) @ classes.axes[k].T
    np.testing.assert_allclose(z.mean(dim=0), classes.means[k], atol=0.05)
    np.testing.assert_allclose(np.cov(z.T.numpy()), covariance, atol=0.1)


def test_gradients_of_two_conditions_add_up(classes):
    """Two independent annotations: guided by both = score plus both gradients."""
    z = torch.randn(16, 2, generator=torch.Generator().manual_seed(1))
    level = torch.ones(16)
    classifier = LatentClassifier(classes)
    a = Condition(classifier, torch.full((16,), 1), 1.0)
    b = Condition(classifier, torch.full((16,), 2), 0.5)
    base = classes.denoise(z, level)
    both = guide(classes.denoise, [a, b])(z, level) - base
    each = [guide(classes.denoise, [c])(z, level) - base for c in (a, b)]
    torch.testing.assert_close(both, each[0] + each[1], rtol=1e-4, atol=1e-5)


def test_without_conditions_the_denoiser_is_left_as_it_is(classes):
    assert guide(classes.denoise, []) == classes.denoise


def test_classes_of_a_batch_do_not_mix(classes):
    """Each cell follows its own target, whatever stands beside it in the batch."""
    z = torch.randn(4, 2, generator=torch.Generator().manual_seed(1))
    level = torch.ones(4)
    target = torch.tensor([0, 1, 2, 1])
    together = guide(classes.denoise, [Condition(LatentClassifier(classes), target)])(z, level)
    for i in range(4):
        one = guide(classes.denoise, [Condition(LatentClassifier(classes), target[[i]])])
        torch.testing.assert_close(together[[i]], one(z[[i]], level[[i]]), rtol=1e-4, atol=1e-5)


def by_autograd(mixture):
    """The same classifier, of which nothing is known but its log probabilities."""
    classifier = LatentClassifier(mixture)
    return lambda z, sigma: classifier(z, sigma)


@pytest.mark.parametrize("sigma", [0.05, 1.0, 30.0])
@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0, torch.linspace(0, 2, 32)])
def test_the_closed_form_of_the_gradient_is_the_gradient(classes, sigma, scale):
    z = torch.randn(32, 2, generator=torch.Generator().manual_seed(1)) * (1 + sigma)
    target, level = torch.arange(32) % 3, torch.tensor([sigma])
    known = [Condition(LatentClassifier(classes), target, scale)]
    learnt = [Condition(by_autograd(classes), target, scale)]
    expected = guide(classes.denoise, learnt)(z, level)
    # sigma² and a gradient of 1 / sigma² cancel: what single precision leaves
    close = {"rtol": 1e-3, "atol": 1e-3 * (1 + sigma)}
    torch.testing.assert_close(guide(classes.denoise, known)(z, level), expected, **close)


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_a_denoiser_of_the_classes_themselves_takes_the_short_way(classes, scale, monkeypatch):
    generator = torch.Generator().manual_seed(0)
    network = NoiseMLP(2, 2, 8, 2, generator)
    torch.nn.init.normal_(network.leave.weight, generator=generator)
    denoiser = Denoiser(classes, torch.ones(2), network)
    z, level = torch.randn(12, 2, generator=generator), torch.tensor([0.7])
    target = torch.arange(12) % 3
    learnt = Condition(by_autograd(classes), target, scale)
    expected = guide(denoiser, [learnt])(z, level)
    asked = []
    original = NoisyMixture.denoise_mixed  # what passes through all classes at one level
    monkeypatch.setattr(
        NoisyMixture, "denoise_mixed", lambda *given: asked.append(1) or original(*given)
    )
    with torch.no_grad():
        found = guide(denoiser, [Condition(LatentClassifier(classes), target, scale)])(z, level)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    assert len(asked) == (scale != 1)  # at scale 1 the mixture of all classes is not needed


def test_one_level_for_all_cells_is_the_same_as_one_for_each(classes):
    z = torch.randn(9, 2, generator=torch.Generator().manual_seed(1))
    guided = guide(classes.denoise, [Condition(LatentClassifier(classes), torch.arange(9) % 3)])
    torch.testing.assert_close(guided(z, torch.tensor([0.4])), guided(z, torch.full((9,), 0.4)))
