"""Samplers and data that the tests share."""

import numpy as np
import pytest

from scdiff_augment import DiffusionOversampler, LatentDiffusion

TINY = {
    "n_latent": 5,
    "width": 16,
    "decoder_steps": 20,
    "denoiser_steps": 20,
    "n_steps": 5,
}


def make_sampler(**parameters):
    """Build a DiffusionOversampler that trains in a fraction of a second."""
    return DiffusionOversampler(**{**TINY, "random_state": 0, **parameters})


def make_model(**parameters):
    """Build a LatentDiffusion that trains in a fraction of a second."""
    return LatentDiffusion(**{**TINY, "random_state": 0, **parameters})


@pytest.fixture
def counts():
    """60 + 30 + 10 cells of three types, 40 genes, negative binomial counts, and labels."""
    rng = np.random.default_rng(0)
    labels = np.repeat(["common", "middle", "rare"], [60, 30, 10])
    profile = rng.gamma(0.5, 1.0, (3, 40)) + 0.02
    proportions = (profile / profile.sum(axis=1, keepdims=True))[np.repeat([0, 1, 2], [60, 30, 10])]
    library = rng.lognormal(4.5, 0.3, (100, 1))
    return rng.poisson(rng.gamma(5, proportions * library / 5)), labels
