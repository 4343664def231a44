"""Map of cells interpolated between two classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike, NDArray

from scdiff_augment.metrics.checks import checked_labels

from . import style
from .embedding import joint_umap
from .inputs import require_coordinates


def interpolation_path(
    real: ArrayLike,
    path: ArrayLike,
    weights: ArrayLike,
    *,
    labels: ArrayLike | None = None,
    name: Sequence[str] | None = None,
    embedding: tuple[ArrayLike, ArrayLike] | None = None,
    random_state: int = 0,
    ax: Axes | None = None,
) -> Axes:
    """Draw interpolated cells over real ones, coloured by weight.

    Parameters
    ----------
    real : array-like of shape (n_real, n_genes)
        Real cells: counts, or log1p of depth-normalised counts.
    path : array-like of shape (n_weights, n_cells, n_genes)
        Cells at each weight, as returned by `LatentDiffusion.interpolate`: also the data frame, of
        one row for each weight and cell.
    weights : array-like of shape (n_weights,)
        Weight of the target class, strictly increasing from 0 to 1.
    labels : array-like of shape (n_real,), optional
        Classes of the real cells, to write their names on the map.
    name : sequence of str, optional
        Classes to name and to highlight, such as source, target and intermediates; by default all
        are named and none is highlighted.
    embedding : pair of array-like, shapes (n_real, 2) and (n_weights, n_cells, 2), optional
        Coordinates of `real` and `path`; by default their joint UMAP. Use `project` to place the
        path in a map of real cells alone.
    random_state : int, default=0
        Seed of the map.
    ax : matplotlib.axes.Axes, optional
        Axes to draw into; new ones by default.

    Returns
    -------
    matplotlib.axes.Axes
        Real cells in grey, those of the classes in `name` darker; interpolated cells coloured by
        weight; a line through their median coordinates at each weight.

    Raises
    ------
    ValueError
        If weights, labels or coordinates do not match the cells, or `name` holds an unknown class.

    Examples
    --------
    >>> import numpy as np
    >>> from scdiff_augment.plotting import interpolation_path
    >>> rng = np.random.default_rng(0)
    >>> real, path = rng.normal(size=(50, 2)), rng.normal(size=(3, 5, 2))
    >>> ax = interpolation_path(real, path, [0, 0.5, 1], embedding=(real, path))
    >>> sum(len(points.get_offsets()) for points in ax.collections)
    68
    """
    way, steps = np.asarray(path), np.asarray(weights, dtype=float)
    if way.ndim == 2 and isinstance(path, pd.DataFrame) and len(way) % max(len(steps), 1) == 0:
        way = way.reshape(len(steps), -1, way.shape[1])
    if way.ndim != 3 or steps.shape != (len(way),) or (np.diff(steps) <= 0).any():
        raise ValueError(
            f"`path` must be of shape (n_weights, n_cells, n_genes), for strictly increasing "
            f"`weights`; got shape {way.shape} and weights {steps.tolist()}. Pass the result of "
            f"LatentDiffusion.interpolate, and its weights."
        )
    n_weights, n_cells = way.shape[:2]
    real_xy: NDArray
    flat: NDArray
    if embedding is None:
        real_xy, flat = joint_umap(real, way.reshape(-1, way.shape[2]), random_state=random_state)
    else:
        real_xy = require_coordinates(embedding[0], len(np.asarray(real)), "real")
        flat = require_coordinates(np.reshape(embedding[1], (-1, 2)), n_weights * n_cells, "path")
    way_xy = flat.reshape(n_weights, n_cells, 2)
    ax = style.axes(ax, 5.6, 4.2)
    area = style.point_area(len(real_xy))
    style.points(ax, real_xy, "#dedede", area, zorder=1)
    of_cell = np.repeat(steps, n_cells)
    on_way = style.points(ax, flat, of_cell, max(9.0, area), cmap="viridis", alpha=0.8, zorder=4)
    middle = np.median(way_xy, axis=1)
    for colour, width, level in (("white", 3.2, 5), (style.INK, 1.4, 6)):
        ax.plot(middle[:, 0], middle[:, 1], color=colour, linewidth=width, zorder=level)
    rim = {"edgecolors": style.INK, "linewidths": 0.9, "zorder": 7}
    style.points(ax, middle, steps, 34, cmap="viridis", **rim)
    style.colour_bar(ax, on_way, "weight of\nthe target", (1.03, 0.1, 0.03, 0.5))
    handles = [
        Line2D([], [], linestyle="", marker="o", markersize=5, color="#dedede", label="real"),
        Line2D([], [], color=style.INK, marker="o", markersize=5, label="median per weight"),
    ]
    if name is not None:
        named = Line2D(
            [],
            [],
            linestyle="",
            marker="o",
            markersize=5,
            color="#a6a6a6",
            label="real, named class",
        )
        handles.insert(1, named)
    style.legend_beside(ax, handles)
    style.map_frame(ax)
    if labels is not None:
        y = checked_labels(labels, len(real_xy), "labels")
        style.write(ax, _named(ax, real_xy, y, name, area), avoid=middle)
    return ax


def _named(
    ax: Axes, xy: NDArray, labels: NDArray[np.str_], name: Sequence[str] | None, area: float
) -> dict[str, NDArray]:
    """Highlight the cells of named classes; return where to write the names."""
    present = np.unique(labels)
    wanted = present if name is None else np.array([str(label) for label in name])
    unknown = wanted[~np.isin(wanted, present)]
    if len(unknown):
        raise ValueError(
            f"no real cell has class '{unknown[0]}'. Choose from {', '.join(present)}."
        )
    middles: dict[str, NDArray] = {}
    for label in wanted:
        at = xy[labels == label]
        if name is not None:
            style.points(ax, at, "#a6a6a6", area, zorder=2)
        middles[label] = np.median(at, axis=0)
    return middles
