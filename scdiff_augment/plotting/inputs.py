"""Checks of what plots are given: AnnData or matrices of cells, their classes and coordinates."""

from __future__ import annotations

from typing import Any

import anndata as ad
import numpy as np
from numpy.typing import ArrayLike, NDArray

from scdiff_augment.expression import kinds
from scdiff_augment.expression.marks import MARK
from scdiff_augment.metrics.checks import checked_labels, checked_matrix


def split_adata(adata: ad.AnnData, label_key: str | None) -> tuple[Any, ...]:
    """Return real expression, synthetic expression, and the labels of both, from an AnnData.

    Raises
    ------
    KeyError
        If obs has no column `label_key` or "is_synthetic".
    ValueError
        If all cells are of one kind, or labels are missing.
    """
    mark = synthetic_cells(adata)
    if mark.all() or not mark.any():
        raise ValueError(
            f"real and synthetic cells are both needed, but obs['{MARK}'] marks {mark.sum()} of "
            f"{adata.n_obs} cells as synthetic. Use oversample_adata, or concatenate both kinds."
        )
    X = adata.X.toarray() if hasattr(adata.X, "toarray") else np.asarray(adata.X)
    if label_key is None:
        return X[~mark], X[mark], None, None
    y = labels_of(adata, label_key)
    return X[~mark], X[mark], y[~mark], y[mark]


def synthetic_cells(adata: ad.AnnData) -> NDArray[np.bool_]:
    """Return a mask of the synthetic cells of an AnnData.

    Raises
    ------
    KeyError
        If obs has no column "is_synthetic".
    ValueError
        If that column is not boolean.
    """
    if MARK not in adata.obs:
        raise KeyError(
            f"adata.obs needs the boolean column '{MARK}' to tell synthetic cells from real ones, "
            f"but has only {list(adata.obs)}. oversample_adata writes it."
        )
    if adata.obs[MARK].dtype.kind != "b":
        raise ValueError(
            f"obs['{MARK}'] must hold booleans, got {adata.obs[MARK].dtype}. Convert it: True for "
            f"synthetic cells, False for real ones."
        )
    return adata.obs[MARK].to_numpy(dtype=bool)


def labels_of(adata: ad.AnnData, label_key: str) -> NDArray[np.str_]:
    """Return the class of each cell of an AnnData, as strings.

    Raises
    ------
    KeyError
        If obs has no such column.
    ValueError
        If labels are missing.
    """
    if label_key not in adata.obs:
        raise KeyError(
            f"adata.obs has no column '{label_key}'. Pass one of {list(adata.obs)} as label_key."
        )
    return checked_labels(adata.obs[label_key].to_numpy(), adata.n_obs, f"obs['{label_key}']")


def require_coordinates(coordinates: ArrayLike, n: int, name: str) -> NDArray[np.float64]:
    """Return coordinates as floats.

    Raises
    ------
    ValueError
        If they are not two finite numbers for each cell.
    """
    xy = np.asarray(coordinates, dtype=float)
    if xy.shape != (n, 2) or not np.isfinite(xy).all():
        raise ValueError(
            f"the embedding of {name} cells must hold 2 finite coordinates for each of the {n} "
            f"cells, got shape {xy.shape}. Compute it with joint_umap(real, synthetic)."
        )
    return xy


def log_values(X: ArrayLike, name: str) -> NDArray:
    """Return log1p expression; counts and normalised values are brought to 10,000 a cell first."""
    values = checked_matrix(X, name, min_cells=1)
    return kinds.log_values(values)
