"""What users give, checked: each error names rule, value, culprit and suggested fix."""

from __future__ import annotations

import numbers
import warnings
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from scdiff_augment.compute.memory import require_room


def refuse_anndata(X: Any) -> None:
    """Point from AnnData to `oversample_adata`."""
    if hasattr(X, "obs") and hasattr(X, "var"):
        raise TypeError(
            "X must be an array, data frame or sparse matrix, got AnnData. Use "
            "scdiff_augment.oversample_adata(adata, label_key=...) for AnnData, or pass adata.X "
            "and adata.obs[label_key]."
        )


def computed(X: Any) -> Any:
    """Return a Dask array's contents, dense or sparse; anything else as it is."""
    return X.compute() if hasattr(X, "dask") and hasattr(X, "compute") else X


def cast(new: NDArray[np.float32], dtype: np.dtype) -> NDArray:
    """Synthetic rows in the real cells' type; values it cannot hold are set to its limit."""
    if dtype.kind == "b":
        return new > 0.5
    limits = np.iinfo(dtype) if np.issubdtype(dtype, np.integer) else np.finfo(dtype)
    rounded = np.rint(new) if np.issubdtype(dtype, np.integer) else new
    over = (rounded > limits.max) | (rounded < limits.min)
    if over.any():
        warnings.warn(
            f"{over.sum()} of {over.size} synthetic values lie outside {dtype}, which ends at "
            f"{limits.max}; they were set to the limit. Pass X in a wider type, such as int32.",
            UserWarning,
            stacklevel=6,
        )
        rounded = np.clip(rounded, limits.min, limits.max)
    return rounded.astype(dtype)


def cells_with_counts(X: Any, y: NDArray, kind: str) -> NDArray[np.bool_]:
    """Which cells can be learnt from; of counts, those that have any."""
    used = np.asarray(X.astype(bool).sum(axis=1)).ravel() > 0
    if used.all() or kind == "real":
        return np.ones(len(used), dtype=bool)
    for label in np.unique(y):
        if not used[y == label].any():
            raise ValueError(
                f"class '{label}' has {np.sum(y == label)} cells, all of them without any count; "
                f"at least 1 with counts is needed. Drop the class or use a larger set of genes."
            )
    warnings.warn(
        f"{np.sum(~used)} of {len(used)} cells have no counts, first row {np.argmin(used)}. They "
        f"are returned but not learnt from. Drop them before, or use a larger set of genes.",
        UserWarning,
        stacklevel=5,
    )
    return used


def require_labels(y: Any, name: str = "y") -> None:
    """Refuse missing labels, and strings mixed with other types."""
    labels = np.asarray(y)
    if y is None or labels.dtype.kind not in "Of" or labels.size == 0:
        return
    missing = np.asarray(pd.isna(labels)).ravel()
    if missing.any():
        raise ValueError(
            f"In {name}, there is no label for {missing.sum()} of {missing.size} cells, first row "
            f"{missing.argmax()}. Drop those cells or give them a label."
        )
    text = [isinstance(label, str) for label in labels.ravel()]
    if any(text) and not all(text):
        first = text.index(False)
        raise ValueError(
            f"In {name}, labels mix strings with {type(labels.ravel()[first]).__name__}, first row "
            f"{first}. Use one type, for example labels.astype(str)."
        )


def require_codes(
    name: str, labels: Any, n_cells: int, whose: str = "the cells of X"
) -> NDArray[np.int64]:
    """Codes of labels, one for each cell."""
    require_labels(labels, name)
    if np.shape(labels) != (n_cells,):
        raise ValueError(
            f"{name} needs one label for each of {whose} ({n_cells}), got shape "
            f"{np.shape(labels)}. Pass the labels of those cells, in their order."
        )
    return np.unique(np.asarray(labels), return_inverse=True)[1]


def require_weights(sample_weight: Any, n_cells: int) -> NDArray[np.float64]:
    """Weights of cells that sum to 1; equal ones for None."""
    weight = np.ones(n_cells) if sample_weight is None else np.asarray(sample_weight, float)
    if weight.shape != (n_cells,):
        raise ValueError(
            f"`sample_weight` needs one value for each of the {n_cells} cells, got shape "
            f"{weight.shape}."
        )
    if not (np.isfinite(weight).all() and weight.min() >= 0 and weight.sum() > 0):
        raise ValueError(
            f"`sample_weight` must be finite, not negative and not all 0; it runs from "
            f"{weight.min():g} to {weight.max():g}."
        )
    return weight / weight.sum()


def require_genes(genes: Any, n_genes: int) -> NDArray[np.str_] | None:
    """Names of genes, one for each column, each once."""
    if genes is None:
        return None
    names = np.asarray(genes).astype(str)
    if names.shape != (n_genes,):
        raise ValueError(
            f"`genes` needs one name for each of the {n_genes} columns, got shape {names.shape}."
        )
    values, counts = np.unique(names, return_counts=True)
    if (counts > 1).any():
        raise ValueError(
            f"gene names must be unique, but '{values[counts > 1][0]}' stands {counts.max()} "
            f"times. Sum those columns, or use adata.var_names_make_unique()."
        )
    return names


def require_annotation(name: str, values: Any, n_cells: int) -> NDArray:
    """Labels of cells given by keyword, one for each cell."""
    require_codes(f"`{name}`", values, n_cells)
    return np.asarray(values)


def require_finite(X: Any, names: NDArray | None) -> None:
    """Refuse NaN and infinity, with the place of the first."""
    values = X.data if sparse.issparse(X) else X
    if values.dtype.kind not in "fc" or np.isfinite(values.sum()) or np.isfinite(values).all():
        return
    wrong = ~np.isfinite(X.toarray() if sparse.issparse(X) else X)
    cell, gene = np.argwhere(wrong)[0]
    entry = X[[cell]][:, [gene]]
    entry = entry.toarray() if sparse.issparse(entry) else entry
    what = "NaN" if np.isnan(entry).any() else "infinity"
    column = gene if names is None else f"'{names[gene]}'"
    raise ValueError(
        f"Input X contains {what}, first in row {cell}, column {column}; {wrong.sum()} of "
        f"{wrong.size} entries in {int(wrong.any(axis=1).sum())} cells. Expression values must "
        f"be finite: fill them (0 for genes not detected) or drop those cells or genes."
    )


def dense_matrix(X: Any) -> tuple[NDArray, NDArray | None]:
    """Cells as a dense, finite array, and the names of the genes where X has any."""
    refuse_anndata(X)
    X, genes = computed(X), None
    if isinstance(X, pd.DataFrame):
        if all(isinstance(name, str) for name in X.columns):
            genes = X.columns.to_numpy(dtype=str)
        X = X.to_numpy()
    if sparse.issparse(X):
        require_room(
            X.shape[0] * X.shape[1] * X.dtype.itemsize,
            f"{X.shape[0]:,} cells of {X.shape[1]:,} genes as a dense matrix, which is how cells "
            f"are read that are no stream,",
            "Pass fewer genes, or let cells be read in blocks: LatentDiffusion().fit(path of a "
            "file, or scdiff_augment.as_blocks(X)), oversample_adata(..., out=...).",
        )
        X = X.toarray()
    X = np.asarray(X)
    require_matrix(X)
    return np.ascontiguousarray(X), genes


def same_genes(
    X: NDArray, genes: NDArray | None, n_features: int, known: NDArray | None
) -> NDArray:
    """Columns of X in the order that the model knows.

    Raises
    ------
    ValueError
        If a gene of the model is missing, or the number of columns differs.
    """
    if genes is not None and known is not None and not np.array_equal(genes, known):
        positions = pd.Index(genes).get_indexer(known) if pd.Index(genes).is_unique else None
        if positions is None or (positions < 0).any():
            missing = known if positions is None else known[positions < 0]
            raise ValueError(
                f"the model was fitted on {n_features} genes, and {len(missing)} of them are "
                f"missing or repeated here, the first is '{missing[0]}'. Select the same genes: "
                f"adata[:, model.genes_]."
            )
        return np.ascontiguousarray(X[:, positions])
    if X.shape[1] != n_features:
        raise ValueError(
            f"the model was fitted on {n_features} genes, but X has {X.shape[1]} columns. Pass the "
            f"same genes in the same order, or a DataFrame with gene names."
        )
    return X


def require_latents(name: str, z: Any, n_latent: int, dtype: Any = np.float32) -> NDArray:
    """Latents of cells, or noise of their shape."""
    values = np.array(z, dtype=dtype)
    if values.ndim != 2 or values.shape[1] != n_latent or not np.isfinite(values).all():
        odd = "" if np.isfinite(values).all() else " with NaN or infinity"
        raise ValueError(
            f"{name} must be finite and of shape (cells, {n_latent}), as `encode` and `invert` "
            f"give it, got shape {values.shape}{odd}."
        )
    return values


def require_steps(n_steps: Any) -> None:
    """Refuse a way of no steps."""
    if not isinstance(n_steps, numbers.Integral) or n_steps < 1:
        raise ValueError(f"n_steps must be a whole number, at least 1, got {n_steps!r}.")


def require_matrix(X: NDArray) -> None:
    """Refuse what the model cannot learn from: not numeric, not finite, not a matrix."""
    if X.ndim != 2 or X.dtype.kind not in "buif" or len(X) < 1 or X.shape[1] < 1:
        raise ValueError(
            f"X must be a numeric matrix of cells × genes, got shape {X.shape} of {X.dtype}. Use "
            f".X for AnnData."
        )
    wrong = np.argwhere(~np.isfinite(X))
    if len(wrong):
        cell, gene = wrong[0]
        raise ValueError(
            f"X must be finite, but cell {cell} has {X[cell, gene]} in column {gene} ({len(wrong)} "
            f"such entries). Fill them (0 for genes not detected) or drop those cells or genes."
        )
