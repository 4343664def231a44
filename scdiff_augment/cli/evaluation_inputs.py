"""Make the files given to evaluate comparable: same genes, same scale, same classes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from scdiff_augment.annotation.layers import listed_layers

from .cell_files import Cells
from .name_lookup import listed, require_name
from .terminal import Terminal

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_SHIFT = 0.1
"""Total variation distance of the class proportions above which evaluate prints a note."""

COUNTS = "counts"
"""Name of the layer that is searched for counts."""


def shared_classes(cells: dict[str, Cells], label_key: str, terminal: Terminal) -> Cells:
    """Return the real cells of classes that have synthetic cells; note what is left out.

    Raises
    ------
    ValueError
        If a synthetic class has no real cells, or labels are missing.
    """
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
        terminal.say(f"note: real cells of {listed(left_out)} left out: no synthetic cells of them")
    share, other = (
        np.array([(labels == label).mean() for label in known])
        for labels in (real[compared], synthetic)
    )
    if np.abs(share - other).sum() / 2 > MAX_SHIFT:
        terminal.say(
            "note: class proportions differ between the two files, which affects the metrics of "
            "all cells but not those of each class"
        )
    return cells["real"].take(compared)


def report_seen_cells(values: dict[str, NDArray], genes: NDArray, terminal: Terminal) -> None:
    """Note how many of the real cells are training cells."""
    from scdiff_augment.expression.hashes import cell_hashes, overlap
    from scdiff_augment.expression.kinds import denormalise

    real, seen = (cell_hashes(denormalise(values[name]), genes) for name in ("real", "training"))
    if n_seen := overlap(real, seen):
        terminal.say(
            f"note: {n_seen:,} of {len(real):,} real cells are in --training; metrics of "
            f"memorisation, and their real references, need held-out real cells"
        )


def matched_values(cells: dict[str, Cells], *, chosen: bool) -> dict[str, NDArray]:
    """Return dense matrices of the genes of the synthetic cells, all on one scale.

    Unless a layer was `chosen`, real cells are read from their layer "counts", if they have one.

    Raises
    ------
    ValueError
        If a file lacks genes, or has no values on the scale of the real cells.
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
            raise ValueError(
                f"{real.place} of {real.path} holds {scale}, but {found.path} holds {_scale(X)}, "
                f"so they cannot be compared. Name a layer of {real.path} with --layer: "
                f"{listed(['X', *listed_layers(real.adata)])}."
            )
    return values


def _scale(X: NDArray) -> str:
    """Name the scale of a matrix; only matrices on the same scale can be compared."""
    from scdiff_augment.expression.kinds import detect_kind

    if X.min() < 0:
        return "scaled values, some of them negative"
    return "counts" if detect_kind(X) == "counts" else "values other than counts"


def split_reference(values: dict[str, NDArray], labels: dict[str, NDArray], seed: int) -> None:
    """Split the real cells at random, within classes: one half becomes the real reference."""
    import numpy as np

    X, classes = values["real"], labels.get("real")
    order = np.random.default_rng(seed).permutation(len(X))
    if classes is not None:
        order = order[np.argsort(classes[order], kind="stable")]
        labels["real"], labels["null"] = classes[order[::2]], classes[order[1::2]]
    values["real"], values["null"] = X[order[::2]], X[order[1::2]]
