"""Layers of an oversampled AnnData: those that new cells have, too."""

from __future__ import annotations

from typing import Any

import anndata as ad
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from scdiff_augment.expression.checks import cast
from scdiff_augment.expression.kinds import Expression
from scdiff_augment.expression.scales import FRACTIONAL, Scale

COUNTS = "counts"
"""Name of the layer that holds counts beside normalised values."""

AGREE = 0.99
"""Share of the cells whose counts must agree with the matrix that was learnt from."""

NO_COUNTS = (
    f"layer '{COUNTS}' was left out: what was learnt from are real values, and new cells have no "
    f"counts. Learn from the counts with layer='{COUNTS}' to have them"
)
OTHER_COUNTS = (
    f"layer '{COUNTS}' was left out: it does not hold the counts that the values learnt from lead "
    f"back to. Learn from it with layer='{COUNTS}' to have new counts"
)


def extended_layers(
    adata: ad.AnnData,
    layer: str | None,
    X: Any,
    learnt: Expression,
    factor: NDArray[np.float64],
) -> tuple[dict[str, Any], list[str]]:
    """Return the layers that new cells have, real cells first, and notes on the others.

    Parameters
    ----------
    adata : AnnData
        Real cells.
    layer : str or None
        The layer that was learnt from; None is X.
    X : ndarray or sparse matrix of shape (n_cells + n_new, n_genes)
        The matrix that was learnt from, with new cells.
    learnt : Expression
        What the real cells were learnt as: counts, or real values.
    factor : ndarray of shape (n_new,)
        By what the counts of new cells were multiplied, before any logarithm or root.
    """
    kept, notes = {}, []
    for name, real in adata.layers.items():
        if name is None:  # X, in newer versions of anndata
            continue
        if name == layer:
            kept[name] = X.copy()
        elif name != COUNTS:
            notes.append(left_out(name))
        elif learnt.kind == "real":
            notes.append(NO_COUNTS)
        elif learnt.kind in FRACTIONAL or agreeing(real, learnt).mean() < AGREE:
            notes.append(OTHER_COUNTS)
        else:
            new = X[adata.n_obs :]
            kept[name] = _appended(
                real, new if learnt.kind == "counts" else _counts(new, factor, learnt.scale)
            )
    return kept, notes


def left_out(name: str) -> str:
    """Return the note on a layer that new cells have no values in."""
    return f"layer '{name}' was left out, since new cells have no values in it"


def agreeing(counts: Any, learnt: Expression) -> NDArray[np.bool_]:
    """Which cells of a layer of counts, (n_cells, n_genes), have those that were learnt from."""
    dense = np.asarray(counts.toarray() if sparse.issparse(counts) else counts)
    return np.isclose(learnt.values, dense, rtol=1e-6, atol=1e-6).all(axis=1)


def _counts(new: Any, factor: NDArray[np.float64], scale: Scale) -> Any:
    """Undo the scale of new cells' counts."""
    if not sparse.issparse(new):
        return np.rint(scale.linear(new) / factor[:, None])
    rows = sparse.csr_matrix(new, dtype=np.float64)
    rows.data = np.rint(scale.linear(rows.data) / np.repeat(factor, np.diff(rows.indptr)))
    return rows


def _appended(real: Any, new: Any) -> Any:
    """Stack new cells under real ones, in the container and type of those."""
    if not sparse.issparse(real):
        dense = new.toarray() if sparse.issparse(new) else new
        return np.vstack([real, cast(dense, real.dtype)])
    below = sparse.csr_matrix(new)
    below.data = cast(below.data, real.dtype)
    return sparse.vstack([real, type(real)(below)], format=real.format)
