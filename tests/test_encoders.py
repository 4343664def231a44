"""Encoders: trained or given, what they learn and what they refuse."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from tiny import make_model, make_sampler

from scdiff_augment import AutoEncoder, SCimilarityEncoder
from scdiff_augment.codec.autoencoder import _thinned_batches, thinned
from scdiff_augment.codec.encoders import PCAEncoder, encoder_for
from scdiff_augment.expression.kinds import depth_normalised


def generator():
    return torch.Generator().manual_seed(0)


def trained(counts, codes=None, **parameters):
    encoder = AutoEncoder(**{"n_latent": 4, "hidden": (32,), "n_steps": 300, **parameters})
    losses = list(encoder.training(counts.astype(np.float32), generator(), codes))
    return encoder, losses


def test_pca_is_sklearns():
    X = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    ours = PCAEncoder(3).fit(X, generator()).transform(X)
    theirs = PCA(3).fit(X).transform(X)
    np.testing.assert_allclose(np.abs(ours), np.abs(theirs), atol=1e-4)


def test_the_autoencoder_learns_types_and_starts_at_the_mean_profile(counts):
    X, labels = counts
    encoder, losses = trained(X)
    share = (X.sum(axis=0) + 0.5) / (X.sum(axis=0) + 0.5).sum()
    entropy = -(X.sum(axis=0) / X.sum() * np.log(share)).sum()
    np.testing.assert_allclose(losses[0], entropy, rtol=0.02)
    assert np.mean(losses[-50:]) < losses[0] - 0.1
    z = encoder.transform(depth_normalised(X))
    within = np.mean([z[labels == k].var(axis=0).mean() for k in np.unique(labels)])
    assert within < 0.5 * z.var(axis=0).mean()


def test_a_label_term_separates_types_further(counts):
    X, labels = counts
    codes = np.unique(labels, return_inverse=True)[1]

    def separation(encoder):
        z = encoder.transform(depth_normalised(X))
        means = np.stack([z[codes == k].mean(axis=0) for k in range(3)])
        return means.var(axis=0).sum() / (z - means[codes]).var(axis=0).sum()

    plain, _ = trained(X)
    with pytest.warns(FutureWarning, match="label_weight=1.* is deprecated"):
        guided, _ = trained(X, codes, label_weight=1.0)
    assert separation(guided) > 1.5 * separation(plain)
    with pytest.raises(ValueError, match=r"label_weight=1\) learns from labels, but there"):
        trained(X, label_weight=1.0)


def test_thinned_counts_and_the_rest_add_up():
    counts = np.random.default_rng(0).poisson(5.0, (200, 50)).astype(np.float32)
    rows, features, left = next(_thinned_batches(counts, 0.3, 200, generator()))
    read = counts[rows] - left.numpy()
    assert (read >= 0).all()
    assert (left.numpy() >= 0).all()
    np.testing.assert_allclose(read.sum() / counts.sum(), 0.3, atol=0.01)
    np.testing.assert_allclose(features.numpy(), depth_normalised(read), rtol=1e-5)
    # Binomial thinning of Poisson counts leaves independent halves.
    assert abs(np.corrcoef(read.ravel(), left.numpy().ravel())[0, 1]) < 0.03


def test_a_latent_is_a_cells_own_affair(counts):
    X = depth_normalised(counts[0])
    encoder, _ = trained(counts[0], n_steps=20)
    np.testing.assert_allclose(encoder.transform(X)[:1], encoder.transform(X[:1]), rtol=1e-4)
    model = make_model(encoder=encoder).fit(counts[0])
    z = model.encode(counts[0])
    rates, _ = model.codec_.rates(z)
    np.testing.assert_allclose(model.codec_.rates(z[7:8])[0], rates[7:8], rtol=1e-4)
    np.testing.assert_allclose(model.encode(counts[0][7:8]), z[7:8], rtol=1e-4, atol=1e-5)


def test_the_published_shape():
    encoder = AutoEncoder.published(n_steps=1)
    assert (encoder.hidden, encoder.n_latent) == ((1024, 1024, 1024), 128)
    counts = np.random.default_rng(0).poisson(2.0, (20, 30)).astype(np.float32)
    list(encoder.training(counts, generator()))
    shapes = [tuple(layer.weight.shape) for layer in encoder.network_.layers]
    assert shapes == [(1024, 30), (1024, 1024), (1024, 1024)]
    assert encoder.transform(depth_normalised(counts)).shape == (20, 128)
    preset = encoder_for("autoencoder-published", None, None)
    assert (preset.hidden, preset.n_latent) == (encoder.hidden, 128)
    assert encoder_for("autoencoder-published", 5, None).n_latent == 5


@pytest.mark.parametrize("name", ["autoencoder", "pca"])
def test_models_with_each_encoder_give_counts_of_the_right_type(name, counts):
    X, labels = counts
    encoder = AutoEncoder(n_latent=6, n_steps=200) if name == "autoencoder" else name
    model = make_model(encoder=encoder, decoder_steps=200, denoiser_steps=100)
    model.fit(X, groups=labels).add_condition("type", labels)
    new = depth_normalised(model.sample({"type": "rare"}, n=200)).mean(axis=0)
    real = [depth_normalised(X[labels == k]).mean(axis=0) for k in np.unique(labels)]
    assert np.argmin([np.linalg.norm(new - mean) for mean in real]) == 2


def test_a_fitted_encoder_is_used_as_it_is_even_by_clones(counts):
    X, labels = counts
    pca = make_pipeline(FunctionTransformer(), PCA(4, random_state=0)).fit(depth_normalised(X[:50]))
    before = pca[-1].components_.copy()
    sampler = clone(make_sampler(encoder=pca))
    sampler.fit_resample(X, labels)
    np.testing.assert_array_equal(pca[-1].components_, before)
    z = sampler.generator_.encode(X)[:, :4]
    expected = pca.transform(depth_normalised(X))
    assert np.corrcoef(z[:, 0], expected[:, 0])[0, 1] > 0.9999
    fitted, _ = trained(X, n_steps=5)
    weight = fitted.network_.leave.weight.clone()
    clone(make_sampler(encoder=fitted)).fit_resample(X, labels)
    assert torch.equal(fitted.network_.leave.weight, weight)


def test_scimilarity_is_an_encoder_like_any_other(counts, tmp_path):
    from pathlib import Path

    from scdiff_augment import LatentDiffusion

    folder = Path(__file__).parent / "data" / "scimilarity" / "model"
    encoder = SCimilarityEncoder(folder)
    genes = encoder.model_genes_[::-1]
    X = np.random.default_rng(0).poisson(3.0, (80, len(genes)))
    frame = pd.DataFrame(X, columns=genes)
    model = make_model(encoder=encoder).fit(frame)
    assert model.encode(frame).shape[1] == encoder.n_latent + 1
    np.testing.assert_allclose(model.encode(frame[frame.columns[::-1]]), model.encode(frame))
    model.save(tmp_path / "m")
    loaded = LatentDiffusion.load(tmp_path / "m")
    np.testing.assert_array_equal(loaded.encode(frame), model.encode(frame))
    with pytest.raises(ValueError, match="wanted genes"):
        make_model(encoder=encoder).fit(pd.DataFrame(X[:, :9], columns=genes[:9]))


class Broken:
    def __init__(self, z):
        self.z = z

    def transform(self, X):
        return self.z


def test_bad_encoders_are_named(counts):
    X, _ = counts
    with pytest.raises(ValueError, match=r"shape \(7,\) for 100 cells"):
        make_model(encoder=Broken(np.zeros(7))).fit(X)
    with pytest.raises(ValueError, match="with NaN or infinity"):
        make_model(encoder=Broken(np.full((100, 2), np.nan))).fit(X)
    with pytest.raises(ValueError, match="'encoder' parameter"):
        make_model(encoder="vae").fit(X)
    with pytest.raises(ValueError, match="trained by the likelihood of counts"):
        make_model(encoder="autoencoder").fit(np.random.default_rng(0).normal(size=(30, 5)))
    with pytest.raises(ValueError, match="'thinning' parameter"):
        make_model(encoder=AutoEncoder(thinning=0.0)).fit(X)


@pytest.mark.parametrize("share", [0.5, 0.3])
@pytest.mark.parametrize("count", [0, 1, 2, 7, 63, 64, 65, 1000])
def test_thinning_keeps_each_molecule_by_chance(share, count):
    n = 40_000
    kept = thinned(np.full(n, count, dtype=np.uint64), share, np.random.default_rng(0))
    law = stats.binom(count, share)
    assert kept.min() >= 0
    assert kept.max() <= count
    np.testing.assert_allclose(kept.mean(), law.mean(), atol=4 * law.std() / np.sqrt(n))
    np.testing.assert_allclose(kept.var(), law.var(), rtol=0.05)
    np.testing.assert_allclose((kept == 1).mean(), law.pmf(1), atol=0.01)
