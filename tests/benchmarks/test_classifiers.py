import logging

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

from benchmarks.celltypist_classifier import CellTypistClassifier
from benchmarks.classifiers import CLASSIFIERS, build_classifier
from benchmarks.messages import nearest


@pytest.mark.parametrize("name", CLASSIFIERS)
@pytest.mark.parametrize("weighted", [False, True])
def test_every_classifier_has_the_same_contract(name, weighted, dataset):
    model, applied = build_classifier(name, weighted, 0, dataset.genes)
    assert applied == (weighted and name != "knn")
    clone(model)
    model.fit(dataset.X, dataset.y)
    called = model.predict(dataset.X)
    proba = model.predict_proba(dataset.X)
    assert list(model.classes_) == sorted(set(dataset.y))
    assert proba.shape == (len(dataset.y), 4)
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-5)
    assert (called == dataset.y).mean() > 0.7


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


def test_an_unknown_classifier_names_the_nearest():
    with pytest.raises(ValueError, match=r"Unknown classifier 'forest'. Did you mean 'random_"):
        build_classifier("forest", False, 0, [])
    assert nearest("zzz", ["a", "b"]) == "Valid: 'a', 'b'."
    assert nearest("a", []) == "There is none to choose from."
