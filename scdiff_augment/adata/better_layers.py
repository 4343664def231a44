"""Scaled values where counts may be at hand: which layer to name instead."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from scipy import sparse

from scdiff_augment.expression.kinds import detect_kind
from scdiff_augment.oversampler import DiffusionOversampler

ENOUGH = 300
"""Cells of a matrix that are looked at."""


def warn_of_real_values(
    X: Any, sampler: DiffusionOversampler, adata: Any, layer: str | None
) -> None:
    """Warn where a matrix is neither counts nor leads back to them, and name a layer that does.

    Parameters
    ----------
    X : array or sparse matrix of shape (n_cells, n_genes)
        What is to be learnt from, or some of its cells.
    sampler : DiffusionOversampler
        Only one whose `expression` is "auto" is in doubt.
    adata : AnnData or None
        Where other layers are looked for.
    layer : str or None
        The layer that X is.
    """
    if sampler.expression != "auto" or _kind(X[:: max(1, X.shape[0] // ENOUGH)]) != "real":
        return
    lowest = float(X.min())
    scaled = "scaled (z-scored) values" if lowest < 0 else "values that lead back to no counts"
    better = [] if adata is None else _better(adata, layer)
    names = " or ".join(better)
    way_out = (
        f"Pass {names}, which lead{'s' if len(better) == 1 else ''} back to counts"
        if better
        else "Pass counts, or values that were only normalised and logged, if there are any"
    )
    warnings.warn(
        f"{'X' if layer is None else f'layer {layer!r}'} holds {scaled}, modelled as real values "
        f"with Gaussian noise: new cells have neither zeros nor count noise. {way_out}; "
        f"DiffusionOversampler(expression='real') is silent.",
        UserWarning,
        stacklevel=3,
    )


def _better(adata: Any, layer: str | None) -> list[str]:
    """Name layers from which counts can be recovered, as they are to be passed."""
    found: list[tuple[bool, str]] = []
    places = {f"layer='{name}'": adata.layers[name] for name in adata.layers if name is not None}
    places.pop(f"layer='{layer}'", None)
    if layer is not None and adata.X is not None:
        places["X (no layer)"] = adata.X
    if adata.raw is not None:
        places["adata.raw.to_adata()"] = adata.raw.X
    for name, matrix in places.items():
        kind = _kind(matrix[:ENOUGH])
        if kind != "real":
            found.append((kind != "counts", name))
    return [name for _, name in sorted(found)]


def _kind(some: Any) -> str:
    return detect_kind(some.toarray() if sparse.issparse(some) else np.asarray(some))
