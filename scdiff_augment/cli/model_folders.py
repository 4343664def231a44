"""Saved models: found, loaded, and compared with the cells that are brought to them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .cells import Cells, read_cells
from .names import listed
from .output import CELLS, MODEL
from .terminal import Terminal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scdiff_augment.generator import LatentDiffusion

READ = "read"
"""Entry of `history_` with what `fit` read from a file: layer and column of weights."""


def require_model(path: Path) -> None:
    """Refuse a path without a saved model, before torch is imported.

    Raises
    ------
    ValueError
        If it does not exist, or holds something else.
    """
    if path.suffix in CELLS:
        raise ValueError(
            f"a model is a folder, but {path} is named like a file of cells. The model comes "
            f"first in every command but fit and oversample."
        )
    if not (path / MODEL).is_file():
        what = f"holds no saved model: there is no {MODEL}" if path.exists() else "does not exist"
        beside = sorted(file.parent.name for file in path.parent.glob(f"*/{MODEL}"))
        there = f" Models there: {listed(beside)}." if beside else ""
        raise ValueError(f"{path} {what}.{there} Make one with: scdiff-augment fit CELLS {path}")


def load(path: Path, seed: int, jobs: int | None, terminal: Terminal) -> LatentDiffusion:
    """Load a model that draws from this seed and shows its progress."""
    from scdiff_augment.generator import LatentDiffusion

    model = LatentDiffusion.load(path, random_state=seed)
    return model.set_params(n_jobs=jobs, verbose=terminal.verbose)


def save(model: LatentDiffusion, place: Path) -> None:
    """Save a model without what only concerns this machine and this terminal."""
    model.set_params(n_jobs=None, verbose=False)
    model.save(place, overwrite=True)


def cells_for(model: LatentDiffusion, path: Path, layer: str | None, terminal: Terminal) -> Cells:
    """Read cells from the layer that the model was fitted on, unless another is named.

    Raises
    ------
    ValueError
        As `read_cells`, or if the values are of another kind than those of the model.
    """
    if layer is None:
        layer = model.history_.get(READ, {}).get("layer")
    return read_cells(path, layer, terminal)


def values_for(model: LatentDiffusion, cells: Cells) -> Any:
    """Dense values of the model's genes.

    Raises
    ------
    ValueError
        If genes are missing, or the values are of another kind than those of the model.
    """
    from scdiff_augment.expression.kinds import detect_kind

    frame = cells.frame(model.genes_)
    kind = model.history_["expression"]
    values = frame.to_numpy()
    if kind != "real" and (kind == "counts") != (detect_kind(values) == "counts"):
        what = "no counts" if kind == "counts" else "counts"
        raise ValueError(
            f"the model was fitted on {kind}, but {cells.place} of {cells.path} holds {what}. "
            f"Name what to read with --layer: {listed(['X', *cells.adata.layers])}."
        )
    return frame if model.genes_ is not None else values


def class_weights(labels: NDArray) -> NDArray:
    """n_class^-0.5 for each cell: rare classes are seen more often, not equally often."""
    import numpy as np

    _, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return counts[codes] ** -0.5


def described(model: LatentDiffusion) -> str:
    """One line on a model."""
    known = [f"{name} ({len(classes)})" for name, classes in model.conditions_.items()]
    return (
        f"{model.n_features_in_:,} genes, {model.history_['expression']}, latent of "
        f"{model.history_['n_latent']}, conditions: {listed(known)}"
    )
