"""Models small enough to train in a fraction of a second."""

from scdiff_augment import DiffusionOversampler, LatentDiffusion
from scdiff_augment.compute.randomness import Randomness

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


def reseed(model):
    """Let a model's random numbers begin again."""
    model.random_ = Randomness(model.random_state)
