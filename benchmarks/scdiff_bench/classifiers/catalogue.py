"""Classifiers to compare strategies on. Add one as a function and a line of ``CLASSIFIERS``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from typing import Any

from imblearn.ensemble import BalancedRandomForestClassifier, EasyEnsembleClassifier
from scdiff_bench.classifiers.learners import (
    BalancedLDA,
    CalibratedSVM,
    UpToKNN,
    UpToPCA,
    WeightedMLP,
)
from scdiff_bench.classifiers.scanvi import ScanviClassifier
from scdiff_bench.messages import choose
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from scdiff_augment.celltypist_classifier import CellTypistClassifier


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
    balances : bool
        Whether it knows ``balance_cell_type``.
    alone : bool
        Whether it balances the types by itself, so that it is run without a strategy only.
    needs : tuple of str
        The optional module that it needs, and what installs it.
    grid : dict
        Settings to choose from where a study tunes its classifiers: parameters of the classifier,
        as of `set_params`, and their values. Empty where there is nothing to choose.
    """

    build: Callable[[str | None, int, Sequence[str]], Any]
    title: str
    weights: bool = True
    balances: bool = False
    alone: bool = False
    needs: tuple[str, str] | None = None
    grid: Mapping[str, Sequence[Any]] = field(default_factory=dict)


def logistic_regression(class_weight: str | None, random_state: int, genes: Sequence[str]) -> Any:
    """Multinomial logistic regression on the values as they are."""
    # Of C = .003 to 1, the value at which class weights with tuned thresholds did best over a
    # rare-cell draw and a cross-validation: the strongest baseline for the other strategies.
    return LogisticRegression(
        C=0.03, max_iter=5000, class_weight=class_weight, random_state=random_state
    )


def linear_svm(class_weight: str | None, random_state: int, genes: Sequence[str]) -> Any:
    """Linear support vector machine, its probabilities calibrated out of fold."""
    return CalibratedSVM(class_weight=class_weight, random_state=random_state)


def random_forest(class_weight: str | None, random_state: int, genes: Sequence[str]) -> Any:
    """100 trees: on 28 rare-cell draws macro-F1 was .004 (sd .010) below that of 300."""
    return RandomForestClassifier(
        n_estimators=100, class_weight=class_weight, random_state=random_state, n_jobs=1
    )


def knn(class_weight: str | None, random_state: int, genes: Sequence[str]) -> Any:
    """15 neighbours in up to 50 principal components fitted on the training cells."""
    return Pipeline([("pca", UpToPCA(50, random_state=random_state)), ("knn", UpToKNN())])


def hist_gradient_boosting(
    class_weight: str | None, random_state: int, genes: Sequence[str]
) -> Any:
    """Gradient-boosted trees on up to 50 principal components fitted on the training cells."""
    boosting = HistGradientBoostingClassifier(
        max_iter=60,
        learning_rate=0.05,  # at 0.1 without penalty, 10 cells of a type made the trees diverge
        l2_regularization=1.0,
        max_leaf_nodes=15,
        min_samples_leaf=5,  # the default of 20 could not set 10 cells of a type apart
        early_stopping=False,
        class_weight=class_weight,
        random_state=random_state,
    )
    return Pipeline([("pca", UpToPCA(50, random_state=random_state)), ("boosting", boosting)])


def mlp(class_weight: str | None, random_state: int, genes: Sequence[str]) -> Any:
    """One hidden layer of 100 units on up to 50 standardised principal components."""
    network = WeightedMLP(class_weight=class_weight, random_state=random_state)
    return Pipeline(
        [
            ("pca", UpToPCA(50, random_state=random_state)),
            ("scale", StandardScaler()),
            ("mlp", network),
        ]
    )


def celltypist(class_weight: str | None, random_state: int, genes: Sequence[str]) -> Any:
    """CellTypist, trained on the training cells."""
    return CellTypistClassifier(class_weight=class_weight, random_state=random_state, genes=genes)


def balanced_forest(class_weight: str | None, random_state: int, genes: Sequence[str]) -> Any:
    """100 trees, each grown on as many cells of every type as the rarest has."""
    return BalancedRandomForestClassifier(
        n_estimators=100,
        sampling_strategy="all",
        replacement=True,
        bootstrap=False,
        random_state=random_state,
        n_jobs=1,
    )


def easy_ensemble(class_weight: str | None, random_state: int, genes: Sequence[str]) -> Any:
    """EasyEnsemble (Liu, Wu and Zhou 2009): boosted stumps on ten balanced subsets, on PCs."""
    ensemble = EasyEnsembleClassifier(n_estimators=10, random_state=random_state, n_jobs=1)
    return Pipeline([("pca", UpToPCA(50, random_state=random_state)), ("ensemble", ensemble)])


def nearest_centroid(class_weight: str | None, random_state: int, genes: Sequence[str]) -> Any:
    """Nearest mean of a type, in up to 50 principal components."""
    return Pipeline(
        [("pca", UpToPCA(50, random_state=random_state)), ("centroid", NearestCentroid())]
    )


def logistic_regression_pcs(
    class_weight: str | None, random_state: int, genes: Sequence[str]
) -> Any:
    """Multinomial logistic regression on up to 50 principal components."""
    logistic = LogisticRegression(
        C=0.1, max_iter=5000, class_weight=class_weight, random_state=random_state
    )
    return Pipeline([("pca", UpToPCA(50, random_state=random_state)), ("logistic", logistic)])


def knn_oversampled(
    class_weight: str | None,
    random_state: int,
    genes: Sequence[str],
    oversampling: str = "random",
) -> Any:
    """15 neighbours among types filled up in principal components, where distances are taken."""
    model = UpToKNN(oversampling=oversampling, random_state=random_state)
    return Pipeline([("pca", UpToPCA(50, random_state=random_state)), ("knn", model)])


def scanvi(class_weight: str | None, random_state: int, genes: Sequence[str]) -> Any:
    """Train scANVI, which samples its labelled cells evenly from the types by itself."""
    return ScanviClassifier(random_state=random_state)


def lda(class_weight: str | None, random_state: int, genes: Sequence[str]) -> Any:
    """Shrunk linear discriminants with equal priors, on up to 50 principal components."""
    return Pipeline([("pca", UpToPCA(50, random_state=random_state)), ("lda", BalancedLDA())])


NEIGHBOURS = {"knn__n_neighbors": (5, 15, 45)}
FEATURES = {"max_features": ("sqrt", 0.1)}

CLASSIFIERS = {
    "logistic_regression": Entry(
        logistic_regression, "logistic regression", grid={"C": (0.003, 0.03, 0.3)}
    ),
    "linear_svm": Entry(linear_svm, "linear SVM", grid={"C": (0.001, 0.01, 0.1)}),
    "random_forest": Entry(random_forest, "random forest", grid=FEATURES),
    "knn": Entry(knn, "kNN", weights=False, grid=NEIGHBOURS),
    "hist_gradient_boosting": Entry(
        hist_gradient_boosting, "gradient boosting", grid={"boosting__max_leaf_nodes": (4, 15)}
    ),
    "mlp": Entry(mlp, "MLP", grid={"mlp__alpha": (1e-3, 1.0)}),
    "celltypist": Entry(celltypist, "CellTypist", balances=True, grid={"alpha": (1e-4, 1e-2)}),
    "logistic_regression_pcs": Entry(
        logistic_regression_pcs,
        "logistic regression on PCs",
        grid={"logistic__C": (0.01, 0.1, 1.0)},
    ),
    "balanced_forest": Entry(
        balanced_forest, "balanced forest", weights=False, alone=True, grid=FEATURES
    ),
    "easy_ensemble": Entry(easy_ensemble, "EasyEnsemble on PCs", weights=False, alone=True),
    "lda": Entry(lda, "LDA, equal priors", weights=False),
    "nearest_centroid": Entry(nearest_centroid, "nearest centroid on PCs", weights=False),
    "knn_oversampled": Entry(
        knn_oversampled, "kNN, oversampled in PCs", weights=False, alone=True, grid=NEIGHBOURS
    ),
    "knn_smote": Entry(
        partial(knn_oversampled, oversampling="smote"),
        "kNN, SMOTE in PCs",
        weights=False,
        alone=True,
        grid=NEIGHBOURS,
    ),
    "scanvi": Entry(
        scanvi, "scANVI", weights=False, alone=True, needs=("scvi", "scdiff-augment[scvi]")
    ),
}


def require_classifier(name: str) -> None:
    """Raise an error if a classifier needs a package that is not installed.

    Parameters
    ----------
    name : str
        A name in ``CLASSIFIERS``.

    Raises
    ------
    ValueError
        It says what to install.
    """
    needs = CLASSIFIERS[name].needs
    if needs and find_spec(needs[0]) is None:
        raise ValueError(
            f"Classifier {name!r} needs the package {needs[0]!r}, which is not installed. "
            f"Install it with: pip install '{needs[1]}', or leave the classifier out."
        )


def build_classifier(
    name: str,
    class_weight: bool,
    random_state: int,
    genes: Sequence[str],
    balance_cell_type: bool = False,
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
    balance_cell_type : bool, default=False
        Whether CellTypist draws its mini-batches evenly from the types.

    Returns
    -------
    tuple
        The classifier, and whether class weights were applied.
    """
    entry = CLASSIFIERS[choose("classifier", name, CLASSIFIERS)]
    applied = class_weight and entry.weights
    model = entry.build("balanced" if applied else None, random_state, genes)
    if balance_cell_type and entry.balances:
        model.set_params(balance_cell_type=True)
    return model, applied
