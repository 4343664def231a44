"""CellTypist as an estimator: scikit-learn's contract, and CellTypist's own annotation."""

import builtins
import pickle

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from imblearn.pipeline import make_pipeline
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks
from tiny import make_sampler

from scdiff_augment import CellTypistClassifier
from scdiff_augment.expression.kinds import depth_normalised


@pytest.fixture
def cells(counts):
    X, labels = counts
    names = {"index": [f"cell{i}" for i in range(100)], "columns": [f"GENE{i}" for i in range(40)]}
    return pd.DataFrame(depth_normalised(X), **names), labels


@pytest.mark.filterwarnings("ignore:X holds integers")
@parametrize_with_checks([CellTypistClassifier(max_iter=20, random_state=0)])
def test_it_is_an_estimator_of_scikit_learn(estimator, check):
    check(estimator)


def test_celltypist_annotates_with_its_model_and_agrees(cells):
    X, y = cells
    classifier = CellTypistClassifier(random_state=0).fit(X, y)
    import celltypist  # before, it would warn

    model = classifier.to_celltypist_model()
    assert isinstance(model, celltypist.models.Model)
    assert model.features.tolist() == X.columns.tolist()
    other_order = ad.AnnData(X.iloc[:, ::-1])
    found = celltypist.annotate(other_order, model=model).predicted_labels["predicted_labels"]
    np.testing.assert_array_equal(classifier.predict(X), found)
    model.classifier.coef_[:] = 0
    assert classifier.model_.classifier.coef_.any()  # it was a copy


def test_it_works_after_the_oversampler_and_on_every_container(cells):
    X, y = cells
    pipeline = make_pipeline(make_sampler(), CellTypistClassifier(max_iter=20, random_state=0))
    proba = pipeline.fit(X, y).predict_proba(X)
    assert pipeline[-1].feature_names_in_.tolist() == X.columns.tolist()
    assert (pipeline.predict(X) == y).mean() > 0.9
    fitted = CellTypistClassifier(max_iter=20, random_state=0)
    same = [
        clone(fitted).fit(container, y).predict_proba(container)
        for container in (X, X.to_numpy(), sparse.csr_matrix(X), sparse.csc_matrix(X))
    ]
    for other in same[1:]:
        np.testing.assert_allclose(other, same[0], rtol=1e-5)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(pipeline)).predict_proba(X), proba)


def test_genes_are_named(cells):
    X, y = cells
    names = [f"g{i}" for i in range(40)]
    named = CellTypistClassifier(genes=names, max_iter=5, random_state=0).fit(X.to_numpy(), y)
    assert named.to_celltypist_model().features.tolist() == names
    with pytest.raises(ValueError, match=r"'g0' stands 2 times"):
        CellTypistClassifier(genes=["g0", *names[:-1]]).fit(X.to_numpy(), y)


def test_bad_input_is_named(cells, counts, monkeypatch):
    X, y = cells
    with pytest.raises(NotFittedError):
        CellTypistClassifier().to_celltypist_model()
    with pytest.raises(TypeError, match="AnnData"):
        CellTypistClassifier().fit(ad.AnnData(X), y)
    with pytest.raises(ValueError, match="at least 2, but y holds one class, 'a'"):
        CellTypistClassifier().fit(X, ["a"] * 100)
    with pytest.warns(UserWarning, match=r"X holds integers.*log1p of counts per 10,000"):
        CellTypistClassifier(max_iter=5).fit(*counts)
    importing = builtins.__import__

    def without(name, *arguments, **options):
        if name == "celltypist":
            raise ModuleNotFoundError("No module named 'celltypist'", name="celltypist")
        return importing(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install 'scdiff-augment\[celltypist\]'"):
        CellTypistClassifier().fit(X, y)
