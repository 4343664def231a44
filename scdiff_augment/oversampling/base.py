"""imbalanced-learn's contract for any sampler that learns a model of the training fold."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
from imblearn.over_sampling.base import BaseOverSampler
from imblearn.utils import check_target_type
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.utils import check_random_state
from sklearn.utils.validation import validate_data

from scdiff_augment.annotation.labels import balanced_weights
from scdiff_augment.compute.memory import require_room
from scdiff_augment.expression.checks import (
    cast,
    cells_with_counts,
    computed,
    refuse_anndata,
    require_annotation,
    require_finite,
    require_labels,
)
from scdiff_augment.expression.detection import CELLS_INSPECTED
from scdiff_augment.expression.kinds import detect_kind
from scdiff_augment.streaming.block_sizes import as_csr, cells_per_block

from .requested_classes import require_requested_classes

Draw = Callable[[NDArray], Any]
"""Wanted classes to new cells: an array, or CSR where the cells of `fit` were."""

LARGE = 50_000_000
"""Cells × genes of a sparse matrix above which it is written out block by block only."""


class GenerativeOverSampler(BaseOverSampler):
    """Oversampler that learns a model of the training fold and draws from it.

    A subclass implements `_fit_model`; validation, exact class counts, containers and dtypes
    are dealt with here.
    """

    _of_a_call: ClassVar[tuple[str, ...]] = ()
    """Attributes that a call of `fit_resample` leaves where it drew cells; dropped by the next."""

    expression: str = "auto"
    balance: float = 0.5

    def fit(self, X: ArrayLike, y: ArrayLike, **params: Any) -> GenerativeOverSampler:
        """Check X and y and find ``sampling_strategy_``; nothing is trained.

        Parameters
        ----------
        X : {array-like, dataframe, sparse matrix} of shape (n_cells, n_genes)
            Expression matrix.
        y : array-like of shape (n_cells,)
            Class of each cell.
        **params : dict
            What `fit_resample` takes by keyword.

        Returns
        -------
        object
            The sampler itself.
        """
        refuse_anndata(X)
        require_labels(y)
        super().fit(computed(X), y, **params)
        labels = check_target_type(y)
        self.sampling_strategy_ = self._cells_wanted(labels, _annotations(params, len(labels)))
        return self

    @abstractmethod
    def _fit_model(
        self,
        X: Any,
        y: NDArray,
        weight: NDArray,
        random_state: np.random.RandomState,
        **annotations: NDArray,
    ) -> Draw:
        """Learn X; return a function from wanted classes to new rows.

        X is dense, or CSR where the matrix is large and `_reads_blocks` allows it.
        `annotations` hold further labels of the cells, for subclasses whose `fit_resample` takes
        them by keyword.
        """

    def _cells_wanted(self, y: NDArray, annotations: Mapping[str, NDArray]) -> dict[Any, int]:
        """How many cells of each class are made; as imbalanced-learn found it for all of y."""
        return self.sampling_strategy_

    def _reads_blocks(self) -> bool:
        """Whether `_fit_model` takes a CSR matrix, and its function gives one."""
        return False

    def _check_X_y(self, X: Any, y: Any, accept_sparse: Any = None) -> tuple[Any, NDArray, bool]:
        y, binarize_y = check_target_type(y, indicate_one_vs_all=True)
        X_checked, y = validate_data(
            self,
            X=X,
            y=y,
            reset=True,
            accept_sparse=accept_sparse or ["csr", "csc"],
            ensure_all_finite=False,
        )
        require_finite(X_checked, getattr(self, "feature_names_in_", None))
        if len(np.unique(y)) == 1:
            raise ValueError(
                f"The target 'y' needs to have more than 1 class. Got 1 class instead: {y[0]!s} "
                f"({len(y)} cells). Balancing compares classes; "
                f"LatentDiffusion().fit(X).sample(n=100) draws cells without labels."
            )
        require_requested_classes(
            self.sampling_strategy, y, numbers=self._sampling_type == "over-sampling"
        )
        return X_checked, y, binarize_y

    def _fit_resample(self, X: Any, y: NDArray, **params: Any) -> tuple[Any, NDArray]:
        for name in self._of_a_call:
            self.__dict__.pop(name, None)  # of an earlier call
        annotations = _annotations(params, len(y))
        self.sampling_strategy_ = self._cells_wanted(y, annotations)
        wanted = [label for label, n in self.sampling_strategy_.items() for _ in range(n)]
        if not wanted:
            return X.copy(), y.copy()
        labels = np.array(wanted, dtype=y.dtype)
        _require_room(X, len(labels))
        matrix = self._readable(X)
        kind = kind_of_matrix(matrix) if self.expression == "auto" else self.expression
        used = cells_with_counts(matrix, y, kind)
        draw = self._fit_model(
            matrix if used.all() else matrix[used],
            y[used],
            balanced_weights(y[used], self.balance),
            check_random_state(self.random_state),
            **{name: values[used] for name, values in annotations.items()},
        )
        new = draw(labels)
        if sparse.issparse(new):
            new.data = cast(new.data, X.dtype)
            new.eliminate_zeros()
        else:
            new = cast(new, X.dtype)
        source = getattr(self, "synthetic_source_", None)
        if source is not None:  # rows of the cells that were learnt from: rows of X
            self.synthetic_source_ = np.where(source < 0, -1, np.flatnonzero(used)[source])
        if sparse.issparse(X):
            container = type(X)
            stacked = sparse.vstack([X, container(new)], format=X.format)
        else:
            stacked = np.vstack([X, new])
        return stacked, np.hstack([y, labels])

    def _readable(self, X: Any) -> Any:
        """Return X as it is learnt from: dense, or CSR where that would take too much memory."""
        if not sparse.issparse(X):
            return np.ascontiguousarray(X)
        if np.prod(X.shape, dtype=float) > LARGE and self._reads_blocks():
            return X.tocsr()
        return np.ascontiguousarray(X.toarray())


def _annotations(params: Mapping[str, Any], n_cells: int) -> dict[str, NDArray]:
    return {
        name: require_annotation(name, values, n_cells)
        for name, values in params.items()
        if values is not None
    }


def _require_room(X: Any, n_new: int) -> None:
    """Refuse a result that will not fit: the new cells, and all cells in the end."""
    n_cells, n_genes = X.shape
    entry, density = X.dtype.itemsize, 1.0
    if sparse.issparse(X):
        density = X.nnz / max(n_cells * n_genes, 1)
        entry += X.indices.itemsize if X.format in ("csr", "csc") else 8
    bytes_of_cell = n_genes * density * entry
    fewer = "Ask for fewer cells with sampling_strategy, or use oversample_adata(..., out=...), "
    fewer += "which writes them to a store block by block"
    require_room(
        (n_cells + 2 * n_new) * bytes_of_cell,
        f"{n_new:,} new cells of {n_genes:,} genes, and the {n_cells + n_new:,} cells of the "
        f"result as {'a sparse' if sparse.issparse(X) else 'a dense'} matrix,",
        f"{fewer}." if sparse.issparse(X) else f"{fewer}; or pass X as a sparse matrix (CSR).",
    )


def kind_of_matrix(X: Any) -> str:
    """Tell what a matrix holds; a large one by some of its cells: all are checked when read."""
    if not sparse.issparse(X):
        return detect_kind(X)
    return detect_kind(X[:: max(1, X.shape[0] // CELLS_INSPECTED)].toarray())


def in_blocks(draw: Callable[[NDArray], NDArray], n_cells: int, n_genes: int) -> sparse.csr_matrix:
    """Draw the cells of positions 0 to n_cells, of which only one block is dense at a time."""
    size = cells_per_block(n_genes)
    starts = range(0, n_cells, size)
    blocks = (draw(np.arange(i, min(i + size, n_cells))) for i in starts)
    return sparse.vstack([as_csr(block) for block in blocks], format="csr")


def start_cells(y: NDArray, labels: NDArray, rng: np.random.Generator) -> NDArray[np.intp]:
    """Choose a real cell of the class for each new one: each in turn, in random order."""
    rows = np.empty(len(labels), dtype=np.intp)
    for label in np.unique(labels):
        places, cells = np.flatnonzero(labels == label), np.flatnonzero(y == label)
        rows[places] = np.resize(rng.permutation(cells), len(places))
    return rows
