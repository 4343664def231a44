"""A pretrained generator inside the sampler: what is kept, what is learnt, what is said."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from imblearn.pipeline import make_pipeline
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from tiny import make_model, make_sampler

from scdiff_augment import DiffusionOversampler, LatentDiffusion
from scdiff_augment.expression.hashes import cell_hashes, digest, overlap
from scdiff_augment.expression.kinds import denormalise, depth_normalised


def frame_of(X, genes=None):
    names = [f"gene{i}" for i in range(X.shape[1])] if genes is None else genes
    return pd.DataFrame(X, columns=names)


@pytest.fixture
def halves(counts):
    X, labels = counts
    return (X[::2], labels[::2]), (X[1::2], labels[1::2])


def middle_agrees(X, y, out, y_out):
    new = depth_normalised(np.asarray(out)[len(X) :])[y_out[len(X) :] == "middle"]
    real = depth_normalised(np.asarray(X)[y == "middle"])
    return np.corrcoef(new.mean(axis=0), real.mean(axis=0))[0, 1]


def test_backbone_and_codec_are_kept_and_the_model_is_not_touched(halves):
    (X, labels), (X_new, y_new) = halves
    model = make_model(decoder_steps=200).fit(X).add_condition("tissue", labels)
    before = model.sample_adata({"tissue": "rare"}, 3).uns
    sampler = clone(make_sampler(generator=model))
    assert sampler.generator.denoiser_ is model.denoiser_
    clone(sampler).set_params(generator__n_steps=7)
    assert model.n_steps == sampler.generator.n_steps == 5
    out, y_out = sampler.fit_resample(X_new, y_new)
    assert list(sampler.generator_.conditions_) == ["y"]
    assert list(model.conditions_) == ["tissue"]
    assert sampler.generator_.denoiser_ is model.denoiser_
    assert sampler.generator_.codec_ is model.codec_
    assert set(np.unique(y_out, return_counts=True)[1]) == {30}
    assert middle_agrees(X_new, y_new, out, y_out) > 0.9
    assert model.sample_adata({"tissue": "rare"}, 3).uns == before


def test_other_genes_get_a_decoder_of_their_own(halves):
    (X, _), (X_new, y_new) = halves
    rng = np.random.default_rng(0)
    # The fold lacks 8 of the model's 40 genes, has 5 that it does not know, in another order.
    genes = [f"gene{i}" for i in range(8, 40)] + [f"other{i}" for i in range(5)]
    wide = np.hstack([X_new[:, 8:], rng.poisson(20.0, (len(X_new), 5))])
    order = rng.permutation(37)
    frame = frame_of(wide, genes).iloc[:, order]
    model = make_model(decoder_steps=200).fit(frame_of(X))
    sampler = make_sampler(generator=model)
    out, y_out = sampler.fit_resample(frame, y_new)
    assert list(out.columns) == list(frame.columns)
    assert middle_agrees(frame, y_new, out, y_out) > 0.9
    new = np.asarray(out)[len(frame) :]
    sizes = np.asarray(frame)[y_new == "middle"].sum(axis=1).mean()
    assert abs(new[y_out[len(frame) :] == "middle"].sum(axis=1).mean() / sizes - 1) < 0.1
    np.testing.assert_allclose(new[:, np.array(frame.columns) == "other3"].mean(), 20, rtol=0.25)
    note = sampler.history_["notes"][-1]
    assert "32 of 40 wanted genes found" in note
    assert model.codec_.columns_ is None


def test_a_loaded_generator_trains_its_decoder_as_the_saved_one(halves, tmp_path):
    (X, _), (X_new, y_new) = halves
    model = make_model(decoder_steps=30).fit(frame_of(X))
    model.save(tmp_path / "model")
    fewer = frame_of(X_new).iloc[:, 5:]
    cells = [
        make_sampler(generator=generator).fit_resample(fewer, y_new)[0]
        for generator in (model, LatentDiffusion.load(tmp_path / "model"))
    ]
    pd.testing.assert_frame_equal(*cells)


def test_scales_may_differ_where_both_hold_counts(halves):
    (X, _), (X_new, y_new) = halves
    sampler = make_sampler(generator=make_model().fit(X))
    values = depth_normalised(X_new)
    out, _ = sampler.fit_resample(values, y_new)
    np.testing.assert_allclose(np.expm1(out).sum(axis=1), 1e4, rtol=1e-3)


def test_cells_that_the_model_has_seen_are_counted(halves):
    (X, labels), (X_new, _) = halves
    model = make_model().fit(X)
    mixed, y = np.vstack([X[:12], X_new]), np.r_[labels[:12], halves[1][1]]
    with pytest.warns(UserWarning, match="has seen 12 of the 62 cells"):
        make_sampler(generator=model).fit_resample(mixed, y)
    with pytest.warns(UserWarning, match="has seen 12 of the 62"):  # log1p of the same counts
        make_sampler(generator=model).fit_resample(depth_normalised(mixed), y)
    with pytest.raises(ValueError, match="has seen 12 of the 62 cells"):
        make_sampler(generator=model, on_overlap="raise").fit_resample(mixed, y)
    make_sampler(generator=model, on_overlap="ignore").fit_resample(mixed, y)
    make_sampler(generator=model, on_overlap="raise").fit_resample(X_new, halves[1][1])


def test_cells_are_recognised_whether_or_not_x_names_its_genes(counts):
    X, y = counts
    rng = np.random.default_rng(0)
    named, unnamed = make_model().fit(frame_of(X)), make_model().fit(X)
    wider = frame_of(np.hstack([X, rng.poisson(1.0, (100, 3))]))[
        [f"gene{i}" for i in rng.permutation(43)]
    ]
    for model, cells in ((named, X), (unnamed, frame_of(X)), (named, wider)):
        with pytest.raises(ValueError, match="has seen 100 of the 100 cells"):
            make_sampler(generator=model, on_overlap="raise").fit_resample(cells, y)
    fewer = frame_of(X).iloc[:, 5:]
    with pytest.raises(ValueError, match="is unknown"):
        make_sampler(generator=named, on_overlap="raise").fit_resample(fewer, y)
    sampler = make_sampler(generator=named)
    sampler.fit_resample(fewer, y)
    assert "is unknown" in sampler.history_["notes"][0]


def test_the_history_says_what_x_holds(halves):
    (X, _), (X_new, y_new) = halves
    sampler = make_sampler(generator=make_model().fit(X))
    sampler.fit_resample(depth_normalised(X_new), y_new)
    assert sampler.history_["expression"] == "log1p"


def test_pipelines_cache_what_a_generator_made(halves, tmp_path, monkeypatch):
    (X, _), (X_new, y_new) = halves
    sampler = make_sampler(generator=make_model().fit(X))
    trainings = []
    fit_model = DiffusionOversampler._fit_model

    def counted(self, *args, **more):
        trainings.append(1)
        return fit_model(self, *args, **more)

    monkeypatch.setattr(DiffusionOversampler, "_fit_model", counted)
    for C in (0.1, 1, 10):
        classifier = LogisticRegression(C=C, max_iter=1000)
        make_pipeline(sampler, classifier, memory=str(tmp_path)).fit(X_new, y_new)
    assert len(trainings) == 1


@pytest.mark.parametrize("option", [{"sampler": "ddim"}, {"n_steps": 9}])
def test_options_of_sampling_hold_for_a_generator_too(halves, option):
    (X, _), (X_new, y_new) = halves
    model = make_model().fit(X)
    before = model.get_params()
    first, second = (
        make_sampler(generator=model, **more).fit_resample(X_new, y_new)[0] for more in ({}, option)
    )
    assert not np.array_equal(first, second)
    assert model.get_params() == before


def test_labels_of_the_fold_are_not_taken_for_those_of_the_pretraining(halves):
    (X, _), (X_new, y_new) = halves
    sampler = make_sampler(generator=make_model().fit(X))
    sampler.fit_resample(X_new, y_new)
    model = sampler.generator_  # holds the cells of the fold, not those of the pretraining
    held = model.add_condition("type", y_new).conditions_.classifiers["type"].mixture.means
    given = model.add_condition("type", y_new, X_new).conditions_.classifiers["type"].mixture.means
    np.testing.assert_allclose(held, given, atol=1e-5)


def test_cells_that_a_decoder_was_trained_on_are_seen(halves):
    (X, _), (X_new, y_new) = halves
    fewer = frame_of(X_new).iloc[:, 5:]
    sampler = make_sampler(generator=make_model().fit(frame_of(X)))
    sampler.fit_resample(fewer, y_new)
    with pytest.raises(ValueError, match="has seen 50 of the 50 cells"):
        make_sampler(generator=sampler.generator_, on_overlap="raise").fit_resample(fewer, y_new)


def test_a_copy_goes_on_where_the_model_was(counts):
    model = make_model().fit(counts[0])
    copied = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copied.sample(n=3), model.sample(n=3))


def test_a_generator_that_is_not_fitted_is_refused(counts):
    X, y = counts
    with pytest.raises(NotFittedError, match=r"generator is not fitted.*list whole samplers"):
        make_sampler(generator=make_model()).fit_resample(X, y)
    grid = GridSearchCV(
        make_pipeline(make_sampler(), LogisticRegression(max_iter=500)),
        {"diffusionoversampler": [make_sampler(generator=make_model().fit(X[::2]))]},
        cv=2,
        error_score="raise",
    )
    with pytest.warns(UserWarning, match="has seen"):
        assert grid.fit(X, y).best_score_ > 0.5


def test_what_does_not_fit_is_refused_with_a_way_out(halves):
    (X, _), (X_new, y_new) = halves
    model = make_model().fit(X)
    with pytest.raises(ValueError, match="both need names, but X has no gene names"):
        make_sampler(generator=model).fit_resample(X_new[:, :30], y_new)
    with pytest.raises(ValueError, match="generator was fitted without them"):
        make_sampler(generator=model).fit_resample(frame_of(X_new[:, :30]), y_new)
    with pytest.raises(ValueError, match="fitted on counts values, and X holds real values"):
        make_sampler(generator=model).fit_resample(X_new - 0.5, y_new)
    with pytest.raises(ValueError, match="must be normalised alike"):
        make_sampler(generator=make_model().fit(frame_of(X))).fit_resample(
            frame_of(depth_normalised(X_new)).iloc[:, :25], y_new
        )
    named = make_model().fit(frame_of(X))
    few = frame_of(X_new[:, :9])
    with pytest.raises(ValueError, match="wanted genes"):
        make_sampler(generator=named).fit_resample(few, y_new)


def test_hashes_know_cells_in_any_order_of_genes(counts):
    X, _ = counts
    names = np.array([f"g{i}" for i in range(40)])
    order = np.random.default_rng(0).permutation(40)
    first = cell_hashes(denormalise(X), names)
    again = cell_hashes(denormalise(depth_normalised(X)[:, order]), names[order])
    np.testing.assert_array_equal(first, again)
    assert len(np.unique(first)) == len(np.unique(X, axis=0))
    other = X.copy()
    other[0, 0] += 1
    assert overlap(cell_hashes(denormalise(other), names), first) == 99
    assert digest(first) == digest(first[::-1]) != digest(first[1:])
    real = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    assert len(np.unique(cell_hashes(denormalise(real), None))) == 9


def test_a_backbone_is_the_same_to_the_bit_after_transfer(halves):
    (X, _), (X_new, y_new) = halves
    model = make_model().fit(frame_of(X))
    before = {k: v.clone() for k, v in model.denoiser_.state_dict().items()}
    make_sampler(generator=model).fit_resample(frame_of(X_new).iloc[:, :30], y_new)
    assert all(torch.equal(before[k], v) for k, v in model.denoiser_.state_dict().items())
