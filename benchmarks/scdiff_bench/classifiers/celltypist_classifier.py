"""CellTypist as a scikit-learn classifier, trained on the cells it is given."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import numpy as np
from scipy.special import log_expit, log_softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted


class CellTypistClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Train a CellTypist model by stochastic gradient descent; nothing is downloaded.

    Parameters
    ----------
    class_weight : {None, 'balanced'}, default=None
        Passed on to CellTypist's classifier.
    alpha : float, default=1e-4
        CellTypist's own default penalty.
    max_iter : int, default=100
        Passes over the cells, at most. CellTypist's own 1,000 for so few cells changed macro-F1
        by .006 at most, and took up to twice as long.
    genes : sequence of str, optional
        Gene names, kept in the model; numbered if absent.
    random_state : int, optional
        Seed.
    balance_cell_type : bool, default=False
        Train in mini-batches drawn evenly from the types. CellTypist draws without replacement,
        and by default as many cells as there are up to 100,000, which leaves nothing to
        balance; here an epoch sees half of the cells, and there are twice as many epochs.

    Attributes
    ----------
    classes_ : ndarray
        Labels.
    model_ : celltypist.models.Model
        The trained model.
    kept_ : ndarray of bool
        Genes that any training cell expresses; CellTypist drops the others.
    """

    def __init__(
        self,
        *,
        class_weight: str | None = None,
        alpha: float = 1e-4,
        max_iter: int = 100,
        genes: Any = None,
        random_state: int | None = None,
        balance_cell_type: bool = False,
    ) -> None:
        self.class_weight = class_weight
        self.alpha = alpha
        self.max_iter = max_iter
        self.genes = genes
        self.random_state = random_state
        self.balance_cell_type = balance_cell_type

    def fit(self, X: Any, y: Any) -> CellTypistClassifier:
        """Train.

        Parameters
        ----------
        X : ndarray, shape (cells, genes)
            log1p CP10k values.
        y : array, shape (cells,)
            Labels.

        Returns
        -------
        CellTypistClassifier
            Itself.
        """
        train, logger = _celltypist()
        X = np.asarray(X)
        batches: dict[str, Any] = {}
        if self.balance_cell_type:
            size = max(1, min(100, len(X) // 4))
            batches = {
                "mini_batch": True,
                "batch_size": size,
                "batch_number": max(1, len(X) // (2 * size)),
                "epochs": 20,
                "balance_cell_type": True,
            }
        names = [f"gene{i}" for i in range(X.shape[1])] if self.genes is None else self.genes
        level = logger.level
        logger.setLevel(logging.ERROR)
        state = np.random.get_state()  # noqa: NPY002
        try:
            if batches:  # they are drawn from NumPy's global state
                np.random.seed(self.random_state)  # noqa: NPY002
            # A gene panel does not add up to 10,000, so the expression check cannot hold.
            # Stopping at ``max_iter`` is the setting, not an accident to warn about.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                self.model_ = train(
                    X,
                    labels=np.asarray(y),
                    genes=np.asarray(names),
                    use_SGD=True,
                    alpha=self.alpha,
                    max_iter=self.max_iter,
                    random_state=self.random_state,
                    class_weight=self.class_weight,
                    check_expression=False,
                    feature_selection=False,
                    **batches,
                )
        finally:
            logger.setLevel(level)
            np.random.set_state(state)  # noqa: NPY002
        self.kept_ = X.sum(axis=0) != 0
        self.classes_ = self.model_.classifier.classes_
        self.n_features_in_ = X.shape[1]
        return self

    def _scaled(self, X: Any) -> Any:
        """Scale as the model does, and cut at 10 as it does in training."""
        check_is_fitted(self, "model_")
        return np.minimum(self.model_.scaler.transform(np.asarray(X)[:, self.kept_]), 10)

    def predict(self, X: Any) -> Any:
        """Return the label with the highest decision value.

        Parameters
        ----------
        X : ndarray, shape (cells, genes)
            Cells.

        Returns
        -------
        ndarray, shape (cells,)
            Labels.
        """
        return self.model_.classifier.predict(self._scaled(X))

    def predict_log_proba(self, X: Any) -> Any:
        """Return logarithms of one-vs-rest probabilities that add up to one.

        The probabilities are sigmoids of the decision values, as in CellTypist. Most of these
        values are so far below zero that scikit-learn's ``predict_proba`` rounds all classes of a
        cell to 0 and then calls them equally likely; in logarithms their order is kept.

        Parameters
        ----------
        X : ndarray, shape (cells, genes)
            Cells.

        Returns
        -------
        ndarray, shape (cells, classes)
            Logarithms of probabilities.
        """
        decision = self.model_.classifier.decision_function(self._scaled(X))
        decision = np.asarray(decision, dtype=float)
        if decision.ndim == 1:
            decision = np.column_stack([-decision, decision])
        return log_softmax(log_expit(decision), axis=1)

    def predict_proba(self, X: Any) -> Any:
        """Return one-vs-rest probabilities that add up to one.

        Parameters
        ----------
        X : ndarray, shape (cells, genes)
            Cells.

        Returns
        -------
        ndarray, shape (cells, classes)
            Probabilities.
        """
        return np.exp(self.predict_log_proba(X))


def _celltypist() -> tuple[Any, logging.Logger]:
    """Return CellTypist's train function and logger; its import leaves logging as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # it reads scanpy.__version__
        from celltypist import logger, train
    root.handlers[:] = handlers
    root.setLevel(level)
    return train, logger.logger
