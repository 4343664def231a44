"""What a map shows: where cells lie, and their classes."""

from __future__ import annotations

from typing import Any, NamedTuple

import anndata as ad
import numpy as np
from numpy.typing import ArrayLike, NDArray

from scdiff_augment.metrics.inputs import checked, checked_labels, drawn

from .embed import joint_umap, require_places

MARK = "is_synthetic"
"""Column of obs that tells synthetic cells from real ones."""


class Cells(NamedTuple):
    """One kind of cells in a map."""

    xy: NDArray
    labels: NDArray[np.str_] | None


def placed(
    real: ad.AnnData | ArrayLike,
    synthetic: ArrayLike | None,
    *,
    labels: ArrayLike | None,
    synthetic_labels: ArrayLike | None,
    label_key: str | None,
    embedding: tuple[ArrayLike, ArrayLike] | None,
    max_cells: int,
    random_state: int,
) -> tuple[Cells, Cells]:
    """Real and synthetic cells, drawn down to what is shown, with their place and class."""
    if isinstance(real, ad.AnnData):
        if synthetic is not None or labels is not None or synthetic_labels is not None:
            raise ValueError(
                f"an AnnData holds both kinds of cells (obs['{MARK}']) and their labels "
                f"(label_key=...), so `synthetic`, `labels` and `synthetic_labels` must be left "
                f"out. Pass matrices to give them."
            )
        real, synthetic, labels, synthetic_labels = split(real, label_key)
    elif synthetic is None:
        raise ValueError("a matrix of real cells needs `synthetic` beside it; AnnData holds both.")
    sides = {"real": (real, labels), "synthetic": (synthetic, synthetic_labels)}
    rng = np.random.default_rng(random_state)
    chosen: list[tuple[NDArray, NDArray, NDArray[np.str_] | None]] = []
    for name, (X, y) in sides.items():
        values = checked(X, name, min_cells=1)
        rows = drawn(len(values), max_cells, rng)
        label_name = "labels" if name == "real" else "synthetic_labels"
        known = None
        if labels is not None or synthetic_labels is not None:
            known = checked_labels(y, len(values), label_name)[rows]
        chosen.append((values, rows, known))
    if embedding is None:
        xy = joint_umap(*(X[rows] for X, rows, _ in chosen), random_state=random_state)
    else:
        xy = [
            require_places(places, len(X), name)[rows]
            for places, name, (X, rows, _) in zip(embedding, sides, chosen, strict=True)
        ]
    first, second = (Cells(at, known) for at, (_, _, known) in zip(xy, chosen, strict=True))
    return first, second


def split(adata: ad.AnnData, label_key: str | None, layer: str | None = None) -> tuple[Any, ...]:
    """Real and synthetic expression of an AnnData, and the labels of both."""
    mark = synthetic_cells(adata)
    if mark.all() or not mark.any():
        raise ValueError(
            f"obs['{MARK}'] marks {mark.sum()} of {adata.n_obs} cells; both kinds are needed. "
            f"Use oversample_adata or concatenate real and synthetic cells."
        )
    X = adata.X if layer is None else adata.layers[layer]
    X = X.toarray() if hasattr(X, "toarray") else np.asarray(X)
    if label_key is None:
        return X[~mark], X[mark], None, None
    y = labels_of(adata, label_key)
    return X[~mark], X[mark], y[~mark], y[mark]


def synthetic_cells(adata: ad.AnnData) -> NDArray[np.bool_]:
    """Which cells of an AnnData are synthetic."""
    if MARK not in adata.obs:
        raise KeyError(
            f"adata.obs has no column '{MARK}', which tells synthetic cells from real ones; it has "
            f"{list(adata.obs)}. oversample_adata writes it."
        )
    if adata.obs[MARK].dtype.kind != "b":
        raise ValueError(f"obs['{MARK}'] must hold booleans, got {adata.obs[MARK].dtype}.")
    return adata.obs[MARK].to_numpy(dtype=bool)


def labels_of(adata: ad.AnnData, label_key: str) -> NDArray[np.str_]:
    """Class of each cell of an AnnData."""
    if label_key not in adata.obs:
        raise KeyError(f"adata.obs has no column '{label_key}'; it has {list(adata.obs)}.")
    return checked_labels(adata.obs[label_key].to_numpy(), adata.n_obs, f"obs['{label_key}']")
