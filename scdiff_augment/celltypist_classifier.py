"""CellTypist as a scikit-learn classifier, trained on the cells it is given."""

from __future__ import annotations

import copy
import logging
import warnings
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.special import log_expit, log_softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from scdiff_augment.expression.checks import refuse_anndata, require_genes, require_labels

if TYPE_CHECKING:
    from celltypist.models import Model

SPARSE = ("csr", "csc")
"""Sparse matrices that are read; they are made dense, as CellTypist does with them."""


class CellTypistClassifier(ClassifierMixin, BaseEstimator):
    """Train a CellTypist model on cells with labels; nothing is downloaded.

    CellTypist's logistic regression by stochastic gradient descent on standardised genes, as an
    estimator of scikit-learn: at the end of a pipeline after `DiffusionOversampler`, in a grid
    search, or for ``celltypist.annotate`` (`to_celltypist_model`). Needs the package celltypist:
    ``pip install 'scdiff-augment[celltypist]'``.

    Parameters
    ----------
    class_weight : dict, "balanced" or None, default=None
        Weight of each class.
    alpha : float, default=1e-4
        Penalty, CellTypist's own by default.
    max_iter : int, default=100
        Passes over the cells, at most. CellTypist's own 1,000 for so few cells changed macro-F1
        by .006 at most, and took up to twice as long.
    genes : sequence of str, optional
        Names of the genes, kept in the model; by default the columns of X, where it is a data
        frame, otherwise "gene0", "gene1" and so on. ``celltypist.annotate`` matches genes by name.
    random_state : int, RandomState instance or None, default=None
        Seed of the order in which cells are seen.
    balance_cell_type : bool, default=False
        Train in mini-batches drawn evenly from the types. CellTypist draws without replacement,
        and by default as many cells as there are up to 100,000, which leaves nothing to
        balance; here an epoch sees half of the cells, and there are twice as many epochs.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels.
    model_ : celltypist.models.Model
        The trained model.
    kept_ : ndarray of bool, shape (n_genes,)
        Genes that any training cell expresses; CellTypist drops the others.
    n_iter_ : int
        Passes over the cells.
    n_features_in_ : int
        Number of genes.
    feature_names_in_ : ndarray of str, shape (n_genes,)
        Names of the genes, where X has string column names.

    See Also
    --------
    DiffusionOversampler : More cells of rare types to train on.

    References
    ----------
    Dominguez Conde et al. 2022, Cross-tissue immune cell analysis reveals tissue-specific features
    in humans, Science 376(6594), eabl5197.

    Examples
    --------
    >>> import numpy as np
    >>> from scdiff_augment import CellTypistClassifier
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat(["B", "T"], 20)
    >>> counts = rng.poisson(np.where(y == "B", 1.0, 4.0)[:, None] ** np.arange(2).repeat(10))
    >>> X = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)
    >>> classifier = CellTypistClassifier(random_state=0).fit(X, y)
    >>> classifier.predict(X[[0, -1]]).tolist(), classifier.score(X, y)
    (['B', 'T'], 1.0)
    >>> classifier.to_celltypist_model().cell_types.tolist()
    ['B', 'T']
    """

    def __init__(
        self,
        *,
        class_weight: Any = None,
        alpha: float = 1e-4,
        max_iter: int = 100,
        genes: Any = None,
        random_state: Any = None,
        balance_cell_type: bool = False,
    ) -> None:
        self.class_weight = class_weight
        self.alpha = alpha
        self.max_iter = max_iter
        self.genes = genes
        self.random_state = random_state
        self.balance_cell_type = balance_cell_type

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train the model.

        Parameters
        ----------
        X : {array-like, data frame, sparse matrix} of shape (n_cells, n_genes)
            log1p of counts per 10,000. CellTypist's own check, that a cell's values add up to
            10,000, is left out, since those of a selection of genes do not.
        y : array-like of shape (n_cells,)
            Type of each cell.

        Returns
        -------
        object
            The classifier itself.

        Raises
        ------
        ImportError
            If celltypist is not installed.
        TypeError
            If X is an AnnData.
        ValueError
            If X holds NaN or infinity, labels are missing, there are fewer than two types, or
            `genes` does not name each column once.

        Warns
        -----
        UserWarning
            If X holds counts.
        """
        refuse_anndata(X)
        require_labels(y)
        train, logger = _celltypist()
        X, y = validate_data(self, X, y, accept_sparse=SPARSE)
        check_classification_targets(y)
        X = _dense(X)
        named = getattr(self, "feature_names_in_", None) if self.genes is None else self.genes
        names = require_genes(named, X.shape[1])
        if names is None:
            names = np.array([f"gene{i}" for i in range(X.shape[1])])
        _warn_of_counts(X)
        types = np.unique(y)
        if len(types) < 2:
            raise ValueError(
                f"CellTypist tells classes apart and needs at least 2, but y holds one class, "
                f"'{types[0]}'. Pass cells of other types, too."
            )
        seed = self.random_state
        if isinstance(seed, np.random.RandomState):
            seed = seed.randint(2**31 - 1)
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
        level = logger.level
        logger.setLevel(logging.ERROR)
        state = np.random.get_state()  # noqa: NPY002
        try:
            if batches:  # they are drawn from NumPy's global state
                np.random.seed(seed)  # noqa: NPY002
            # Stopping at ``max_iter`` is the setting, not an accident to warn about.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                self.model_ = train(
                    X,
                    labels=y,
                    genes=names,
                    use_SGD=True,
                    alpha=self.alpha,
                    max_iter=self.max_iter,
                    random_state=seed,
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
        self.n_iter_ = self.model_.classifier.n_iter_
        return self

    def to_celltypist_model(self) -> Model:
        """Return a copy of the model, as CellTypist knows it.

        Returns
        -------
        celltypist.models.Model
            For ``celltypist.annotate(adata, model=...)``; its ``write(file)`` saves it.

        Raises
        ------
        NotFittedError
            If the classifier is not fitted.
        """
        check_is_fitted(self, "model_")
        return copy.deepcopy(self.model_)

    def decision_function(self, X: ArrayLike) -> NDArray:
        """Return the decision value of each type.

        Parameters
        ----------
        X : {array-like, data frame, sparse matrix} of shape (n_cells, n_genes)
            Cells, on the scale of `fit`.

        Returns
        -------
        ndarray of shape (n_cells, n_classes), or (n_cells,)
            Decision values; of two types, those of the second.
        """
        values = self._scaled(X)
        return self.model_.classifier.decision_function(values)

    def predict(self, X: ArrayLike) -> NDArray:
        """Return the type with the highest decision value.

        Parameters
        ----------
        X : {array-like, data frame, sparse matrix} of shape (n_cells, n_genes)
            Cells, on the scale of `fit`.

        Returns
        -------
        ndarray of shape (n_cells,)
            Labels.
        """
        values = self._scaled(X)
        return self.model_.classifier.predict(values)

    def predict_log_proba(self, X: ArrayLike) -> NDArray:
        """Return logarithms of one-vs-rest probabilities that add up to one.

        The probabilities are sigmoids of the decision values, as in CellTypist. Most of these
        values are so far below zero that scikit-learn's ``predict_proba`` rounds all classes of a
        cell to 0 and then calls them equally likely; in logarithms their order is kept.

        Parameters
        ----------
        X : {array-like, data frame, sparse matrix} of shape (n_cells, n_genes)
            Cells, on the scale of `fit`.

        Returns
        -------
        ndarray of shape (n_cells, n_classes)
            Logarithms of probabilities.
        """
        decision = np.asarray(self.decision_function(X), dtype=float)
        if decision.ndim == 1:
            decision = np.column_stack([-decision, decision])
        return log_softmax(log_expit(decision), axis=1)

    def predict_proba(self, X: ArrayLike) -> NDArray:
        """Return one-vs-rest probabilities that add up to one.

        Parameters
        ----------
        X : {array-like, data frame, sparse matrix} of shape (n_cells, n_genes)
            Cells, on the scale of `fit`.

        Returns
        -------
        ndarray of shape (n_cells, n_classes)
            Probabilities.
        """
        return np.exp(self.predict_log_proba(X))

    def _scaled(self, X: Any) -> NDArray:
        """Scale as the model does, and cut at 10 as it does in training."""
        check_is_fitted(self, "model_")
        refuse_anndata(X)
        X = _dense(validate_data(self, X, reset=False, accept_sparse=SPARSE))
        return np.minimum(self.model_.scaler.transform(X[:, self.kept_]), 10)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _dense(X: Any) -> NDArray:
    return X.toarray() if sparse.issparse(X) else X


def _warn_of_counts(X: NDArray) -> None:
    if X.min() >= 0 and X.max() > 1 and np.array_equal(X, np.rint(X)):
        warnings.warn(
            "X holds integers, but CellTypist reads log1p of counts per 10,000. Normalise it: "
            "scanpy.pp.normalize_total(adata, target_sum=1e4), then scanpy.pp.log1p(adata).",
            UserWarning,
            stacklevel=3,
        )


def _celltypist() -> tuple[Any, logging.Logger]:
    """Return CellTypist's train function and logger; its import leaves logging as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # it reads scanpy.__version__
        try:
            from celltypist import logger, train
        except ModuleNotFoundError as error:
            if error.name != "celltypist":
                raise
            raise ImportError(
                "CellTypistClassifier needs the package celltypist, which is not installed. "
                "Install it with: pip install 'scdiff-augment[celltypist]'."
            ) from error
    root.handlers[:] = handlers
    root.setLevel(level)
    return train, logger.logger
