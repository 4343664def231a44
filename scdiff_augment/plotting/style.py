"""Colours, axes and legends common to all plots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgb
from matplotlib.legend import Legend
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from matplotlib.transforms import Bbox
from matplotlib.typing import ColorType
from numpy.typing import NDArray

INK, QUIET, PALE = "#222222", "#767676", "#c4c4c4"
SYNTHETIC, REAL = "#0072b2", "#e69f00"
"""Okabe and Ito's blue and orange, distinguishable with every kind of colour vision. Real cells are
grey where synthetic ones lie on top, and orange where the two are mixed."""

PALETTE = (
    "#332288",
    "#cc6677",
    "#117733",
    "#88ccee",
    "#ddcc77",
    "#882255",
    "#44aa99",
    "#aa4499",
    "#999933",
)
"""Tol's "muted" scheme, distinguishable with every kind of colour vision. If there are more classes
than colours, letters name them."""

SMALL, NORMAL = 7.5, 9.0
"""Font sizes, in points."""


def axes(ax: Axes | None, width: float, height: float) -> Axes:
    """Return the given axes, or new ones of this size in inches."""
    if ax is None:
        _, ax = plt.subplots(figsize=(width, height), layout="constrained")
    return ax


def class_colours(classes: Iterable[str]) -> dict[str, tuple[float, float, float]]:
    """Assign a colour to each class; colours repeat if there are more classes than colours."""
    return {label: to_rgb(PALETTE[i % len(PALETTE)]) for i, label in enumerate(classes)}


def paler(colour: ColorType, share: float = 0.62) -> tuple[float, float, float]:
    """Mix a colour with white."""
    r, g, b = (1 - (1 - part) * (1 - share) for part in to_rgb(colour))
    return r, g, b


def legend_beside(ax: Axes, handles: Sequence[Artist], **options: Any) -> Legend:
    """Put a legend to the right of the data."""
    return ax.legend(
        handles=list(handles),
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
        borderaxespad=0,
        frameon=False,
        fontsize=SMALL,
        **options,
    )


def points(ax: Axes, xy: NDArray, colour: Any, area: float, **options: Any) -> PathCollection:
    """Draw cells, rasterised even in vector formats; crosses have lines, discs no edges."""
    width = 0.6 if options.get("marker") == "x" else 0
    options = {"linewidths": width, "rasterized": True} | options
    return ax.scatter(xy[:, 0], xy[:, 1], s=area, c=colour, **options)


def colour_bar(
    ax: Axes, shown: ScalarMappable, title: str, bounds: tuple[float, float, float, float]
) -> None:
    """Draw a colour bar at `bounds` (x, y, width, height) in axes coordinates."""
    bar = ax.inset_axes(bounds)
    colours = ax.figure.colorbar(shown, cax=bar)
    colours.outline.set_visible(False)
    if colours.solids is not None:
        colours.solids.set_alpha(1)
    bar.tick_params(labelsize=SMALL, length=2, color=QUIET)
    bar.set_title(title, fontsize=SMALL, color=INK, loc="left")


def write(ax: Axes, places: Mapping[str, NDArray], avoid: NDArray | None = None) -> None:
    """Write names at these places, shifted so as not to hide each other or the points of `avoid`.

    Call it last: positions depend on the final layout.
    """
    look: dict[str, Any] = {"fontsize": SMALL, "fontweight": "bold", "color": INK}
    look |= {"ha": "center", "va": "center"}
    rim = [withStroke(linewidth=2.5, foreground="white")]
    ax.figure.canvas.figure.draw_without_rendering()  # computes the layout
    boxes: list[Bbox] = []
    if avoid is not None:
        boxes += [Bbox([at, at]).padded(8) for at in ax.transData.transform(avoid)]
    for name, (x, y) in sorted(places.items(), key=lambda item: -item[1][1]):
        text = ax.text(x, y, name, path_effects=rim, zorder=10, **look)
        box = text.get_window_extent()
        while any(box.overlaps(other) for other in boxes):
            box = box.translated(0, -2)
        boxes.append(box)
        middle = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
        at_x, at_y = ax.transData.inverted().transform(middle)
        text.set_position((at_x, at_y))


def open_frame(ax: Axes) -> None:
    """Keep only the left and bottom spines, thin."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set(color=QUIET, linewidth=0.8)
    ax.tick_params(colors=INK, labelsize=SMALL, color=QUIET, width=0.8)
    ax.xaxis.label.set(size=NORMAL, color=INK)
    ax.yaxis.label.set(size=NORMAL, color=INK)


def map_frame(ax: Axes) -> None:
    """Style the axes of an embedding: names, but no ticks."""
    ax.set(xticks=[], yticks=[])
    ax.set_xlabel("UMAP 1", fontsize=SMALL, color=QUIET, loc="left")
    ax.set_ylabel("UMAP 2", fontsize=SMALL, color=QUIET, loc="bottom")
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set(color=PALE, linewidth=0.8)
    ax.margins(0.03)


def plain_log(axis: Axis) -> None:
    """Label 1, 2 and 5 of each decade, or only 1 over a wide range, as plain numbers."""
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 200 * low else (1,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def letters(n: int) -> list[str]:
    """Return n short names: A to Z, then AA, AB and so on."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return [("" if i < 26 else alphabet[i // 26 - 1]) + alphabet[i % 26] for i in range(n)]


def point_area(n: int, largest: float = 16.0, smallest: float = 1.5) -> float:
    """Area of a marker, in square points, that keeps n of them visible."""
    return float(np.clip(12_000 / max(n, 1), smallest, largest))
