"""Cells of several files, made comparable: the same genes, one scale, the same classes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .cells import Cells
from .names import listed, require_name
from .terminal import Terminal

if TYPE_CHECKING:
    from numpy.typing import NDArray

UNLIKE = 0.1
"""Share of cells of other classes from which the two files are not compared alike."""

COUNTS = "counts"
"""Layer in which counts are looked for."""


def same_classes(cells: dict[str, Cells], label_key: str, terminal: Terminal) -> Cells:
    """Real cells of the synthetic cells' classes; what cannot be compared is said."""
    import numpy as np

    real, synthetic = (cells[name].labels(label_key).astype(str) for name in ("real", "synthetic"))
    known = sorted(set(synthetic))
    for label in known:
        require_name(
            label, sorted(set(real)), f"obs['{label_key}'] of {cells['real'].path}", "class"
        )
    compared = np.isin(real, known)
    if not compared.all():
        left_out = sorted(set(real[~compared]))
        terminal.say(f"note: real cells of {listed(left_out)} are left out: no synthetic ones")
    share, other = (
        np.array([(labels == label).mean() for label in known])
        for labels in (real[compared], synthetic)
    )
    if np.abs(share - other).sum() / 2 > UNLIKE:
        terminal.say(
            "note: classes come in other proportions in the two files, which the figures of all "
            "cells show; those of each class are free of it"
        )
    return cells["real"].take(compared)


def tell_seen(values: dict[str, NDArray], genes: NDArray, terminal: Terminal) -> None:
    """Say how many of the real cells the model has seen."""
    from scdiff_augment.expression.hashes import cell_hashes, overlap
    from scdiff_augment.expression.kinds import take_apart

    real, seen = (cell_hashes(take_apart(values[name]), genes) for name in ("real", "training"))
    if n_seen := overlap(real, seen):
        terminal.say(
            f"note: {n_seen:,} of {len(real):,} real cells are in --training; figures of "
            f"memorisation, and their null, need real cells that the model has not seen"
        )


def values_of(cells: dict[str, Cells], *, chosen: bool) -> dict[str, NDArray]:
    """Dense matrices of the synthetic cells' genes, all on one scale.

    Without a layer that was `chosen`, real cells are read from their layer of counts, if any.

    Raises
    ------
    ValueError
        If a file lacks genes, or has nothing on the scale of the real cells.
    """
    genes = cells["synthetic"].adata.var_names.to_numpy()
    real = cells["real"]
    if not chosen and COUNTS in real.adata.layers:
        real = replace(real, layer=COUNTS)
    values = {"real": real.frame(genes).to_numpy()}
    scale = _scale(values["real"])
    for name, found in cells.items():
        if name == "real":
            continue
        for layer in (None, *({COUNTS} & set(found.adata.layers))):
            X = replace(found, layer=layer).frame(genes).to_numpy()
            if _scale(X) == scale:
                values[name] = X
                break
        else:
            raw = [] if real.adata.raw is None else ["raw"]
            raise ValueError(
                f"{real.place} of {real.path} holds {scale}, and {found.path} {_scale(X)}: "
                f"they can't be compared. Name what to read of {real.path} with --layer: "
                f"{listed(['X', *real.adata.layers, *raw])}."
            )
    return values


def _scale(X: NDArray) -> str:
    """Name the scale; only what has the same one can be compared."""
    from scdiff_augment.expression.kinds import detect_kind

    if X.min() < 0:
        return "scaled values, some of them negative"
    return "counts" if detect_kind(X) == "counts" else "values that are no counts"


def halve(values: dict[str, NDArray], labels: dict[str, NDArray], seed: int) -> None:
    """Part the real cells of each class at random; every second one becomes the null."""
    import numpy as np

    X, classes = values["real"], labels.get("real")
    order = np.random.default_rng(seed).permutation(len(X))
    if classes is not None:
        order = order[np.argsort(classes[order], kind="stable")]
        labels["real"], labels["null"] = classes[order[::2]], classes[order[1::2]]
    values["real"], values["null"] = X[order[::2]], X[order[1::2]]
