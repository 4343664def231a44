"""Tuned thresholds: one weight per class on the probabilities, chosen for macro-F1."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.model_selection import StratifiedKFold

Floats = NDArray[np.float64]


class TunedThresholds(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Multiply each class's probability by a weight tuned on the training cells.

    The probabilities come out of fold, so that the weights are not tuned on cells the classifier
    has been fitted to; the weights maximise macro-F1 by coordinate ascent. Both are held as
    logarithms, because some classifiers' probabilities are too small for anything else.

    Parameters
    ----------
    estimator : classifier
        Anything with ``predict_proba``.
    cv : int, default=5
        Folds; fewer where the smallest class has fewer cells.
    random_state : int, optional
        Seed of the folds.

    Attributes
    ----------
    classes_ : ndarray
        Labels.
    log_weights_ : ndarray of float, shape (classes,)
        Logarithm of each class's weight, with mean 0.
    n_splits_ : int
        Folds used.
    estimator_ : classifier
        Fitted on all training cells.
    """

    def __init__(self, estimator: Any, *, cv: int = 5, random_state: int | None = None) -> None:
        self.estimator = estimator
        self.cv = cv
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> TunedThresholds:
        """Tune the weights, then fit on all cells.

        Parameters
        ----------
        X : array, shape (cells, genes)
            Training cells.
        y : array, shape (cells,)
            Labels.

        Returns
        -------
        TunedThresholds
            Itself.

        Raises
        ------
        ValueError
            If a class has 1 cell, so that no fold can test it.
        """
        self.classes_, codes = np.unique(y, return_inverse=True)
        counts = np.bincount(codes)
        if counts.min() < 2:
            raise ValueError(
                f"Class {str(self.classes_[counts.argmin()])!r} has 1 cell; thresholds tuned out "
                "of fold need at least 2 of each class. Use a strategy without thresholds."
            )
        self.n_splits_ = int(min(self.cv, counts.min()))
        folds = StratifiedKFold(self.n_splits_, shuffle=True, random_state=self.random_state)
        found = np.empty((len(codes), len(self.classes_)))
        for train, test in folds.split(X, codes):
            fitted = clone(self.estimator).fit(X[train], np.asarray(y)[train])
            found[test] = log_proba(fitted, X[test])
        self.log_weights_ = tune_weights(found, codes)
        self.estimator_ = clone(self.estimator).fit(X, y)
        return self

    def predict_proba(self, X: Any) -> Any:
        """Return the estimator's own probabilities, without the weights.

        Parameters
        ----------
        X : array, shape (cells, genes)
            Cells.

        Returns
        -------
        ndarray, shape (cells, classes)
            Probabilities.
        """
        return self.estimator_.predict_proba(X)

    def predict(self, X: Any) -> Any:
        """Return the class with the largest weighted probability.

        Parameters
        ----------
        X : array, shape (cells, genes)
            Cells.

        Returns
        -------
        ndarray, shape (cells,)
            Labels.
        """
        weighted = log_proba(self.estimator_, X) + self.log_weights_
        return self.classes_[np.argmax(weighted, axis=1)]


def log_proba(estimator: Any, X: Any) -> Floats:
    """Return log-probabilities, the estimator's own where it has them.

    Parameters
    ----------
    estimator : classifier
        Fitted.
    X : array, shape (cells, genes)
        Cells.

    Returns
    -------
    ndarray, shape (cells, classes)
        Logarithms of probabilities.
    """
    with np.errstate(divide="ignore"):  # a forest's probability can be 0
        if hasattr(estimator, "predict_log_proba"):
            return np.asarray(estimator.predict_log_proba(X), dtype=float)
        return np.log(np.asarray(estimator.predict_proba(X), dtype=float))


def tune_weights(log_proba: Floats, codes: NDArray[np.int64], max_rounds: int = 50) -> Floats:
    """Return the log-weights that coordinate ascent finds for macro-F1.

    Each step is exact: with the other weights held, macro-F1 is a step function of one weight,
    and every step of it is tried. The ascent starts from equal weights and from inverse class
    frequencies, and the better end is kept.

    Parameters
    ----------
    log_proba : ndarray, shape (cells, classes)
        Logarithms of probabilities.
    codes : ndarray of int, shape (cells,)
        True classes.
    max_rounds : int, default=50
        Rounds over all classes, at most.

    Returns
    -------
    ndarray, shape (classes,)
        Logarithms of weights, with mean 0.
    """
    n_classes = log_proba.shape[1]
    counts = np.bincount(codes, minlength=n_classes)
    best, best_score = np.zeros(n_classes), -1.0
    for start in (np.zeros(n_classes), -np.log(np.maximum(counts, 1) / counts.sum())):
        weights, score = start.copy(), -1.0
        for _ in range(max_rounds):
            before = score
            for k in range(n_classes):
                weights[k], score = best_weight(log_proba, codes, weights, k)
            if score <= before + 1e-12:
                break
        if score > best_score + 1e-12:
            best, best_score = weights, score
    return best - best.mean()


def best_weight(
    log_proba: Floats, codes: NDArray[np.int64], log_weights: Floats, k: int
) -> tuple[float, float]:
    """Return the best log-weight of class ``k`` with the others held, and its macro-F1.

    Parameters
    ----------
    log_proba : ndarray, shape (cells, classes)
        Logarithms of probabilities.
    codes : ndarray of int, shape (cells,)
        True classes.
    log_weights : ndarray, shape (classes,)
        Current log-weights.
    k : int
        The class whose weight moves.

    Returns
    -------
    tuple of float
        The log-weight, nearest to the current one among the best, and the macro-F1 it gives.
    """
    n_cells, n_classes = log_proba.shape
    rows = np.arange(n_cells)
    others = log_proba + log_weights
    others[:, k] = -np.inf
    rival = others.argmax(axis=1)
    rival[rival == k] = (k + 1) % n_classes  # only where every other class is impossible
    with np.errstate(invalid="ignore"):
        turn = others[rows, rival] - log_proba[:, k]  # a cell is called k above this log-weight
    turn[np.isneginf(log_proba[:, k])] = np.inf
    order = np.argsort(turn, kind="stable")
    turn, rival, truth = turn[order], rival[order], codes[order]

    # State j: the first j cells are called k, the rest go to their rival.
    called = np.zeros((n_cells + 1, n_classes))
    right = np.zeros((n_cells + 1, n_classes))
    called[0] = np.bincount(rival, minlength=n_classes)
    right[0] = np.bincount(rival[rival == truth], minlength=n_classes)
    called[rows + 1, rival] -= 1
    called[rows + 1, k] += 1
    right[rows + 1, rival] -= rival == truth
    right[rows + 1, k] += truth == k
    called, right = called.cumsum(axis=0), right.cumsum(axis=0)
    total = called + np.bincount(codes, minlength=n_classes)
    scores = (2 * right / np.maximum(total, 1)).mean(axis=1)

    # A state can be reached only between two different turning points.
    low = np.concatenate([[-np.inf], turn])
    high = np.concatenate([turn, [np.inf]])
    reachable = np.flatnonzero(low < high)
    low, high, scores = low[reachable], high[reachable], scores[reachable]
    ends = np.clip(np.stack([low, high]), *_finite_range(turn, log_weights[k]))
    middle = ends.mean(axis=0)
    middle = np.where((low < log_weights[k]) & (log_weights[k] < high), log_weights[k], middle)
    top = np.flatnonzero(scores >= scores.max() - 1e-12)
    pick = top[np.argmin(np.abs(middle[top] - log_weights[k]))]
    return float(middle[pick]), float(scores[pick])


def _finite_range(turn: Floats, current: float) -> tuple[float, float]:
    """Return bounds a little beyond every finite turning point."""
    finite = np.append(turn[np.isfinite(turn)], current)
    return float(finite.min() - 1), float(finite.max() + 1)
