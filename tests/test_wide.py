"""Wide matrices: each short cut beside what it stands for."""

import json

import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import torch
from anndata import AnnData
from scipy.optimize import minimize
from tiny import make_model, make_sampler

from scdiff_augment import LatentDiffusion
from scdiff_augment.codec import class_gene_effects, count_codec
from scdiff_augment.codec.count_noise import RATIOS, ratio_weights
from scdiff_augment.codec.networks import CountDecoder
from scdiff_augment.codec.wide.binned_noise import binned, binned_weights
from scdiff_augment.codec.wide.core_genes import core_genes, residual_variance
from scdiff_augment.codec.wide.expected_counts import expected_counts
from scdiff_augment.codec.wide.gene_regression import (
    completed,
    directions,
    posterior_modes,
    prior_precision,
)


@pytest.fixture
def cells():
    """Counts of two types, the second with twenty genes of its own, and the types."""
    rng = np.random.default_rng(0)
    types = np.repeat([0, 1], [150, 50])
    profile = np.tile(rng.gamma(0.5, 1.0, 120) + 0.02, (2, 1))
    profile[1, :20] *= 8
    profile /= profile.sum(axis=1, keepdims=True)
    rates = rng.lognormal(6.0, 0.3, 200)[:, None] * profile[types]
    return rng.poisson(rates).astype(np.float32), types, rates


@pytest.fixture
def wide_from_20(monkeypatch):
    """Take every matrix of more than 20 genes for a wide one."""
    for module in (count_codec, class_gene_effects):
        monkeypatch.setattr(module, "WIDE", 20)
    monkeypatch.setattr(count_codec, "core_genes", lambda counts: core_genes(counts, 12))


def test_genes_vary_as_scanpys_pearson_residuals_do(cells):
    X, _, _ = cells
    data = AnnData(X)
    sc.experimental.pp.normalize_pearson_residuals(data, theta=100)
    np.testing.assert_allclose(residual_variance(X), data.X.var(axis=0), rtol=1e-4)
    assert np.isin(core_genes(X, 15), np.arange(20)).mean() > 0.8


def test_weights_of_a_gene_are_where_its_posterior_is_highest(cells):
    X, _, _ = cells
    rng = np.random.default_rng(1)
    features, exposure = rng.normal(size=(200, 3)), X.sum(axis=1)
    precision = np.array([1.0, 30.0, 5.0])
    start = torch.from_numpy(np.log(X.sum(axis=0) / exposure.sum()))
    weights, bias = posterior_modes(
        torch.from_numpy(X),
        torch.from_numpy(exposure),
        torch.from_numpy(features).float(),
        start,
        torch.from_numpy(precision).float(),
    )
    for gene in (0, 7, 60):

        def loss(beta, gene=gene):
            mean = exposure * np.exp(beta[0] + features @ beta[1:])
            likelihood = X[:, gene] @ np.log(mean) - mean.sum()
            return 0.5 * precision @ beta[1:] ** 2 - likelihood

        best = minimize(loss, np.array([float(start[gene]), 0, 0, 0])).x
        found = np.array([float(bias[gene]), *weights[gene].tolist()])
        np.testing.assert_allclose(found, best, atol=2e-3)


def test_directions_are_uncorrelated_and_of_variance_1():
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(300, 6, generator=generator) @ torch.randn(6, 6, generator=generator)
    exposure = torch.rand(300, generator=generator)
    axes = directions(hidden, torch.randn(9, 6, generator=generator), torch.ones(9) / 9, exposure)
    weight = exposure / exposure.sum()
    features = (hidden - weight @ hidden) @ axes
    torch.testing.assert_close(
        features.T @ (features * weight[:, None]), torch.eye(6), atol=1e-3, rtol=0
    )


def test_where_genes_follow_nothing_the_prior_allows_nothing():
    rng = np.random.default_rng(0)
    features = torch.from_numpy(rng.normal(size=(400, 2))).float()
    follows = np.where(np.arange(300) < 150, -0.5, 0.5)  # along the first direction alone
    X = rng.poisson(np.exp(features[:, :1].numpy() * follows - 0.125)).astype(np.float32)
    seen = torch.from_numpy(X.sum(axis=0))
    found = 1 / prior_precision(X, np.arange(300), seen, features)
    np.testing.assert_allclose(found[0], 0.25, rtol=0.3)
    assert found[1] < 0.01


def test_a_completed_decoder_expects_the_genes_of_each_type(cells):
    X, types, rates = cells
    z = torch.from_numpy(types[:, None] * 2.0 - 1).float()
    core, others = np.arange(0, 120, 2), np.arange(1, 120, 2)
    sums = [np.hstack([X[types == k][:, core], X[types == k][:, others].sum(1, keepdims=True)])
            for k in (0, 1)]  # fmt: skip
    logits = np.log(np.stack([(s.sum(axis=0) + 0.5) / s.sum() for s in sums]))
    generator = torch.Generator().manual_seed(0)
    decoder = CountDecoder(1, torch.zeros(61), (8,), generator)
    with torch.no_grad():
        hidden = decoder.hidden(torch.tensor([[-1.0], [1.0]]))
        step = hidden[1] - hidden[0]
        slope = torch.from_numpy(logits[1] - logits[0]).float()
        decoder.genes.weight.copy_(slope[:, None] * step / step.square().sum())
        decoder.genes.bias.copy_(
            torch.from_numpy(logits[0]).float() - decoder.genes.weight @ hidden[0]
        )
        whole = completed(decoder, z.numpy(), X, core, others)
        found = whole(torch.tensor([[-1.0], [1.0]])).exp().numpy()
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    for k in (0, 1):
        expected = rates[types == k].sum(axis=0)
        noise = (X[types == k].sum(axis=0) - expected) / np.sqrt(expected)
        error = (found[k] * rates[types == k].sum() - expected) / np.sqrt(expected)
        assert error[others].std() < 1.3 * max(noise[others].std(), 1)


def test_bins_hold_every_entry_once(cells):
    X, _, rates = cells
    bins = binned(X, rates.astype(np.float32))
    n_genes = X.shape[1]
    assert bins.size.sum() == X.size
    np.testing.assert_allclose(np.bincount(bins.gene, bins.value * bins.size), X.sum(axis=0))
    sums = np.bincount(bins.gene, bins.rate * bins.size, n_genes)
    np.testing.assert_allclose(sums, rates.sum(axis=0), rtol=1e-4)


def test_noise_from_bins_is_that_from_single_entries():
    rng = np.random.default_rng(0)
    rates = np.exp(rng.normal(-0.5, 0.8, (600, 50))).astype(np.float32)
    X = rng.poisson(rates * rng.gamma(2.0, 0.5, rates.shape)).astype(np.float32)
    found, exact = binned_weights(X, rates), ratio_weights(X, rates)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-4)
    np.testing.assert_allclose(found @ RATIOS, exact @ RATIOS, rtol=0.01)
    np.testing.assert_allclose(np.cumsum(found, axis=1), np.cumsum(exact, axis=1), atol=0.02)


def test_expected_counts_are_the_decoders():
    generator = torch.Generator().manual_seed(0)
    decoder = CountDecoder(3, torch.randn(30, generator=generator), (5,), generator)
    torch.nn.init.normal_(decoder.genes.weight, generator=generator)
    z = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    shift, sizes = torch.randn(7, 30, generator=generator), np.full((7, 1), 50.0)
    with torch.no_grad():
        plain = 50 * decoder(torch.from_numpy(z), shift.clone()).exp()
    np.testing.assert_allclose(expected_counts(decoder, z, sizes, shift), plain, rtol=1e-4)


@pytest.mark.parametrize("encoder", ["pca", "autoencoder"])
def test_a_wide_model_keeps_means_and_is_saved_with_its_genes(
    encoder, cells, wide_from_20, tmp_path
):
    X, types, _ = cells
    model = make_model(encoder=encoder, decoder_steps=100).fit(X).add_condition("type", types)
    assert any("the 12 of 120 genes that vary most" in note for note in model.history_["notes"])
    expected = model.codec_.rates(model.encode(X))[0].sum(axis=0)
    seen = X.sum(axis=0)
    assert ((expected - seen) ** 2 / (seen + 0.5)).mean() < 0.1
    model.save(tmp_path / "model")
    assert json.loads((tmp_path / "model" / "model.json").read_text())["format"] == 7
    loaded = LatentDiffusion.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.encode(X), model.encode(X))
    own = model.sample({"type": 1}, 40)[:, :20].mean(axis=0)
    assert own.mean() > 3 * model.sample({"type": 0}, 40)[:, :20].mean()


def test_a_wide_model_is_adapted_to_other_genes(cells, wide_from_20):
    X, types, _ = cells
    names = np.array([f"gene{i}" for i in range(120)])
    frame = pd.DataFrame(X, columns=names)
    model = make_model(encoder="pca").fit(frame)
    fewer = frame[names[::-1][:110]]
    sampler = make_sampler(generator=model, sampling_strategy={1: 60})
    new, _ = sampler.fit_resample(fewer, types)
    assert new.shape == (210, 110)
    codec, own = sampler.generator_.codec_, model.codec_
    read = names[own.core_]
    there = np.isin(read, fewer.columns)
    columns = codec.columns_[own.core_]
    assert (np.array(fewer.columns)[columns[there]] == read[there]).all()
    assert (columns[~there] == -1).all()
