"""Classifiers: what the strategies are judged by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline

from benchmarks.celltypist_classifier import CellTypistClassifier
from benchmarks.messages import choose


@dataclass(frozen=True)
class Entry:
    """A registered classifier.

    Attributes
    ----------
    build : callable
        ``build(class_weight, random_state, genes) -> classifier``.
    title : str
        Name in tables and pages.
    weights : bool
        Whether it can weight its classes.
    """

    build: Callable[[str | None, int, Sequence[str]], Any]
    title: str
    weights: bool = True


def logistic_regression(class_weight: str | None, random_state: int, genes: Sequence[str]) -> Any:
    """Multinomial logistic regression on the values as they are."""
    # Of C = .003 to 1, the value at which class weights with tuned thresholds did best over a
    # rare-cell draw and a cross-validation: the bar that the other strategies have to pass.
    return LogisticRegression(
        C=0.03, max_iter=5000, class_weight=class_weight, random_state=random_state
    )


def random_forest(class_weight: str | None, random_state: int, genes: Sequence[str]) -> Any:
    """300 trees."""
    return RandomForestClassifier(
        n_estimators=300, class_weight=class_weight, random_state=random_state, n_jobs=1
    )


class UpToPCA(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """PCA with at most ``n_components``, fewer where cells or genes are fewer.

    Parameters
    ----------
    n_components : int, default=50
        Components, at most.
    random_state : int, optional
        Seed.

    Attributes
    ----------
    pca_ : PCA
        Fitted on the training cells.
    """

    def __init__(self, n_components: int = 50, random_state: int | None = None) -> None:
        self.n_components = n_components
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> UpToPCA:
        """Fit.

        Parameters
        ----------
        X : ndarray, shape (cells, genes)
            Training cells.
        y : None
            Ignored.

        Returns
        -------
        UpToPCA
            Itself.
        """
        components = min(self.n_components, *X.shape)
        self.pca_ = PCA(n_components=components, random_state=self.random_state).fit(X)
        return self

    def transform(self, X: Any) -> Any:
        """Project.

        Parameters
        ----------
        X : ndarray, shape (cells, genes)
            Cells.

        Returns
        -------
        ndarray, shape (cells, components)
            Principal components.
        """
        return self.pca_.transform(X)


def knn(class_weight: str | None, random_state: int, genes: Sequence[str]) -> Any:
    """15 neighbours in up to 50 principal components fitted on the training cells."""
    return Pipeline(
        [
            ("pca", UpToPCA(50, random_state=random_state)),
            ("knn", KNeighborsClassifier(n_neighbors=15, n_jobs=1)),
        ]
    )


def celltypist(class_weight: str | None, random_state: int, genes: Sequence[str]) -> Any:
    """CellTypist, trained on the training cells."""
    return CellTypistClassifier(class_weight=class_weight, random_state=random_state, genes=genes)


CLASSIFIERS = {
    "logistic_regression": Entry(logistic_regression, "logistic regression"),
    "random_forest": Entry(random_forest, "random forest"),
    "knn": Entry(knn, "kNN", weights=False),
    "celltypist": Entry(celltypist, "CellTypist"),
}


def build_classifier(
    name: str, class_weight: bool, random_state: int, genes: Sequence[str]
) -> tuple[Any, bool]:
    """Build a classifier by name.

    Parameters
    ----------
    name : str
        A name in ``CLASSIFIERS``.
    class_weight : bool
        Whether to weight the classes.
    random_state : int
        Seed.
    genes : sequence of str
        Gene names.

    Returns
    -------
    tuple
        The classifier, and whether class weights were applied.
    """
    entry = CLASSIFIERS[choose("classifier", name, CLASSIFIERS)]
    applied = class_weight and entry.weights
    return entry.build("balanced" if applied else None, random_state, genes), applied
