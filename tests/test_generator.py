"""LatentDiffusion: conditions are apart, randomness is its own, classes are what was asked."""

import hashlib
import json

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from tiny import make_model, reseed

from scdiff_augment import LatentDiffusion
from scdiff_augment.expression.kinds import depth_normalised


def backbone_hash(model):
    """SHA-256 over every tensor of codec and denoiser."""
    digest = hashlib.sha256()
    for part in (model.codec_, model.denoiser_):
        meta, tensors = part.to_state()
        digest.update(json.dumps(meta, sort_keys=True).encode())
        for name in sorted(tensors):
            digest.update(name.encode() + tensors[name].contiguous().numpy().tobytes())
    return digest.hexdigest()


def test_a_condition_leaves_the_backbone_bit_identical(counts):
    X, labels = counts
    model = make_model(classifier_steps=10).fit(X)
    before = backbone_hash(model)
    model.add_condition("type", labels)
    model.add_condition("half", np.arange(len(X)) % 2, within={"type": labels})
    model.sample({"type": "rare", "half": 1}, n=5)
    assert backbone_hash(model) == before
    assert len(model.history_["classifier_loss:type"]) == 10
    assert backbone_hash(make_model(random_state=1).fit(X)) != before


def test_samples_are_of_the_class_that_was_asked_for(counts):
    X, labels = counts
    model = LatentDiffusion(n_latent=8, denoiser_steps=200, random_state=0).fit(X, groups=labels)
    model.add_condition("type", labels)
    wanted = np.repeat(["common", "middle", "rare"], 50)
    new = model.sample({"type": wanted})
    judge = LogisticRegression(max_iter=2000).fit(depth_normalised(X), labels)
    assert (judge.predict(depth_normalised(new)) == wanted).mean() > 0.95


def test_without_labels_all_types_come_in_their_proportions(counts):
    X, labels = counts
    model = LatentDiffusion(n_latent=8, denoiser_steps=300, random_state=0).fit(X)
    new = model.sample(n=600)
    judge = LogisticRegression(max_iter=2000).fit(depth_normalised(X), labels)
    share = (judge.predict(depth_normalised(new)) == "common").mean()
    assert abs(share - 0.6) < 0.1


def test_same_seed_same_cells_and_global_state_untouched(counts):
    X, labels = counts
    np.random.seed(5)  # noqa: NPY002
    torch.manual_seed(5)
    before = np.random.get_state()[1].copy(), torch.get_rng_state().clone()  # noqa: NPY002
    threads = torch.get_num_threads()
    draws = [
        make_model().fit(X).add_condition("type", labels).sample({"type": "rare"}, n=7)
        for _ in range(2)
    ]
    np.testing.assert_array_equal(draws[0], draws[1])
    np.testing.assert_array_equal(before[0], np.random.get_state()[1])  # noqa: NPY002
    assert torch.equal(before[1], torch.get_rng_state())
    assert torch.get_num_threads() == threads
    assert not np.array_equal(draws[0], make_model(random_state=1).fit(X).sample(n=7))


@pytest.mark.parametrize(("sampler", "n_steps"), [("ddpm", 1000), ("ddim", 50), ("dpm++", 20)])
def test_samplers_agree_on_the_mean(counts, sampler, n_steps):
    X, labels = counts
    model = LatentDiffusion(
        n_latent=5, denoiser_steps=50, random_state=0, sampler=sampler, n_steps=n_steps
    )
    model.fit(X, groups=labels).add_condition("type", labels)
    new = depth_normalised(model.sample({"type": "common"}, n=300))
    real = depth_normalised(X)[labels == "common"]
    assert np.corrcoef(new.mean(axis=0), real.mean(axis=0))[0, 1] > 0.97


def test_names_in_errors(counts):
    X, labels = counts
    with pytest.raises(NotFittedError, match="call `fit` first"):
        make_model().sample(n=3)
    model = make_model().fit(X).add_condition("type", labels)
    with pytest.raises(ValueError, match=r"condition 'tissue' is unknown; known are \['type'\]"):
        model.sample({"tissue": "lung"}, n=3)
    with pytest.raises(ValueError, match=r"no class 'B'; its classes are \['common', 'middle'"):
        model.sample({"type": "B"}, n=3)
    with pytest.raises(ValueError, match=r"lists 2 classes for n=3 cells"):
        model.sample({"type": ["rare", "common"]}, n=3)
    with pytest.raises(ValueError, match="no label for 1 of 100 cells"):
        model.add_condition("type", [None, *labels[1:]])
    with pytest.raises(
        ValueError, match=r"one label for each of the cells of `fit` \(100\), got shape \(99,\)"
    ):
        model.add_condition("type", labels[:99])


@pytest.mark.parametrize("name", ["", 5, "is_synthetic", "synthetic_source"])
def test_a_condition_that_obs_could_not_hold_is_refused(counts, name):
    X, labels = counts
    with pytest.raises(ValueError, match="a condition must be named by a string"):
        make_model().fit(X).add_condition(name, labels)


def test_new_cells_come_in_a_data_frame_where_fit_saw_one(counts, tmp_path):
    """The same cells as in an array, with the genes' names, also from a saved model."""
    X, labels = counts
    frame = pd.DataFrame(X, columns=[f"gene{i}" for i in range(40)]).rename("cell{}".format)
    plain = make_model().fit(X, genes=frame.columns).add_condition("type", labels)
    model = make_model().fit(frame).add_condition("type", labels)
    model.save(tmp_path / "model")
    loaded = LatentDiffusion.load(tmp_path / "model", random_state=0)
    start, z, wanted = frame[:4], plain.encode(X[:4]), {"type": "rare"}
    for one in (plain, model, loaded):
        reseed(one)
    expected = plain.sample(wanted, 6), plain.decode(z)
    path = plain.interpolate(start, "type", "common", "rare", [0, 1])
    assert isinstance(expected[0], np.ndarray)
    for one in (model, loaded):
        for found, cells in zip((one.sample(wanted, 6), one.decode(z)), expected, strict=True):
            assert found.columns.tolist() == frame.columns.tolist()
            assert found.index.tolist() == list(range(len(cells)))
            assert (found.dtypes == np.float32).all()
            np.testing.assert_array_equal(found, cells)
        way = one.interpolate(start, "type", "common", "rare", [0, 1])
        assert way.index.names == ["weight", "cell"]
        assert way.loc[1.0].index.tolist() == start.index.tolist()
        np.testing.assert_array_equal(way.loc[1.0], path[1])
        assert way.columns.tolist() == frame.columns.tolist()


def test_a_data_frame_without_names_of_genes_comes_back_as_one(counts):
    frame = pd.DataFrame(counts[0])
    model = make_model().fit(frame)
    assert model.sample(n=2).columns.tolist() == list(range(40))
    assert isinstance(model.fit(counts[0]).sample(n=2), np.ndarray)


def test_clamped_latents_are_said_in_history(counts):
    history = make_model(n_latent=500).fit(counts[0]).history_
    assert history["n_latent"] == 40
    assert "n_latent lowered from 500 to 40" in history["notes"][0]


def test_cells_of_a_selection_of_genes_come_back_on_its_scale(counts):
    """Where genes were selected after normalisation, cells do not share one total."""
    X = depth_normalised(counts[0])[:, ::2]
    new = LatentDiffusion(n_latent=5, random_state=0, denoiser_steps=100).fit(X).sample(n=200)
    totals, real = np.expm1(new).sum(axis=1), np.expm1(X).sum(axis=1)
    assert real.std() / real.mean() > 0.05
    np.testing.assert_allclose(totals.mean(), real.mean(), rtol=0.1)
    np.testing.assert_allclose(totals.std(), real.std(), rtol=0.5)


@pytest.mark.parametrize(
    ("parameters", "X", "weight", "message"),
    [
        ({"sampler": "euler"}, None, None, "'sampler' parameter"),
        ({"expression": "ln"}, None, None, "'expression' parameter"),
        ({"n_steps": 1}, None, None, "'n_steps' parameter"),
        ({}, np.zeros(5), None, r"matrix of cells × genes, got shape \(5,\)"),
        ({}, np.zeros((1, 5)), None, r"at least 2 cells"),
        ({}, np.array([["a", "b"], ["c", "d"]]), None, "numeric"),
        ({}, np.array([[1.0, np.nan], [1.0, 2.0]]), None, "cell 0 has nan in column 1"),
        ({}, None, np.ones(99), r"`sample_weight` needs one value for each of the 100 cells"),
        ({}, None, -np.ones(100), "not negative"),
    ],
)
def test_bad_input_is_named(parameters, X, weight, message, counts):
    model = make_model(**parameters)
    with pytest.raises(ValueError, match=message):
        model.fit(counts[0] if X is None else X, sample_weight=weight)


def test_falling_back_to_real_values_is_said(counts):
    with pytest.warns(UserWarning, match="no scale that is known leads back to counts"):
        notes = make_model().fit(np.sqrt(counts[0]) - 1).history_["notes"]
    assert any("modelled as real values" in note for note in notes)


def test_short_ladders_work(counts):
    X, labels = counts
    model = make_model(n_timesteps=50, decoder_steps=400, n_steps=20).fit(X, groups=labels)
    model.add_condition("type", labels)
    new = depth_normalised(model.sample({"type": "rare"}, n=200)).mean(axis=0)
    real = {k: depth_normalised(X[labels == k]).mean(axis=0) for k in ("rare", "common")}
    assert np.corrcoef(new, real["rare"])[0, 1] > np.corrcoef(new, real["common"])[0, 1]
    assert np.corrcoef(new, real["rare"])[0, 1] > 0.95
