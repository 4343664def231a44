"""Figures of a study, drawn from its rows."""

from __future__ import annotations

import html
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scdiff_bench.classifiers.catalogue import CLASSIFIERS
from scdiff_bench.evaluation.scores import SCORES
from scdiff_bench.pages.words import label

INK = "#1d2733"  # replaced by the page's text colour when a figure is inlined
QUIET, GAUSSIAN, DIFFUSION = "#8a94a0", "#c98a1b", "#2f7fb8"
ORACLE, NULL = "#3f9c6d", "#b4506a"
STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "svg.fonttype": "none",
    "svg.hashsalt": "scdiff_augment",
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def colours(strategies: Sequence[str], baselines: Sequence[str]) -> dict[str, str]:
    """Return a colour per strategy: grey for the baselines.

    Parameters
    ----------
    strategies, baselines : sequence of str
        Labels of all strategies and of the baselines.

    Returns
    -------
    dict of str to str
        Hexadecimal colours.
    """
    fixed = {"diffusion": DIFFUSION, "latent_gaussian": GAUSSIAN, "oracle": ORACLE, "null": NULL}
    others = [s for s in strategies if s not in (*baselines, *fixed)]
    palette = ["#7a5ea8", "#4a9aa0", "#a0622d", "#5f7a2f", "#b0568f"]
    found = {s: palette[i % len(palette)] for i, s in enumerate(others)}
    return {s: fixed.get(s) or found.get(s, QUIET) for s in strategies}


def draw(ax: Axes, part: pd.DataFrame, classifier: str, score: str, colour: dict[str, str]) -> None:
    """Draw folds as small dots and their mean as a large one, one line per strategy.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    part : DataFrame
        Results of one data set and n.
    classifier, score : str
        What to draw.
    colour : dict of str to str
        Strategies, in their order, with their colours.
    """
    mine = part[(part["classifier"] == classifier) & (part["status"] == "ok")]
    means = mine.groupby("strategy")[score].mean()
    for y, (strategy, hue) in enumerate(colour.items()):
        values = mine.loc[mine["strategy"] == strategy, score].to_numpy(dtype=float)
        ax.axhline(y, color=INK, alpha=0.12, linewidth=0.8, zorder=0)
        if not len(values):
            ax.text(0.02, y, "failed", transform=ax.get_yaxis_transform(), va="center", fontsize=9)
            continue
        spread = (np.arange(len(values)) - (len(values) - 1) / 2) * min(0.08, 0.5 / len(values))
        ax.scatter(values, y + spread, s=11, color=hue, alpha=0.55, linewidths=0, zorder=2)
        ax.scatter(means[strategy], y, s=62, color=hue, linewidths=0, zorder=3)
        ax.text(1.02, y, f"{means[strategy]:.3f}", transform=ax.get_yaxis_transform(), va="center")
    ax.set_yticks(range(len(colour)), [label(s) for s in colour])
    ax.set_ylim(len(colour) - 0.4, -0.6)
    ax.set_title(CLASSIFIERS[classifier].title, loc="left", fontsize=11, fontweight="bold")
    arrow = "" if SCORES[score].higher_is_better else " (lower is better)"
    ax.set_xlabel(SCORES[score].title + arrow)
    ax.tick_params(axis="y", length=0)
    ax.margins(x=0.06)
    ax.locator_params(axis="x", nbins=5)
    ax.spines[["top", "right", "left"]].set_visible(False)


def dot_plot_svg(
    part: pd.DataFrame, classifier: str, score: str, colour: dict[str, str], title: str
) -> str:
    """Return one classifier's dot plot as SVG to inline, in the colour of the page's text.

    Parameters
    ----------
    part, classifier, score, colour
        As in `draw`.
    title : str
        Read out in place of the figure.

    Returns
    -------
    str
        An ``svg`` element.
    """

    def paint(figure: Figure) -> None:
        draw(figure.add_subplot(), part, classifier, score, colour)

    return inline_svg((4.6, 0.9 + 0.33 * len(colour)), paint, title)


def inline_svg(size: tuple[float, float], paint: Callable[[Figure], None], title: str) -> str:
    """Return a figure as SVG to inline, in the colour of the page's text.

    Parameters
    ----------
    size : tuple of float
        Inches.
    paint : callable
        Draws on the figure it is given.
    title : str
        Read out in place of the figure; no two figures of a page may share it.

    Returns
    -------
    str
        An ``svg`` element.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        paint(figure)
        figure.patch.set_alpha(0)
        for ax in figure.axes:
            ax.patch.set_alpha(0)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    # Ids are unique within a figure only; several figures share the page.
    prefix = "".join(c if c.isalnum() else "-" for c in title)
    for before in ('id="', 'href="#', "url(#"):
        text = text.replace(before, before + prefix + "-")
    return text.replace("<svg ", f'<svg role="img" aria-label="{html.escape(title)}" ', 1)


def save_overview(
    part: pd.DataFrame, score: str, colour: dict[str, str], title: str, stem: Path
) -> list[Path]:
    """Save one figure with all classifiers as PNG and SVG, on white.

    Parameters
    ----------
    part : DataFrame
        Results of one data set and n.
    score : str
        What to draw.
    colour : dict of str to str
        Strategies, in their order, with their colours.
    title : str
        Headline of the figure.
    stem : Path
        The files' path without ending.

    Returns
    -------
    list of Path
        The files.
    """
    names = list(dict.fromkeys(part["classifier"]))
    across = min(2, len(names))
    down = -(-len(names) // across)

    def paint(figure: Figure) -> None:
        grid = figure.subplots(down, across, squeeze=False, sharey=True).ravel()
        for ax, name in zip(grid, names, strict=False):
            draw(ax, part, name, score, colour)
        for ax in grid[len(names) :]:
            ax.set_axis_off()
        figure.suptitle(title, fontsize=12, x=0.01, ha="left")

    size = (0.6 + 4.9 * across, 0.5 + (0.9 + 0.31 * len(colour)) * down)
    return save_figure(size, paint, stem)


def save_figure(
    size: tuple[float, float], paint: Callable[[Figure], None], stem: Path
) -> list[Path]:
    """Save a figure as PNG and SVG, on white.

    Parameters
    ----------
    size : tuple of float
        Inches.
    paint : callable
        Draws on the figure it is given.
    stem : Path
        The files' path without ending.

    Returns
    -------
    list of Path
        The files.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained", facecolor="white")
        FigureCanvasAgg(figure)
        paint(figure)
        paths = [stem.with_name(stem.name + ending) for ending in (".png", ".svg")]
        for path in paths:
            metadata = {"Date": None, "Creator": None} if path.suffix == ".svg" else None
            figure.savefig(path, dpi=150, metadata=metadata)
    return paths
