"""Codecs: what comes back looks like what went in."""

import numpy as np
import pytest
import torch
from scanpy.datasets import pbmc68k_reduced

from scdiff_augment.codec.choice import codec_for, latent_size
from scdiff_augment.codec.count_codec import CountCodec
from scdiff_augment.codec.encoders import PCAEncoder
from scdiff_augment.codec.real_value_codec import RealCodec
from scdiff_augment.expression.kinds import denormalise, depth_normalised, normalise


def fitted(codec, parts, seed=0):
    for _ in codec.fit(parts, torch.Generator().manual_seed(seed)):
        pass
    return codec


@pytest.fixture(scope="module")
def packaged():
    parts = denormalise(pbmc68k_reduced().raw.X.toarray())
    codec = fitted(codec_for(parts), parts)
    values, factor = codec.decode(codec.encode(parts), np.random.default_rng(0))
    return parts, codec, values, factor


def test_decoded_counts_have_the_real_mean_and_zero_fraction(packaged):
    parts, codec, values, _ = packaged
    real = parts.values
    assert abs((values == 0).mean() - (real == 0).mean()) < 0.01
    np.testing.assert_allclose(values.mean(), real.mean(), rtol=0.02)
    expressed = real.mean(axis=0) > 0.5
    ratio = values.mean(axis=0)[expressed] / real.mean(axis=0)[expressed]
    # Of one draw: sums of 700 overdispersed counts, the widest of 319 genes at four deviations.
    rates, _ = codec.rates(codec.encode(parts))
    phi = codec.ratios(1.0).var(axis=1)
    variance = (rates + phi * rates.astype(float) ** 2).sum(axis=0)[expressed]
    width = np.sqrt(variance) / real.sum(axis=0)[expressed]
    assert (np.abs(ratio - 1) < 4 * width).all()
    assert np.quantile(width, 0.99) < 0.25  # a few cells hold all of a gene or two
    np.testing.assert_allclose(ratio.mean(), 1, atol=0.02)


def test_few_cells_get_few_latents_and_keep_their_zeros():
    """With 50 latents for 350 cells, 3 % of the entries too many come out zero."""
    parts = denormalise(pbmc68k_reduced().raw.X.toarray()[::2])
    codec = fitted(codec_for(parts), parts)
    values, _ = codec.decode(codec.encode(parts), np.random.default_rng(0))
    assert abs((values == 0).mean() - (parts.values == 0).mean()) < 0.01
    assert [latent_size("auto", n) for n in (30, 350, 2530)] == [5, 10, 50]
    assert latent_size(33, 30) == 33


def test_decoded_values_lie_on_the_real_scale(packaged):
    parts, _, values, factor = packaged
    X = pbmc68k_reduced().raw.X.toarray()
    new = normalise(values, parts.kind, total=parts.total, factor=factor)
    np.testing.assert_allclose(new.mean(), X.mean(), rtol=0.05)
    np.testing.assert_allclose(new.max(axis=1).mean(), X.max(axis=1).mean(), rtol=0.1)


def test_decoded_library_sizes_follow_the_latent(packaged):
    parts, _, values, _ = packaged
    real, new = parts.values.sum(axis=1), values.sum(axis=1)
    assert np.corrcoef(np.log(real), np.log(new))[0, 1] > 0.95
    few, many = (np.quantile(new, q) / np.quantile(real, q) for q in (0.01, 0.99))
    assert 0.8 < few < 1.1
    assert 0.9 < many < 1.25


def test_a_decoded_cell_does_not_depend_on_its_batch(packaged):
    _, codec, _, _ = packaged
    z = torch.randn(9, codec.encode(packaged[0]).shape[1], generator=torch.Generator())
    with torch.no_grad():
        torch.testing.assert_close(codec.decoder_(z)[:1], codec.decoder_(z[:1]))


def test_training_raises_the_likelihood(counts):
    parts = denormalise(depth_normalised(counts[0]))
    losses = [
        loss
        for _, loss in CountCodec(PCAEncoder(5), n_steps=200).fit(
            parts, torch.Generator().manual_seed(0)
        )
    ]
    assert np.mean(losses[-20:]) < np.mean(losses[:5]) - 0.1


def test_real_values_keep_mean_and_covariance():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4000, 6)) @ rng.normal(size=(6, 6)) + 5 * rng.normal(size=6)
    parts = denormalise(X, "real")
    codec = fitted(RealCodec(PCAEncoder(2)), parts)
    values, _ = codec.decode(codec.encode(parts), rng)
    np.testing.assert_allclose(values.mean(axis=0), X.mean(axis=0), atol=0.15)
    np.testing.assert_allclose(np.cov(values.T), np.cov(X.T), atol=0.1 * np.cov(X.T).max())


def test_non_negative_real_values_stay_so():
    X = np.random.default_rng(0).gamma(0.5, size=(60, 9))
    parts = denormalise(X, "real")
    codec = fitted(RealCodec(PCAEncoder(3)), parts)
    assert codec.decode(codec.encode(parts), np.random.default_rng(0))[0].min() >= 0


@pytest.mark.parametrize(
    "codec", [CountCodec(PCAEncoder(50), n_steps=5), RealCodec(PCAEncoder(50))]
)
def test_more_latents_than_features_are_clamped(codec, counts):
    parts = denormalise(counts[0][:, :7], "counts" if isinstance(codec, CountCodec) else "real")
    assert fitted(codec, parts).n_latent == 7


def test_features_of_any_scale_keep_their_spread():
    rng = np.random.default_rng(0)
    scale = np.array([1e3, 100, 10, 1, 0.1, 0.01])
    X = (rng.normal(size=(2000, 6)) @ rng.normal(size=(6, 6))) * scale + 1e4
    parts = denormalise(X, "real")
    codec = fitted(RealCodec(PCAEncoder(3)), parts)
    values, _ = codec.decode(codec.encode(parts), rng)
    np.testing.assert_allclose(values.std(axis=0)[:4], X.std(axis=0)[:4], rtol=0.1)
