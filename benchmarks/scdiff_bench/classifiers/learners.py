"""Parts of classifiers that adapt to few cells or take class weights."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from imblearn.over_sampling import SMOTE, RandomOverSampler
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.svm import LinearSVC
from sklearn.utils.class_weight import compute_sample_weight


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


class CalibratedSVM(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Linear support vector machine with sigmoid probabilities fitted out of fold.

    Parameters
    ----------
    C : float, default=0.01
        Inverse penalty.
    class_weight : {None, 'balanced'}, default=None
        Weights of the classes.
    cv : int, default=3
        Folds of the calibration; fewer where the smallest class has fewer cells.
    random_state : int, optional
        Seed.

    Attributes
    ----------
    classes_ : ndarray
        Labels.
    model_ : CalibratedClassifierCV
        One machine fitted on all cells, and a sigmoid per class.
    """

    def __init__(
        self,
        *,
        C: float = 0.01,
        class_weight: str | None = None,
        cv: int = 3,
        random_state: int | None = None,
    ) -> None:
        self.C = C
        self.class_weight = class_weight
        self.cv = cv
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> CalibratedSVM:
        """Fit.

        Parameters
        ----------
        X : ndarray, shape (cells, genes)
            Training cells.
        y : array, shape (cells,)
            Labels.

        Returns
        -------
        CalibratedSVM
            Itself.

        Raises
        ------
        ValueError
            If a class has 1 cell, so that no fold can calibrate it.
        """
        names, counts = np.unique(y, return_counts=True)
        if counts.min() < 2:
            raise ValueError(
                f"Class {str(names[counts.argmin()])!r} has 1 cell; probabilities calibrated out "
                "of fold need at least 2 of each class. Use a classifier without calibration."
            )
        machine = LinearSVC(
            C=self.C,
            class_weight=self.class_weight,
            max_iter=5000,
            tol=1e-2,  # beside 1e-3: macro-F1 the same to .003, a third less time
            random_state=self.random_state,
        )
        splits = int(min(self.cv, counts.min()))
        folds = StratifiedKFold(splits, shuffle=True, random_state=self.random_state)
        self.model_ = CalibratedClassifierCV(machine, cv=folds, ensemble=False).fit(X, y)
        self.classes_ = self.model_.classes_
        return self

    def predict(self, X: Any) -> Any:
        """Return the label with the highest probability.

        Parameters
        ----------
        X : ndarray, shape (cells, genes)
            Cells.

        Returns
        -------
        ndarray, shape (cells,)
            Labels.
        """
        return self.model_.predict(X)

    def predict_proba(self, X: Any) -> Any:
        """Return calibrated probabilities.

        Parameters
        ----------
        X : ndarray, shape (cells, genes)
            Cells.

        Returns
        -------
        ndarray, shape (cells, classes)
            Probabilities.
        """
        return self.model_.predict_proba(X)


class WeightedMLP(MLPClassifier):  # type: ignore[misc]
    """scikit-learn's network with the class weights that it lacks.

    Parameters
    ----------
    class_weight : {None, 'balanced'}, default=None
        Weights of the classes, given to each cell.
    alpha : float, default=1e-3
        Penalty.
    max_iter : int, default=100
        Passes over the cells.
    random_state : int, optional
        Seed.
    """

    def __init__(
        self,
        class_weight: str | None = None,
        alpha: float = 1e-3,
        max_iter: int = 100,
        random_state: int | None = None,
    ) -> None:
        super().__init__(
            hidden_layer_sizes=(100,), alpha=alpha, max_iter=max_iter, random_state=random_state
        )
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any) -> WeightedMLP:
        """Fit.

        Parameters
        ----------
        X : ndarray, shape (cells, features)
            Training cells.
        y : array, shape (cells,)
            Labels.

        Returns
        -------
        WeightedMLP
            Itself.
        """
        weight = compute_sample_weight(self.class_weight, y) if self.class_weight else None
        # Stopping at ``max_iter`` is the setting, not an accident to warn about.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            super().fit(X, y, sample_weight=weight)
        return self


class UpToKNN(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Nearest neighbours, at most as many as there are cells; classes may be filled up before.

    Parameters
    ----------
    n_neighbors : int, default=15
        Neighbours that vote.
    oversampling : {None, 'random', 'smote'}, default=None
        How each class gets as many cells as the largest, in the space of the distances: cells are
        repeated, or new ones lie between neighbours of a class.
    random_state : int, optional
        Seed.

    Attributes
    ----------
    classes_ : ndarray
        Labels.
    knn_ : KNeighborsClassifier
        Fitted on the training cells, and on those added.
    """

    def __init__(
        self,
        n_neighbors: int = 15,
        oversampling: str | None = None,
        random_state: int | None = None,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.oversampling = oversampling
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> UpToKNN:
        """Keep the cells.

        Parameters
        ----------
        X : ndarray, shape (cells, features)
            Training cells.
        y : ndarray, shape (cells,)
            Labels.

        Returns
        -------
        UpToKNN
            Itself.
        """
        smallest = int(np.unique(y, return_counts=True)[1].min())
        if self.oversampling == "smote" and smallest > 1:
            k = min(5, smallest - 1)
            X, y = SMOTE(random_state=self.random_state, k_neighbors=k).fit_resample(X, y)
        elif self.oversampling is not None:
            X, y = RandomOverSampler(random_state=self.random_state).fit_resample(X, y)
        self.knn_ = KNeighborsClassifier(min(self.n_neighbors, len(y)), n_jobs=1).fit(X, y)
        self.classes_ = self.knn_.classes_
        return self

    def predict(self, X: Any) -> Any:
        """Return the class of each cell.

        Parameters
        ----------
        X : ndarray, shape (cells, features)
            Cells.

        Returns
        -------
        ndarray, shape (cells,)
            Labels.
        """
        return self.knn_.predict(X)

    def predict_proba(self, X: Any) -> Any:
        """Return the share of each class among the neighbours.

        Parameters
        ----------
        X : ndarray, shape (cells, features)
            Cells.

        Returns
        -------
        ndarray, shape (cells, classes)
            Probabilities.
        """
        return self.knn_.predict_proba(X)


class BalancedLDA(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Linear discriminant analysis that expects every class equally often.

    The covariance within classes is shrunk (Ledoit and Wolf 2004), so that a few cells of a
    class are enough.

    Attributes
    ----------
    classes_ : ndarray
        Labels.
    lda_ : LinearDiscriminantAnalysis
        Fitted on the training cells.
    """

    def fit(self, X: Any, y: Any) -> BalancedLDA:
        """Fit.

        Parameters
        ----------
        X : ndarray, shape (cells, features)
            Training cells.
        y : ndarray, shape (cells,)
            Labels.

        Returns
        -------
        BalancedLDA
            Itself.
        """
        self.classes_ = np.unique(y)
        priors = np.full(len(self.classes_), 1 / len(self.classes_))
        self.lda_ = LinearDiscriminantAnalysis("lsqr", shrinkage="auto", priors=priors).fit(X, y)
        return self

    def predict(self, X: Any) -> Any:
        """Return the class of each cell.

        Parameters
        ----------
        X : ndarray, shape (cells, features)
            Cells.

        Returns
        -------
        ndarray, shape (cells,)
            Labels.
        """
        return self.lda_.predict(X)

    def predict_proba(self, X: Any) -> Any:
        """Return the probability of each class.

        Parameters
        ----------
        X : ndarray, shape (cells, features)
            Cells.

        Returns
        -------
        ndarray, shape (cells, classes)
            Probabilities.
        """
        return self.lda_.predict_proba(X)

    def predict_log_proba(self, X: Any) -> Any:
        """Return the log-probability of each class.

        Parameters
        ----------
        X : ndarray, shape (cells, features)
            Cells.

        Returns
        -------
        ndarray, shape (cells, classes)
            Finite where `predict_proba` is 0, too.
        """
        return self.lda_.predict_log_proba(X)
