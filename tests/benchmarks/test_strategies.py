import sys
from collections import Counter

import numpy as np
import pytest
from imblearn.over_sampling import ADASYN, SMOTE, BorderlineSMOTE
from imblearn_extra.gsmote import GeometricSMOTE
from scdiff_bench.running.resources import Measure
from scdiff_bench.strategies import registry
from scdiff_bench.strategies.catalogue import (
    STRATEGIES,
    Entry,
    Strategy,
    build_strategy,
    check_params,
    require_installed,
)
from scdiff_bench.strategies.controls import Oracle, ShuffledLabels
from scdiff_bench.strategies.resamplers import Share, missing_cells
from sklearn.decomposition import PCA

INTERPOLATING = ["smote", "borderline_smote", "adasyn", "pca_smote", "geometric_smote"]
BASELINES = [
    "none",
    "class_weight",
    "class_weight_thresholds",
    "thresholds",
    "balance_cell_type",
    "random_oversampler",
    *INTERPOLATING,
]


def resample(name, X, y, sampling_strategy="auto", **params):
    sampler = build_strategy(name, sampling_strategy, 0, params).sampler
    return *sampler.fit_resample(X, y), sampler


def test_which_strategies_are_baselines():
    assert [name for name, entry in STRATEGIES.items() if entry.baseline] == BASELINES
    assert [name for name, entry in STRATEGIES.items() if entry.control] == ["oracle", "null"]
    assert [name for name, entry in STRATEGIES.items() if entry.package] == [
        "latent_gaussian",
        "diffusion",
        "scvi",
        "scanvi",
        "null",
    ]


def test_what_each_baseline_does():
    built = {name: build_strategy(name, "auto", 0, {}) for name in BASELINES}
    flags = {
        name: (s.sampler is not None, s.class_weight, s.thresholds, s.balance_cell_type)
        for name, s in built.items()
    }
    assert flags == {
        "none": (False, False, False, False),
        "class_weight": (False, True, False, False),
        "class_weight_thresholds": (False, True, True, False),
        "thresholds": (False, False, True, False),
        "balance_cell_type": (False, False, False, True),
        "random_oversampler": (True, False, False, False),
        **dict.fromkeys(INTERPOLATING, (True, False, False, False)),
    }


@pytest.mark.parametrize("name", ["random_oversampler", *INTERPOLATING])
@pytest.mark.parametrize("sampling_strategy", ["auto", {"D": 40}])
def test_a_sampler_tops_up_the_classes_it_is_told_to(name, sampling_strategy, dataset):
    X, y, sampler = resample(name, dataset.X, dataset.y, sampling_strategy)
    np.testing.assert_array_equal(X[: len(dataset.y)], dataset.X)
    np.testing.assert_array_equal(y[: len(dataset.y)], dataset.y)
    assert X.dtype == np.float32
    expected = {"D": 40} if sampling_strategy != "auto" else dict.fromkeys("BCD", 60)
    wanted = Counter(dataset.y.tolist()) | Counter(expected)
    # ADASYN rounds a share for each cell, so its counts are near what was asked for.
    slack = 8 if name == "adasyn" else 0
    found = Counter(y.tolist())
    assert found.keys() == wanted.keys()
    assert all(abs(found[c] - wanted[c]) <= slack for c in wanted), (found, sampler.note_)


@pytest.mark.parametrize("name", INTERPOLATING)
def test_neighbours_are_lowered_to_the_class_and_it_is_said(name, dataset):
    keep = np.r_[np.flatnonzero(dataset.y != "D"), np.flatnonzero(dataset.y == "D")[:3]]
    X, y = dataset.X[keep], dataset.y[keep]
    *_, sampler = resample(name, X, y)
    assert "k_neighbors lowered from 5 to 2: class 'D' has 3 cells" in sampler.note_
    sampler.fit_resample(dataset.X, dataset.y)
    assert "lowered" not in sampler.note_
    with pytest.raises(ValueError, match=r"Class 'D' has 1 cell; .* interpolates"):
        sampler.fit_resample(X[:-2], y[:-2])


def test_smote_is_that_of_imbalanced_learn(dataset):
    keep = np.r_[np.flatnonzero(dataset.y != "D"), np.flatnonzero(dataset.y == "D")[:3]]
    X, y = dataset.X[keep], dataset.y[keep]
    expected, _ = SMOTE(k_neighbors=2, random_state=0).fit_resample(X, y)
    np.testing.assert_array_equal(resample("smote", X, y)[0], expected)
    expected, _ = GeometricSMOTE(random_state=0).fit_resample(dataset.X, dataset.y)
    np.testing.assert_array_equal(resample("geometric_smote", *cells(dataset))[0], expected)


def cells(dataset):
    return dataset.X, dataset.y


@pytest.mark.parametrize(
    ("name", "reference"), [("borderline_smote", BorderlineSMOTE), ("adasyn", ADASYN)]
)
def test_a_class_without_a_border_gets_smote_and_the_note_names_it(name, reference):
    rng = np.random.default_rng(0)
    y = np.repeat(["far", "near", "wide"], [12, 12, 60])
    X = rng.normal(0, 1, (84, 4)).astype(np.float32)
    X[y == "far"] += 100
    found, labels, sampler = resample(name, X, y)
    assert sampler.note_.endswith("found no border, SMOTE instead, for far")
    goal = {"far": 60}
    expected, _ = SMOTE(sampling_strategy=goal, random_state=0).fit_resample(X, y)
    mine = found[84:][labels[84:] == "far"]
    np.testing.assert_array_equal(mine, expected[84:])
    expected, _ = reference(sampling_strategy={"near": 60}, random_state=0).fit_resample(X, y)
    np.testing.assert_array_equal(found[84:][labels[84:] == "near"], expected[84:])


def test_smote_in_pca_space_stays_in_the_plane_of_its_components(dataset):
    X, _, _ = resample("pca_smote", *cells(dataset), n_components=3)
    new = X[len(dataset.y) :]
    assert new.min() >= 0
    pca = PCA(3, random_state=0).fit(dataset.X)
    back = pca.inverse_transform(pca.transform(new))
    np.testing.assert_allclose(new, np.maximum(back, 0), atol=0.2)


@pytest.mark.parametrize("share", [0.25, 0.5, 1, 2])
def test_a_share_is_of_the_cells_a_class_is_short_of(share, dataset):
    _, y, _ = resample("random_oversampler", *cells(dataset), Share("auto", share))
    made = Counter(y[len(dataset.y) :].tolist())
    short = missing_cells("auto", dataset.y)
    assert short == {"B": 20, "C": 36, "D": 48}
    assert made == {name: share * n for name, n in short.items()}


def test_the_oracle_adds_real_cells_as_many_as_exist(dataset):
    train, aside = np.arange(0, len(dataset.y), 2), np.arange(1, len(dataset.y), 2)
    oracle = Oracle("auto", 0, (dataset.X[aside], dataset.y[aside]))
    X, y = oracle.fit_resample(dataset.X[train], dataset.y[train])
    made = Counter(y[len(train) :].tolist())
    assert made == {"B": 10, "C": 12, "D": 6}  # B is short of 10; of C and D no more exist
    assert oracle.note_ == "real cells there / asked for: C 12/18, D 6/24"
    there = {row.tobytes() for row in dataset.X[aside]}
    assert all(row.tobytes() in there for row in X[len(train) :])
    assert len({row.tobytes() for row in X[len(train) :]}) == 28
    X, y = Oracle("auto", 0).fit_resample(dataset.X, dataset.y)
    assert len(y) == len(dataset.y)


def test_the_null_shuffles_labels_and_nothing_else(dataset):
    X, y, _ = resample("smote", *cells(dataset))
    X_null, y_null, _ = resample("null", *cells(dataset), of="smote")
    np.testing.assert_array_equal(X_null, X)
    n = len(dataset.y)
    np.testing.assert_array_equal(y_null[:n], dataset.y)
    assert Counter(y_null.tolist()) == Counter(y.tolist())
    assert (y_null[n:] != y[n:]).mean() > 0.3
    with pytest.raises(ValueError, match=r"Only class 'D' was oversampled"):
        resample("null", *cells(dataset), {"D": 40}, of="smote")
    assert isinstance(build_strategy("null", "auto", 0, {"of": "smote"}).sampler, ShuffledLabels)


def test_parameters_are_checked():
    check_params("smote", {"k_neighbors": 3})
    check_params("scvi", {"epochs": 3})
    with pytest.raises(ValueError, match=r"'none' has no parameter 'x'. None are available"):
        check_params("none", {"x": 1})
    with pytest.raises(ValueError, match=r"Did you mean 'shrinkage'"):
        check_params("random_oversampler", {"shrinking": 1})


def test_a_missing_package_is_named_with_what_installs_it(monkeypatch):
    entry = Entry(lambda s, r: Strategy(), needs=("no_such_module", "scdiff-augment[scvi]"))
    monkeypatch.setitem(registry.STRATEGIES, "absent", entry)
    with pytest.raises(ValueError, match=r"pip install 'scdiff-augment\[scvi\]', or leave"):
        require_installed("absent")
    assert "scvi" not in sys.modules
    require_installed("smote")


def test_measure_sees_time_and_memory():
    with Measure() as cost:
        block = np.ones(240_000_000 // 8)  # more than was ever freed: fresh pages
        block += 1
    assert cost.added_mb > 150
    assert cost.peak_mb > cost.added_mb
    assert 0 < cost.seconds < 10
