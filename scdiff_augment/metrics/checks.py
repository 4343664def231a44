"""Checks of the matrices and labels given to a metric, and random subsamples of equal size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

MAX_CELLS = 5000
"""Default limit on the cells of each set that a metric uses; larger sets are subsampled."""

Seed = int | np.random.Generator | None


def checked_matrix(X: ArrayLike, name: str, min_cells: int = 2) -> NDArray:
    """Return a dense, finite matrix of cells × genes; integers and booleans become float32.

    Raises
    ------
    TypeError
        If it is an AnnData or a sparse matrix.
    ValueError
        If it is not a numeric matrix, has fewer than `min_cells` cells, or holds NaN or infinity.
    """
    if hasattr(X, "obs") and hasattr(X, "var"):
        raise TypeError(
            f"`{name}` must be a dense matrix of cells × genes, got AnnData. Pass adata.X, with "
            f".toarray() if it is sparse."
        )
    if hasattr(X, "toarray") and not isinstance(X, np.ndarray):  # as views of AnnData have it
        raise TypeError(f"`{name}` must be dense, got {type(X).__name__}. Use .toarray().")
    values = np.asarray(X)
    if values.ndim != 2 or values.dtype.kind not in "buif" or values.shape[1] == 0:
        raise ValueError(
            f"`{name}` must be a numeric matrix of cells × genes, got shape {values.shape} and "
            f"dtype {values.dtype}."
        )
    if len(values) < min_cells:
        raise ValueError(
            f"this metric needs at least {min_cells} cells, but `{name}` has {len(values)}. Pass "
            f"more cells or leave the metric out."
        )
    values = values if values.dtype.kind == "f" else values.astype(np.float32)
    if not np.isfinite(values.sum(dtype=np.float64)):
        wrong = ~np.isfinite(values)
        cell, gene = np.argwhere(wrong)[0]
        raise ValueError(
            f"`{name}` must be finite, but row {cell}, column {gene} holds {values[cell, gene]} "
            f"({wrong.sum()} such entries). Replace them (0 for genes not detected) or drop those "
            f"cells or genes."
        )
    return values


def require_same_genes(matrices: dict[str, Any]) -> None:
    """Refuse matrices whose genes differ, in number or, for data frames, in name or order.

    Raises
    ------
    ValueError
        The message names both matrices and the first gene that differs.
    """
    (first, reference), *others = matrices.items()
    for name, X in others:
        if np.shape(X)[1] != np.shape(reference)[1]:
            raise ValueError(
                f"`{first}` and `{name}` must hold the same genes in the same order, but they have "
                f"{np.shape(reference)[1]} and {np.shape(X)[1]} genes. Select the shared genes in "
                f"both."
            )
        if isinstance(X, pd.DataFrame) and isinstance(reference, pd.DataFrame):
            differ = np.flatnonzero(X.columns != reference.columns)
            if len(differ):
                at = differ[0]
                raise ValueError(
                    f"`{first}` and `{name}` must hold the same genes in the same order, but "
                    f"column {at} is '{reference.columns[at]}' in `{first}` and '{X.columns[at]}' "
                    f"in `{name}` ({len(differ)} differ). Reorder one: {name}[{first}.columns]."
                )


def checked_pair(
    real: ArrayLike, synthetic: ArrayLike, min_cells: int = 2
) -> tuple[NDArray, NDArray]:
    """Return both matrices after `checked_matrix` and `require_same_genes`."""
    pair = (
        checked_matrix(real, "real", min_cells),
        checked_matrix(synthetic, "synthetic", min_cells),
    )
    require_same_genes({"real": real, "synthetic": synthetic})
    return pair


def equal_sized_pair(
    real: ArrayLike,
    synthetic: ArrayLike,
    *,
    min_cells: int,
    max_cells: int = MAX_CELLS,
    random_state: Seed = 0,
) -> tuple[NDArray, NDArray]:
    """Return both matrices, checked and subsampled to equal numbers of cells (≤ `max_cells`)."""
    a, b = checked_pair(real, synthetic, min_cells)
    n = min(len(a), len(b), require_max_cells(max_cells, min_cells))
    rng = np.random.default_rng(random_state)
    return a[subsample(len(a), n, rng)], b[subsample(len(b), n, rng)]


def subsample(size: int, n: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return at most `n` of the row numbers below `size`: a random sample, in ascending order."""
    return np.arange(size) if n >= size else np.sort(rng.choice(size, n, replace=False))


def require_max_cells(max_cells: int, min_cells: int = 2) -> int:
    """Return the limit unless it is below the number of cells that the metric needs.

    Raises
    ------
    ValueError
        If it is.
    """
    if max_cells < min_cells:
        raise ValueError(
            f"`max_cells` must be at least {min_cells} here, got {max_cells}. Leave it at its "
            f"default, {MAX_CELLS}."
        )
    return max_cells


def checked_labels(labels: ArrayLike | None, n_cells: int, name: str) -> NDArray[np.str_]:
    """Return one label per cell, as strings.

    Raises
    ------
    ValueError
        If the number of labels is not the number of cells, or a label is missing.
    """
    values = np.asarray(labels)
    if labels is None or values.shape != (n_cells,):
        raise ValueError(
            f"`{name}` needs one label for each of the {n_cells} cells, got "
            f"{None if labels is None else f'shape {values.shape}'}."
        )
    missing = np.asarray(pd.isna(values))
    if missing.any():
        raise ValueError(
            f"`{name}` has no label for {missing.sum()} of {n_cells} cells, the first in row "
            f"{missing.argmax()}. Drop those cells or label them."
        )
    return values.astype(str)
