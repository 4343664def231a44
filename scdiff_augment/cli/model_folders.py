"""Saved models: find, load and save them, and read cells that match them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from scdiff_augment.annotation.layers import listed_layers

from .cell_files import Cells, read_cells
from .name_lookup import listed
from .output import CELLS, MODEL
from .terminal import Terminal

if TYPE_CHECKING:
    from scdiff_augment.generator import LatentDiffusion

READ = "read"
"""Key of `history_` where fit stores the layer and the weight column that it read."""


def require_model(path: Path) -> None:
    """Refuse a path that is not a saved model, before torch is imported.

    Raises
    ------
    ValueError
        If it does not exist, or holds something else.
    """
    if path.suffix in CELLS:
        raise ValueError(
            f"a model is a folder, but {path} is named like a file of cells. The model comes "
            f"first in every command except fit and oversample."
        )
    if not (path / MODEL).is_file():
        what = f"is not a saved model: it has no {MODEL}" if path.exists() else "does not exist"
        beside = sorted(file.parent.name for file in path.parent.glob(f"*/{MODEL}"))
        there = f" Models in that folder: {listed(beside)}." if beside else ""
        raise ValueError(f"{path} {what}.{there} Make one with: scdiff-augment fit CELLS {path}")


def load(path: Path, seed: int, jobs: int | None, terminal: Terminal) -> LatentDiffusion:
    """Load a model, set its seed, and let it show progress on a terminal."""
    from scdiff_augment.generator import LatentDiffusion

    model = LatentDiffusion.load(path, random_state=seed)
    return model.set_params(n_jobs=jobs, verbose=terminal.verbose)


def save(model: LatentDiffusion, place: Path) -> None:
    """Save a model without the settings of this run: jobs and progress."""
    model.set_params(n_jobs=None, verbose=False)
    model.save(place, overwrite=True)


def cells_for(model: LatentDiffusion, path: Path, layer: str | None, terminal: Terminal) -> Cells:
    """Read cells from the layer that the model was fitted on, or from the one that is named.

    Raises
    ------
    ValueError
        As `read_cells`.
    """
    if layer is None:
        layer = model.history_.get(READ, {}).get("layer")
    return read_cells(path, layer, terminal)


def values_for(model: LatentDiffusion, cells: Cells) -> Any:
    """Dense expression of the model's genes, for the model.

    Raises
    ------
    ValueError
        If genes are missing, or the model was fitted on counts and these are not, or vice versa.
    """
    from scdiff_augment.expression.kinds import detect_kind

    frame = cells.frame(model.genes_)
    kind = model.history_["expression"]
    values = frame.to_numpy()
    if kind != "real" and (kind == "counts") != (detect_kind(values) == "counts"):
        what = "does not hold counts" if kind == "counts" else "holds counts"
        raise ValueError(
            f"the model was fitted on {kind}, but {cells.place} of {cells.path} {what}. Name a "
            f"layer with --layer: {listed(['X', *listed_layers(cells.adata)])}."
        )
    return frame if model.genes_ is not None else values


def summary(model: LatentDiffusion) -> str:
    """Describe a model in one line."""
    known = [f"{name} ({len(classes)})" for name, classes in model.conditions_.items()]
    return (
        f"{model.n_features_in_:,} genes, {model.history_['expression']}, latent of "
        f"{model.history_['n_latent']}, conditions: {listed(known)}"
    )
