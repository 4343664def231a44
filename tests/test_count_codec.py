"""The count codec: who is set aside, means that agree, counts that vary as the real ones do."""

import pickle

import numpy as np
import pytest
import torch

from scdiff_augment.codec.count_codec import FEWEST, MOST, CountCodec, hold_out
from scdiff_augment.codec.count_noise import poisson
from scdiff_augment.codec.encoders import PCAEncoder
from scdiff_augment.expression.kinds import denormalise


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def codec_of(X):
    codec = CountCodec(PCAEncoder(3), n_steps=150)
    for _ in codec.fit(denormalise(X, "counts"), generator()):
        pass
    return codec


@pytest.fixture(scope="module")
def overdispersed():
    rng = np.random.default_rng(0)
    rates = np.exp(rng.normal(1.0, 0.7, 40))[None] * np.exp(rng.normal(0, 0.3, (1500, 1)))
    return rng.poisson(rates * rng.gamma(2.0, 0.5, rates.shape)).astype(np.float32)


def test_cells_set_aside_are_a_share_and_never_of_rare_classes():
    codes = np.repeat([0, 1], [960, 40])
    aside = hold_out(1000, generator(), codes)
    assert aside.sum() == 144
    assert not aside[codes == 1].any()
    assert hold_out(1000, generator()).sum() == 150
    assert hold_out(100_000, generator()).sum() == MOST


def test_too_few_cells_to_set_aside_mean_poisson_counts():
    assert hold_out(int(FEWEST / 0.15) - 2, generator()).sum() == 0
    X = np.random.default_rng(0).poisson(3.0, (60, 20))
    codec = codec_of(X)
    np.testing.assert_array_equal(codec.noise_, poisson(20))
    assert codec.ratios(1.0) is None


def test_expected_totals_of_genes_are_those_seen(overdispersed):
    codec = codec_of(overdispersed)
    parts = denormalise(overdispersed, "counts")
    rates, _ = codec.rates(codec.encode(parts))
    np.testing.assert_allclose(rates.sum(axis=0), parts.values.sum(axis=0), rtol=1e-3)


def test_decoded_counts_vary_as_overdispersed_ones_do(overdispersed):
    codec = codec_of(overdispersed)
    new, _ = codec.decode(codec.encode(denormalise(overdispersed)), np.random.default_rng(1))
    assert np.median(codec.ratios(1.0).var(axis=1)) == pytest.approx(0.5, rel=0.3)
    ratio = new.var(axis=0) / overdispersed.var(axis=0)
    assert np.median(ratio) == pytest.approx(1, abs=0.15)


def test_the_table_of_ratios_is_made_once_and_not_pickled(overdispersed):
    codec = codec_of(overdispersed)
    table = codec.ratios(1.0)
    assert codec.ratios(1.0) is table
    assert codec.ratios(0.5).var() < table.var()
    np.testing.assert_array_equal(codec.ratios(1.0), table)
    again = pickle.loads(pickle.dumps(codec))
    assert again._table is None
    np.testing.assert_array_equal(again.ratios(1.0), table)


def test_noise_is_kept_by_storage(overdispersed):
    codec = codec_of(overdispersed)
    meta, tensors = codec.to_state()
    again = CountCodec.from_state(meta, tensors)
    np.testing.assert_array_equal(again.noise_, codec.noise_)
