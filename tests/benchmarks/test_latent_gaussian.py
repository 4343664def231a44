"""The ablation: a Gaussian per class, with the spread that was asked for."""

import numpy as np
import pytest
from scdiff_bench.strategies.latent_gaussian import LatentGaussianOversampler

from scdiff_augment.codec.count_codec import CountCodec


def latents_drawn(monkeypatch, temperature):
    rng = np.random.default_rng(0)
    y = np.repeat(["a", "b"], [400, 20])
    strong = rng.normal(0, 1, (420, 1)) @ rng.normal(0, 0.5, (1, 40))  # one direction stands out
    X = rng.poisson(np.exp(1 + strong + rng.normal(0, 0.2, (420, 40)))).astype(np.float32)
    drawn = []
    decode = CountCodec.decode
    monkeypatch.setattr(
        CountCodec, "decode", lambda self, z, *a: (drawn.append(z), decode(self, z, *a))[1]
    )
    sampler = LatentGaussianOversampler(
        encoder="pca", n_latent=3, decoder_steps=20, temperature=temperature, random_state=0
    )
    X_new, y_new = sampler.fit_resample(X, y)
    assert (y_new == "b").sum() == 400
    assert (X_new[420:] == np.rint(X_new[420:])).all()
    return drawn[0]


def test_the_temperature_scales_every_coordinate_but_the_library_size(monkeypatch):
    warm, cool = (latents_drawn(monkeypatch, t) for t in (1.0, 0.5))
    ratio = cool.std(axis=0) / warm.std(axis=0)
    np.testing.assert_allclose(ratio[:3], 0.5, atol=0.12)
    assert ratio[3] == pytest.approx(1, abs=0.25)
