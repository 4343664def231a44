import logging
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
from scdiff_bench.classifiers.catalogue import (
    CLASSIFIERS,
    build_classifier,
    require_classifier,
)
from scdiff_bench.messages import nearest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

from scdiff_augment import CellTypistClassifier

THERE = [n for n, e in CLASSIFIERS.items() if e.needs is None or find_spec(e.needs[0])]
"""scANVI where scvi-tools is installed; all others always."""


@pytest.mark.parametrize("name", THERE)
@pytest.mark.parametrize("weighted", [False, True])
def test_every_classifier_has_the_same_contract(name, weighted, dataset):
    model, applied = build_classifier(name, weighted, 0, dataset.genes)
    unweighted = {"knn", "balanced_forest", "easy_ensemble", "lda", "nearest_centroid"}
    unweighted |= {"knn_oversampled", "knn_smote", "scanvi"}
    assert applied == (weighted and name not in unweighted)
    clone(model)
    model.fit(dataset.X, dataset.y)
    called = model.predict(dataset.X)
    proba = model.predict_proba(dataset.X)
    assert list(model.classes_) == sorted(set(dataset.y))
    assert proba.shape == (len(dataset.y), 4)
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-5)
    assert (called == dataset.y).mean() > 0.7


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_settings_to_choose_from_hold_the_classifier_s_own(name):
    own = build_classifier(name, False, 0, [])[0].get_params()
    for parameter, values in CLASSIFIERS[name].grid.items():
        assert own[parameter] in values


def test_neighbours_are_sought_among_types_filled_up_in_components(dataset):
    few = np.r_[np.flatnonzero(dataset.y != "D"), np.flatnonzero(dataset.y == "D")[:3]]
    X, y = dataset.X[few], dataset.y[few]
    models = {n: build_classifier(n, False, 0, [])[0] for n in ("knn_oversampled", "knn_smote")}
    for name, model in models.items():
        kept = model.fit(X, y)["knn"].knn_
        assert kept._fit_X.shape == (4 * 60, 50), name
        assert set(np.unique(kept._y, return_counts=True)[1]) == {60}
    repeated, between = (m["knn"].knn_._fit_X for m in models.values())
    assert len(np.unique(repeated, axis=0)) == len(np.unique(X, axis=0))
    assert len(np.unique(between, axis=0)) > len(np.unique(repeated, axis=0))
    one = few[:-2]
    models["knn_smote"].fit(dataset.X[one], dataset.y[one])  # repeated: nothing lies between


def test_a_classifier_whose_package_is_missing_says_what_to_install(monkeypatch):
    for name in THERE:
        require_classifier(name)
    entry = replace(CLASSIFIERS["scanvi"], needs=("no_such_module", "scdiff-augment[scvi]"))
    monkeypatch.setitem(CLASSIFIERS, "scanvi", entry)
    with pytest.raises(ValueError, match=r"'scanvi' needs .* pip install 'scdiff-augment\[scvi\]'"):
        require_classifier("scanvi")


def test_logistic_regression_converges(dataset):
    model, _ = build_classifier("logistic_regression", False, 0, dataset.genes)
    assert isinstance(model, LogisticRegression)
    model.fit(dataset.X, dataset.y)  # a convergence warning would be an error here
    assert model.n_iter_.max() < model.max_iter


def test_celltypist_calls_the_class_with_the_largest_probability(dataset):
    model = CellTypistClassifier(random_state=0, genes=dataset.genes).fit(dataset.X, dataset.y)
    proba = model.predict_proba(dataset.X)
    np.testing.assert_array_equal(model.predict(dataset.X), model.classes_[proba.argmax(axis=1)])
    np.testing.assert_allclose(np.exp(model.predict_log_proba(dataset.X)), proba)
    assert model.model_.classifier.features.tolist() == dataset.genes.tolist()


def test_celltypist_tells_classes_apart_where_every_sigmoid_is_zero(dataset):
    model = CellTypistClassifier(random_state=0).fit(dataset.X, dataset.y)
    model.model_.classifier.coef_ = model.model_.classifier.coef_ * 1e3
    model.model_.classifier.intercept_ = model.model_.classifier.intercept_ * 1e3 - 1e5
    log_proba = model.predict_log_proba(dataset.X)
    called = model.classes_[log_proba.argmax(axis=1)]
    np.testing.assert_array_equal(model.predict(dataset.X), called)
    assert np.isfinite(log_proba).all()


def test_celltypist_agrees_with_its_own_annotation(dataset):
    import anndata as ad
    import celltypist

    model = CellTypistClassifier(random_state=0, genes=dataset.genes).fit(dataset.X, dataset.y)
    adata = ad.AnnData(dataset.X)
    adata.var_names = dataset.genes
    found = celltypist.annotate(adata, model=model.model_).predicted_labels
    np.testing.assert_array_equal(model.predict(dataset.X), found["predicted_labels"])


def test_celltypist_is_deterministic_quiet_and_drops_silent_genes(dataset, capfd):
    X = dataset.X.copy()
    X[:, 5] = 0
    np.random.seed(7)  # noqa: NPY002
    expected = np.random.RandomState(7).rand()
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    models = [CellTypistClassifier(random_state=3).fit(X, dataset.y) for _ in range(2)]
    assert (logging.getLogger().handlers, logging.getLogger().level) == (handlers, level)
    np.testing.assert_array_equal(*(m.predict_proba(X) for m in models))
    assert np.random.rand() == expected  # noqa: NPY002
    assert models[0].kept_.sum() == X.shape[1] - 1
    assert capfd.readouterr() == ("", "")


def test_class_weights_reach_celltypist(dataset):
    model = CellTypistClassifier(class_weight="balanced", random_state=0).fit(dataset.X, dataset.y)
    assert model.model_.classifier.class_weight == "balanced"


def test_celltypist_balances_its_batches(dataset):
    """Half of the cells an epoch, rare types as often as common ones: their recall rises."""
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    keep = np.r_[np.flatnonzero(dataset.y != "D"), np.flatnonzero(dataset.y == "D")[:4]]
    X, y = dataset.X[keep], dataset.y[keep]
    models = [
        build_classifier("celltypist", False, seed, dataset.genes, balance_cell_type=True)[0]
        for seed in (0, 0, 1)
    ]
    proba = [m.fit(X, y).predict_proba(dataset.X) for m in models]
    np.testing.assert_array_equal(proba[0], proba[1])
    assert (proba[0] != proba[2]).any()
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    plain = CellTypistClassifier(random_state=0).fit(X, y).predict_proba(dataset.X)
    rare = dataset.y == "D"
    assert proba[0][rare, 3].mean() > plain[rare, 3].mean()
    forest, _ = build_classifier("random_forest", False, 0, [], balance_cell_type=True)
    assert "balance_cell_type" not in forest.get_params()


def test_the_support_vector_machine_calibrates_with_as_many_folds_as_cells_allow(dataset):
    keep = np.r_[np.flatnonzero(dataset.y != "D"), np.flatnonzero(dataset.y == "D")[:2]]
    model, _ = build_classifier("linear_svm", False, 0, [])
    model.fit(dataset.X[keep], dataset.y[keep])
    assert model.model_.cv.n_splits == 2
    proba = model.predict_proba(dataset.X)
    np.testing.assert_array_equal(model.predict(dataset.X), model.classes_[proba.argmax(axis=1)])
    with pytest.raises(ValueError, match=r"Class 'D' has 1 cell; probabilities calibrated"):
        model.fit(dataset.X[keep[:-1]], dataset.y[keep[:-1]])


@pytest.mark.parametrize(
    "name", [n for n, e in CLASSIFIERS.items() if e.weights and n != "linear_svm"]
)
def test_class_weights_raise_the_probability_of_the_rare_type(name, dataset):
    rng = np.random.default_rng(0)
    X = dataset.X + rng.normal(0, 4, dataset.X.shape).astype(np.float32)  # types overlap
    X -= X.min()
    rare = dataset.y == "D"
    found = []
    for weighted in (False, True):
        model, _ = build_classifier(name, weighted, 0, dataset.genes)
        found.append(model.fit(X[::2], dataset.y[::2]).predict_proba(X[1::2])[rare[1::2], 3].mean())
    assert found[1] > found[0]


@pytest.mark.parametrize("seed", range(3))
def test_class_weights_reach_the_support_vector_machine(seed, dataset):
    """Its sigmoids take most of them back, so the machine itself is looked at."""
    noise = np.random.default_rng(seed).normal(size=dataset.X.shape).astype(np.float32)
    X, y = dataset.X + noise, dataset.y
    found = []
    for weighted in (False, True):
        model, _ = build_classifier("linear_svm", weighted, 0, [])
        (calibrated,) = model.fit(X[::2], y[::2]).model_.calibrated_classifiers_
        decision = calibrated.estimator.decision_function(X[1::2])
        found.append(decision[y[1::2] == "D", 3].mean())
    assert found[1] > found[0] + 0.03


def test_an_unknown_classifier_names_the_nearest():
    with pytest.raises(ValueError, match=r"Unknown classifier 'forest'. Did you mean 'random_"):
        build_classifier("forest", False, 0, [])
    assert nearest("zzz", ["a", "b"]) == "Valid: 'a', 'b'."
    assert nearest("a", []) == "None are available."
