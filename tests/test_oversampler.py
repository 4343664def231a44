"""DiffusionOversampler keeps imbalanced-learn's contract, inside scikit-learn's machinery."""

import pickle
from collections import Counter

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from imblearn.pipeline import make_pipeline
from scipy import sparse
from sklearn.base import clone
from sklearn.ensemble import BaggingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_validate
from tiny import make_sampler

from scdiff_augment import LatentDiffusion, oversampler
from scdiff_augment.expression.kinds import depth_normalised
from scdiff_augment.oversampling import base as oversampling
from scdiff_augment.streaming import block_sizes as blocking

CONTAINERS = {
    "array": lambda X: X,
    "list": lambda X: X.tolist(),
    "frame": lambda X: pd.DataFrame(X, columns=[f"g{i}" for i in range(X.shape[1])]),
    "csr_matrix": sparse.csr_matrix,
    "csc_array": sparse.csc_array,
    "sparse frame": lambda X: pd.DataFrame.sparse.from_spmatrix(sparse.csr_matrix(X)),
}


def dense(X):
    return X.toarray() if sparse.issparse(X) else np.asarray(X)


@pytest.mark.parametrize("name", CONTAINERS)
@pytest.mark.parametrize("kind", ["counts", "log1p"])
def test_same_cells_in_every_container(name, kind, counts):
    X, y = counts
    X = X if kind == "counts" else depth_normalised(X).astype(np.float64)
    given = CONTAINERS[name](X)
    out, y_out = make_sampler().fit_resample(given, y)
    assert type(out) is type(given)
    expected, y_expected = make_sampler().fit_resample(X, y)
    np.testing.assert_allclose(dense(out), expected, rtol=1e-7)
    np.testing.assert_array_equal(y_out, y_expected)
    np.testing.assert_array_equal(dense(out)[: len(X)], X)  # originals first, unchanged
    if name == "frame":
        assert list(out.columns) == list(given.columns)


@pytest.mark.parametrize("dtype", [np.int16, np.int64, np.uint8, np.float16, np.float32])
def test_counts_stay_counts_of_their_type(dtype, counts):
    X, y = counts
    out, _ = make_sampler().fit_resample(X.astype(dtype), y)
    assert out.dtype == dtype
    new = out[len(X) :].astype(float)
    np.testing.assert_array_equal(new, np.rint(new))
    assert new.min() >= 0
    assert new.sum() > 0


def test_log_values_keep_their_total(counts):
    X, y = depth_normalised(counts[0]), counts[1]
    out, _ = make_sampler().fit_resample(X, y)
    np.testing.assert_allclose(np.expm1(out).sum(axis=1), 1e4, rtol=1e-3)


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("auto", {"common": 60, "middle": 60, "rare": 60}),
        ("minority", {"common": 60, "middle": 30, "rare": 60}),
        ({"rare": 41}, {"common": 60, "middle": 30, "rare": 41}),
        ({"rare": 12, "common": 61}, {"common": 61, "middle": 30, "rare": 12}),
        ({"rare": 10}, {"common": 60, "middle": 30, "rare": 10}),
        (lambda y: {"middle": 77}, {"common": 60, "middle": 77, "rare": 10}),
    ],
)
def test_exactly_as_many_cells_as_asked_for(strategy, expected, counts):
    _, y = make_sampler(sampling_strategy=strategy).fit_resample(*counts)
    assert dict(Counter(y.tolist())) == expected


def test_labels_of_any_kind(counts):
    X, y = counts
    codes = np.unique(y, return_inverse=True)[1]
    for labels in (codes, codes.astype(np.int8), pd.Series(y, name="type", dtype="category")):
        _, out = make_sampler().fit_resample(X, labels)
        assert type(out) is type(labels)
        assert Counter(np.asarray(out).tolist()) == Counter(np.asarray(labels).tolist() * 0) + (
            Counter({k: 60 for k in np.unique(np.asarray(labels)).tolist()})
        )


def test_a_class_of_one_cell_is_enough(counts):
    X, y = counts
    keep = np.r_[0:91]
    with pytest.warns(UserWarning, match="1 real cell becomes 60"):
        _, out = make_sampler().fit_resample(X[keep], y[keep])
    assert Counter(out.tolist())["rare"] == 60


def test_clone_pickle_and_set_params(counts):
    sampler = make_sampler(guidance_scale=1.5)
    assert clone(sampler).get_params() == sampler.get_params()
    expected, _ = sampler.fit_resample(*counts)
    for copy in (pickle.loads(pickle.dumps(clone(sampler))), pickle.loads(pickle.dumps(sampler))):
        np.testing.assert_array_equal(copy.fit_resample(*counts)[0], expected)
    fitted = pickle.loads(pickle.dumps(sampler))
    assert fitted.generator_.sample({"y": "rare"}, n=3).shape == (3, 40)
    assert sampler.set_params(n_steps=3).n_steps == 3


def test_inside_pipelines_searches_and_caches(counts, tmp_path):
    X, y = depth_normalised(counts[0]), counts[1]
    pipeline = make_pipeline(
        make_sampler(), LogisticRegression(max_iter=500), memory=str(tmp_path / "cache")
    )
    scores = cross_validate(pipeline, X, y, cv=3, n_jobs=2, scoring="f1_macro")
    assert scores["test_score"].min() > 0.8
    search = GridSearchCV(
        pipeline,
        {"diffusionoversampler__guidance_scale": [1, 2], "logisticregression__C": [0.1, 1]},
        cv=2,
        scoring="f1_macro",
        error_score="raise",
    ).fit(X, y)
    assert search.best_score_ > 0.8
    assert any((tmp_path / "cache").rglob("*.pkl"))


def test_bagged_pipelines_draw_cells_of_their_own_and_average(counts):
    X, y = depth_normalised(counts[0]), counts[1]
    pipeline = make_pipeline(make_sampler(), LogisticRegression(max_iter=500))
    bagged = BaggingClassifier(pipeline, n_estimators=2, bootstrap=False, random_state=0).fit(X, y)
    one, other = bagged.estimators_
    assert one[0].random_state != other[0].random_state
    assert not np.array_equal(one[-1].coef_, other[-1].coef_)
    mean = (one.predict_proba(X) + other.predict_proba(X)) / 2
    np.testing.assert_allclose(bagged.predict_proba(X), mean, atol=1e-6)
    assert bagged.score(X, y) > 0.8


def test_real_values_are_modelled_too(counts):
    rng = np.random.default_rng(0)
    centre = {"common": 0.0, "middle": 3.0, "rare": -3.0}
    y = counts[1]
    X = rng.normal(size=(100, 6)) + np.array([centre[label] for label in y])[:, None]
    out, y_out = make_sampler(denoiser_steps=200).fit_resample(X, y)
    for label, mean in centre.items():
        np.testing.assert_allclose(
            out[100:][y_out[100:] == label].mean() if label != "common" else mean, mean, atol=0.5
        )


def test_bad_input_is_named(counts):
    X, y = counts[0].astype(float), counts[1]
    broken = X.copy()
    broken[3, 5] = np.nan
    with pytest.raises(ValueError, match=r"contains NaN, first in row 3, column 5; 1 of 4000"):
        make_sampler().fit_resample(broken, y)
    broken[3, 5] = np.inf
    frame = pd.DataFrame(broken, columns=[f"gene{i}" for i in range(40)])
    with pytest.raises(ValueError, match=r"contains infinity, first in row 3, column 'gene5'"):
        make_sampler().fit_resample(frame, y)
    with pytest.raises(ValueError, match=r"contains infinity, first in row 3, column 5"):
        make_sampler().fit_resample(sparse.csr_matrix(broken), y)
    with pytest.raises(ValueError, match=r"expression='counts'.*non-negative.*'real'"):
        make_sampler(expression="counts").fit_resample(X - 3, y)
    with pytest.raises(ValueError, match=r"expression='log1p'.*'real'"):
        make_sampler(expression="log1p").fit_resample((X - X.mean(0)) / X.std(0).clip(1), y)
    with pytest.raises(ValueError, match=r"more than 1 class.*: T \(100 cells\).*LatentDiffusion"):
        make_sampler().fit_resample(X, np.repeat("T", 100))
    with pytest.raises(ValueError, match="no label for 1 of 100 cells, first row 0"):
        make_sampler().fit_resample(X, [None, *y[1:]])
    with pytest.raises(ValueError, match="mix strings with int, first row 99"):
        make_sampler().fit_resample(X, np.array([*y[1:], 3], dtype=object))
    with pytest.raises(TypeError, match="oversample_adata"):
        make_sampler().fit_resample(ad.AnnData(X), y)
    with pytest.raises(TypeError, match="oversample_adata"):
        make_sampler().fit(ad.AnnData(X), y)
    with pytest.raises(ValueError, match="'sampler' parameter"):
        make_sampler(sampler="euler").fit_resample(X, y)


def test_cells_without_counts_are_returned_but_not_learnt_from(counts):
    X, y = counts[0].copy(), counts[1]
    expected, _ = make_sampler().fit_resample(np.delete(X, [0, 95], 0), np.delete(y, [0, 95]))
    X[[0, 95]] = 0
    with pytest.warns(UserWarning, match=r"2 of 100 cells have no counts, first row 0.*Drop them"):
        out, _ = make_sampler(sampling_strategy={"rare": 60, "middle": 59}).fit_resample(X, y)
    np.testing.assert_array_equal(out[:100], X)
    assert out.shape[0] == 60 + 59 + 60
    np.testing.assert_array_equal(out[100:], expected[98:])
    with pytest.warns(UserWarning, match="no counts"):
        out, _ = make_sampler().fit_resample(depth_normalised(X), y)
    assert np.isfinite(out).all()
    X[90:] = 0
    with pytest.raises(ValueError, match="class 'rare' has 10 cells, all of them without any"):
        make_sampler().fit_resample(X, y)


def test_fewer_features_than_latents(counts):
    X, y = counts[0][:, :3], counts[1]
    sampler = make_sampler(n_latent=50)
    sampler.fit_resample(X, y)
    assert sampler.history_["n_latent"] == 3
    assert "lowered from 50 to 3" in sampler.history_["notes"][0]


def test_nothing_to_add(counts):
    X, y = counts
    out, y_out = make_sampler(sampling_strategy={"rare": 10}).fit_resample(X, y)
    np.testing.assert_array_equal(out, X)
    np.testing.assert_array_equal(y_out, y)


def test_values_beyond_the_type_are_said(counts):
    X, y = counts[0].copy(), counts[1]
    X[:, 0] = 255
    with pytest.warns(UserWarning, match=r"outside uint8, which ends at 255.*wider type"):
        out, _ = make_sampler(decoder_steps=100).fit_resample(X.clip(max=255).astype(np.uint8), y)
    assert out.dtype == np.uint8


def test_rows_of_zeros_are_fine_in_real_values(counts):
    X = np.random.default_rng(0).random((100, 5))
    X[90:] = 0
    out, _ = make_sampler(expression="real").fit_resample(X, counts[1])
    assert out.shape == (180, 5)


def test_nothing_is_left_of_an_earlier_fit(counts):
    sampler = make_sampler()
    sampler.fit_resample(*counts)
    sampler.set_params(sampling_strategy={"rare": 10}).fit_resample(*counts)
    assert not hasattr(sampler, "generator_")


def test_presence_and_absence_stays_boolean(counts):
    X, y = counts[0] > 0, counts[1]
    out, _ = make_sampler(decoder_steps=100).fit_resample(X, y)
    assert out.dtype == bool
    assert 0 < out[len(X) :].mean() < 1


@pytest.mark.parametrize("kind", ["counts", "log1p"])
def test_a_large_sparse_matrix_is_never_written_out(counts, kind, monkeypatch):
    """Block by block: the same cells as those of a matrix that is small enough to be dense."""
    X, y = counts
    X = X if kind == "counts" else np.log1p(X / X.sum(axis=1, keepdims=True) * 1e4)
    X = sparse.csr_matrix(X)
    X_small, y_small = make_sampler().fit_resample(X, y)
    monkeypatch.setattr(oversampling, "LARGE", 100)
    monkeypatch.setattr(blocking, "ENTRIES", 1)  # blocks of 512 cells
    largest = []
    original = sparse.csr_matrix.toarray

    def toarray(self, *given, **more):
        largest.append(self.shape[0])
        return original(self, *given, **more)

    sampled = []
    draw = LatentDiffusion.draw
    monkeypatch.setattr(
        LatentDiffusion,
        "draw",
        lambda self, plan, request: sampled.append(request.n_cells) or draw(self, plan, request),
    )
    monkeypatch.setattr(oversampler, "cells_per_block", lambda n_genes: 30)  # of reading
    X_large, y_large = make_sampler().fit_resample(sparse.csr_matrix(X), y)
    assert type(X_large) is type(X)
    assert X_large.dtype == X.dtype
    np.testing.assert_array_equal(y_large, y_small)
    np.testing.assert_allclose(X_large.toarray(), X_small.toarray(), rtol=1e-5)
    wanted = {"rare": 1400}
    sampler = make_sampler(sampling_strategy=wanted)
    monkeypatch.setattr(sparse.csr_matrix, "toarray", toarray)
    X_more, y_more = sampler.fit_resample(X, y)
    assert X_more.shape == (1490, 40)
    assert (y_more == "rare").sum() == 1400
    # To tell the kind, as the sample of the codec, and as a block of it for the classes' genes.
    assert largest.count(len(y)) <= 3
    assert max(sampled) == 512
    assert sum(sampled[-3:]) == 1390
    dense = make_sampler(sampling_strategy=wanted).fit_resample(original(X), y)[0]
    np.testing.assert_allclose(original(X_more), dense, rtol=1e-5)
