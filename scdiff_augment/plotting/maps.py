"""UMAP plots of real and synthetic cells."""

from __future__ import annotations

from typing import NamedTuple

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.typing import ColorType
from numpy.typing import ArrayLike, NDArray

from scdiff_augment.expression.marks import MARK
from scdiff_augment.metrics.checks import MAX_CELLS, checked_labels, checked_matrix, subsample

from . import style
from .embedding import joint_umap
from .inputs import require_coordinates, split_adata

Embedding = tuple[ArrayLike, ArrayLike]


class MapCells(NamedTuple):
    """Coordinates of one kind of cells, and their classes if known."""

    xy: NDArray
    labels: NDArray[np.str_] | None


def umap(
    real: ad.AnnData | ArrayLike,
    synthetic: ArrayLike | None = None,
    *,
    labels: ArrayLike | None = None,
    synthetic_labels: ArrayLike | None = None,
    label_key: str | None = None,
    embedding: Embedding | None = None,
    max_cells: int = MAX_CELLS,
    random_state: int = 0,
    ax: Axes | None = None,
) -> Axes:
    """Draw synthetic cells over real ones in their joint UMAP.

    Parameters
    ----------
    real : AnnData, or array-like of shape (n_real, n_genes)
        Real cells: counts, or log1p of depth-normalised counts. An AnnData with a boolean column
        ``obs["is_synthetic"]`` holds both kinds of cells.
    synthetic : array-like of shape (n_synthetic, n_genes), optional
        Synthetic cells on the same genes; not with AnnData.
    labels, synthetic_labels : array-like, optional
        Class of each cell, to colour them by: give both or neither.
    label_key : str, optional
        With AnnData: the column of ``obs`` with the classes.
    embedding : pair of array-like of shape (n_cells, 2), optional
        Coordinates of real and synthetic cells; by default those of `joint_umap`.
    max_cells : int, default=5000
        Limit on the cells of each kind; larger sets are subsampled.
    random_state : int, default=0
        Seed of the subsampling, the map, and the drawing order.
    ax : matplotlib.axes.Axes, optional
        Axes to draw into; new ones by default.

    Returns
    -------
    matplotlib.axes.Axes
        Real cells are drawn first, in pale colours, synthetic ones over them in full colours. With
        more than nine classes colours repeat, and letters name the classes.

    Raises
    ------
    ValueError
        If labels, coordinates or "is_synthetic" do not match the cells.
    KeyError
        If the AnnData has no column `label_key` or "is_synthetic" in ``obs``.

    Examples
    --------
    >>> import numpy as np
    >>> from scdiff_augment.plotting import umap
    >>> real, synthetic = np.random.default_rng(0).poisson(3.0, (2, 30, 10))
    >>> ax = umap(real, synthetic, embedding=(real[:, :2], synthetic[:, :2]))
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['30 real', '30 synthetic']
    """
    sides = _map_cells(
        real,
        synthetic,
        labels=labels,
        synthetic_labels=synthetic_labels,
        label_key=label_key,
        embedding=embedding,
        max_cells=max_cells,
        random_state=random_state,
    )
    ax = style.axes(ax, 5.6, 4.2)
    letters: dict[str, NDArray] = {}
    if sides[0].labels is None:
        _plain(ax, sides)
    else:
        letters = _by_colour(ax, sides, np.random.default_rng(random_state))
    style.map_frame(ax)
    style.write(ax, letters)
    return ax


def umap_by_class(
    real: ad.AnnData | ArrayLike,
    synthetic: ArrayLike | None = None,
    *,
    labels: ArrayLike | None = None,
    synthetic_labels: ArrayLike | None = None,
    label_key: str | None = None,
    embedding: Embedding | None = None,
    max_cells: int = MAX_CELLS,
    random_state: int = 0,
    n_columns: int = 4,
    figure: Figure | None = None,
) -> NDArray[np.object_]:
    """Draw one panel per class, with its real and synthetic cells over all cells in grey.

    Parameters
    ----------
    real, synthetic, labels, synthetic_labels, label_key, embedding, max_cells, random_state
        As for `umap`. Labels are required.
    n_columns : int, default=4
        Panels per row.
    figure : matplotlib.figure.Figure, optional
        Figure to draw into; a new one by default.

    Returns
    -------
    ndarray of matplotlib.axes.Axes
        One panel per class of the real cells, in alphabetical order.

    Raises
    ------
    ValueError, KeyError
        As for `umap`, and if there are no labels.

    Examples
    --------
    >>> import numpy as np
    >>> from scdiff_augment.plotting import umap_by_class
    >>> X, y = np.random.default_rng(0).poisson(3.0, (30, 10)), ["B", "NK", "T"] * 10
    >>> panels = umap_by_class(X, X, labels=y, synthetic_labels=y, embedding=(X[:, :2], X[:, :2]))
    >>> [ax.get_title(loc="left") for ax in panels]
    ['B', 'NK', 'T']
    """
    a, b = _map_cells(
        real,
        synthetic,
        labels=labels,
        synthetic_labels=synthetic_labels,
        label_key=label_key,
        embedding=embedding,
        max_cells=max_cells,
        random_state=random_state,
    )
    if a.labels is None or b.labels is None:
        raise ValueError(
            "panels by class need labels. Pass label_key with AnnData, or labels and "
            "synthetic_labels with matrices."
        )
    names = np.unique(a.labels)
    n_columns = min(n_columns, len(names))
    n_rows = -(-len(names) // n_columns)
    if figure is None:
        figure = plt.figure(figsize=(1.9 * n_columns, 2.1 * n_rows), layout="constrained")
    grid = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for ax in grid[len(names) :]:
        ax.remove()
    rng = np.random.default_rng(random_state)
    everyone = np.concatenate([a.xy, b.xy])
    area = style.point_area(len(everyone)) / 2
    for ax, label in zip(grid, names, strict=False):
        of_real, of_synthetic = a.xy[a.labels == label], b.xy[b.labels == label]
        both = np.concatenate([of_real, of_synthetic])
        colour = np.repeat([style.REAL, style.SYNTHETIC], [len(of_real), len(of_synthetic)])
        order = rng.permutation(len(both))  # shuffled, so that neither kind hides the other
        style.points(ax, everyone, "#e9e9e9", area)
        style.points(ax, both[order], colour[order], 2.5 * area)
        style.map_frame(ax)
        ax.set(xlabel="", ylabel="")
        ax.set_title(label, fontsize=style.SMALL, color=style.INK, loc="left")
        ax.set_xlabel(
            f"{len(of_real):,} real, {len(of_synthetic):,} synthetic",
            fontsize=style.SMALL - 1,
            color=style.QUIET,
            loc="left",
        )
    handles = [_dot(style.REAL, "real"), _dot(style.SYNTHETIC, "synthetic")]
    figure.legend(
        handles=handles, loc="outside lower right", ncols=2, frameon=False, fontsize=style.SMALL
    )
    return grid[: len(names)]


def _map_cells(
    real: ad.AnnData | ArrayLike,
    synthetic: ArrayLike | None,
    *,
    labels: ArrayLike | None,
    synthetic_labels: ArrayLike | None,
    label_key: str | None,
    embedding: tuple[ArrayLike, ArrayLike] | None,
    max_cells: int,
    random_state: int,
) -> tuple[MapCells, MapCells]:
    """Check, subsample and place real and synthetic cells."""
    if isinstance(real, ad.AnnData):
        if synthetic is not None or labels is not None or synthetic_labels is not None:
            raise ValueError(
                f"an AnnData holds real and synthetic cells (told apart by obs['{MARK}']) and "
                f"their labels (label_key), so `synthetic`, `labels` and `synthetic_labels` must "
                f"be left out. Pass matrices to use them."
            )
        real, synthetic, labels, synthetic_labels = split_adata(real, label_key)
    elif synthetic is None:
        raise ValueError(
            "with a matrix of real cells `synthetic` must be given. Pass it, or an AnnData of both."
        )
    sides = {"real": (real, labels), "synthetic": (synthetic, synthetic_labels)}
    rng = np.random.default_rng(random_state)
    chosen: list[tuple[NDArray, NDArray, NDArray[np.str_] | None]] = []
    for name, (X, y) in sides.items():
        values = checked_matrix(X, name, min_cells=1)
        rows = subsample(len(values), max_cells, rng)
        label_name = "labels" if name == "real" else "synthetic_labels"
        known = None
        if labels is not None or synthetic_labels is not None:
            known = checked_labels(y, len(values), label_name)[rows]
        chosen.append((values, rows, known))
    if embedding is None:
        xy = joint_umap(*(X[rows] for X, rows, _ in chosen), random_state=random_state)
    else:
        xy = [
            require_coordinates(coordinates, len(X), name)[rows]
            for coordinates, name, (X, rows, _) in zip(embedding, sides, chosen, strict=True)
        ]
    first, second = (MapCells(at, known) for at, (_, _, known) in zip(xy, chosen, strict=True))
    return first, second


def _plain(ax: Axes, sides: tuple[MapCells, MapCells]) -> None:
    """Draw real cells in grey, and synthetic ones over them in blue."""
    area = style.point_area(sum(len(side.xy) for side in sides))
    handles = []
    for side, name, colour, alpha in zip(
        sides, ("real", "synthetic"), (style.PALE, style.SYNTHETIC), (1.0, 0.55), strict=True
    ):
        style.points(ax, side.xy, colour, area, alpha=alpha)
        handles.append(_dot(colour, f"{len(side.xy):,} {name}"))
    style.legend_beside(ax, handles)


def _by_colour(
    ax: Axes, sides: tuple[MapCells, MapCells], rng: np.random.Generator
) -> dict[str, NDArray]:
    """Draw each class in its colour, real cells as pale discs, synthetic ones as crosses.

    Returns the letters that name the classes, and where to write them.
    """
    names = np.unique(np.concatenate([side.labels for side in sides if side.labels is not None]))
    colours = style.class_colours(names)
    area = style.point_area(sum(len(side.xy) for side in sides))
    for side, marker in zip(sides, ("o", "x"), strict=True):
        labels = np.asarray(side.labels)
        order = rng.permutation(len(side.xy))  # shuffled, so that no class hides another
        real = marker == "o"
        tint = [style.paler(colours[k]) if real else colours[k] for k in labels[order]]
        style.points(ax, side.xy[order], tint, 3 * area if real else 1.2 * area, marker=marker)
    letters = style.letters(len(names)) if len(names) > len(style.PALETTE) else []
    middles: dict[str, NDArray] = {}
    for letter, label in zip(letters, names, strict=False):
        at = sides[0].xy[sides[0].labels == label]
        if len(at):
            middles[letter] = at[np.argmin(np.linalg.norm(at - np.median(at, axis=0), axis=1))]
    handles = [_dot(style.paler(style.INK), "real"), _dot(style.INK, "synthetic", "x")]
    for i, label in enumerate(names):
        name = f"{letters[i]}  {label}" if letters else label
        handles.append(_dot(colours[label], name, "s"))
    style.legend_beside(ax, handles)
    return middles


def _dot(colour: ColorType, label: str, marker: str = "o") -> Line2D:
    return Line2D([], [], linestyle="", marker=marker, color=colour, label=label, markersize=5)
