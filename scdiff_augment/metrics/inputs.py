"""What the figures are given, checked and brought to one number of cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

MAX_CELLS = 5000
"""Cells of each side that a figure looks at by default; more are drawn down at random."""

Seed = int | np.random.Generator | None


def checked(X: ArrayLike, name: str, min_cells: int = 2) -> NDArray:
    """Matrix of cells × genes, refused where it is not dense, numeric, finite and large enough."""
    if hasattr(X, "obs") and hasattr(X, "var"):
        raise TypeError(
            f"`{name}` must be a matrix of cells × genes, got AnnData. Pass its .X, dense."
        )
    if hasattr(X, "toarray"):
        raise TypeError(f"`{name}` must be dense, got {type(X).__name__}. Use .toarray().")
    values = np.asarray(X)
    if values.ndim != 2 or values.dtype.kind not in "buif" or values.shape[1] == 0:
        raise ValueError(
            f"`{name}` must be a numeric matrix of cells × genes, got shape {values.shape} of "
            f"{values.dtype}."
        )
    if len(values) < min_cells:
        raise ValueError(
            f"this figure needs at least {min_cells} cells, but `{name}` has {len(values)}. Pass "
            f"more cells or leave the figure out."
        )
    values = values if values.dtype.kind == "f" else values.astype(np.float32)
    if not np.isfinite(values.sum(dtype=np.float64)):
        wrong = ~np.isfinite(values)
        cell, gene = np.argwhere(wrong)[0]
        raise ValueError(
            f"`{name}` must be finite, but cell {cell} has {values[cell, gene]} in column {gene} "
            f"({wrong.sum()} such entries). Fill them (0 for genes not detected) or drop those "
            f"cells or genes."
        )
    return values


def same_genes(matrices: dict[str, Any]) -> None:
    """Refuse matrices that differ in their genes, by number or, for data frames, by name."""
    (first, reference), *others = matrices.items()
    for name, X in others:
        if np.shape(X)[1] != np.shape(reference)[1]:
            raise ValueError(
                f"`{first}` and `{name}` must hold the same genes in the same order, but they have "
                f"{np.shape(reference)[1]} and {np.shape(X)[1]}. Select the shared genes of both."
            )
        if isinstance(X, pd.DataFrame) and isinstance(reference, pd.DataFrame):
            differ = np.flatnonzero(X.columns != reference.columns)
            if len(differ):
                at = differ[0]
                raise ValueError(
                    f"`{first}` and `{name}` must hold the same genes in the same order, but "
                    f"column {at} is '{reference.columns[at]}' in one and '{X.columns[at]}' in the "
                    f"other ({len(differ)} differ). Reorder one: {name}[{first}.columns]."
                )


def checked_pair(
    real: ArrayLike, synthetic: ArrayLike, min_cells: int = 2
) -> tuple[NDArray, NDArray]:
    """Both matrices, checked, on the same genes."""
    pair = checked(real, "real", min_cells), checked(synthetic, "synthetic", min_cells)
    same_genes({"real": real, "synthetic": synthetic})
    return pair


def equal_pair(
    real: ArrayLike,
    synthetic: ArrayLike,
    *,
    min_cells: int,
    max_cells: int = MAX_CELLS,
    random_state: Seed = 0,
) -> tuple[NDArray, NDArray]:
    """Both matrices, checked and drawn down to one number of cells, at most `max_cells`."""
    a, b = checked_pair(real, synthetic, min_cells)
    n = min(len(a), len(b), require_max_cells(max_cells, min_cells))
    rng = np.random.default_rng(random_state)
    return a[drawn(len(a), n, rng)], b[drawn(len(b), n, rng)]


def drawn(size: int, n: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """At most n of `size` rows, at random, in their order."""
    return np.arange(size) if n >= size else np.sort(rng.choice(size, n, replace=False))


def require_max_cells(max_cells: int, min_cells: int = 2) -> int:
    """Refuse a limit below what the figure needs."""
    if max_cells < min_cells:
        raise ValueError(
            f"`max_cells` must be at least {min_cells} here, got {max_cells}. Leave it at its "
            f"default, {MAX_CELLS}."
        )
    return max_cells


def checked_labels(labels: ArrayLike | None, n_cells: int, name: str) -> NDArray[np.str_]:
    """One label for each cell, as strings."""
    values = np.asarray(labels)
    if labels is None or values.shape != (n_cells,):
        raise ValueError(
            f"`{name}` needs one label for each of the {n_cells} cells, got "
            f"{None if labels is None else f'shape {values.shape}'}."
        )
    missing = np.asarray(pd.isna(values))
    if missing.any():
        raise ValueError(
            f"`{name}` has no label for {missing.sum()} of {n_cells} cells, first row "
            f"{missing.argmax()}. Drop those cells or give them a label."
        )
    return values.astype(str)
