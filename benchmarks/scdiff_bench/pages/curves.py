"""Figures across blocks: learning curves, critical differences, reliability."""

from __future__ import annotations

import numpy as np
import pandas as pd
import scikit_posthocs
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator
from scdiff_bench.evaluation.scores import SCORES
from scdiff_bench.pages.figures import INK, QUIET, inline_svg
from scdiff_bench.pages.words import label
from scdiff_bench.statistics.comparisons import BEST_BASELINE
from scdiff_bench.statistics.ranks import Ranks


def learning_curve_svg(
    curve: pd.DataFrame, score: str, hue: dict[str, str], heading: str, title: str
) -> str:
    """Draw mean scores over the number of training cells, with standard deviations.

    Parameters
    ----------
    curve : DataFrame
        Columns ``n``, ``strategy``, ``mean`` and ``sd``.
    score : str
        What was averaged.
    hue : dict of str to str
        Strategies to draw, with their colours.
    heading, title : str
        Headline, and what is read out in place of the figure.

    Returns
    -------
    str
        An ``svg`` element.
    """

    def paint(figure: Figure) -> None:
        ax = figure.add_subplot()
        for strategy, colour in hue.items():
            mine = curve[curve["strategy"] == strategy].sort_values("n")
            if mine.empty:
                continue
            style = {BEST_BASELINE: "--", "oracle": ":", "null": ":"}.get(strategy, "-")
            x = mine["n"].astype(float)
            ax.plot(
                x,
                mine["mean"],
                style,
                color=colour,
                marker="o",
                markersize=4,
                label=label(strategy),
            )
            low, high = mine["mean"] - mine["sd"], mine["mean"] + mine["sd"]
            ax.fill_between(x, low, high, color=colour, alpha=0.1, linewidth=0)
        ax.set_xscale("log")
        sizes = sorted(curve["n"].unique())
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.set_xticks([float(n) for n in sizes], [str(n) for n in sizes])
        ax.set_xlabel("training cells of each rare type")
        ax.set_ylabel(SCORES[score].title)
        _finish(ax, heading)
        ax.legend(frameon=False, fontsize=8, loc="best")

    return inline_svg((4.6, 3.4), paint, title)


def critical_difference_svg(found: Ranks, hue: dict[str, str], title: str) -> str:
    """Draw mean ranks; strategies joined by a bar do not differ significantly.

    Parameters
    ----------
    found : Ranks
        Ranks over blocks.
    hue : dict of str to str
        Colours of strategies.
    title : str
        Headline.

    Returns
    -------
    str
        An ``svg`` element.
    """

    def paint(figure: Figure) -> None:
        ax = figure.add_subplot()
        scikit_posthocs.critical_difference_diagram(
            found.means.rename(label),
            found.pairs.rename(index=label, columns=label),
            ax=ax,
            label_fmt_left="{label} ({rank:.1f})",
            label_fmt_right="({rank:.1f}) {label}",
            label_props={"fontsize": 9},
            crossbar_props={"color": INK},
            color_palette={
                label(strategy): hue.get(strategy, QUIET) for strategy in found.means.index
            },
        )
        ax.set_title(title, loc="left", fontsize=11, fontweight="bold", pad=10)

    return inline_svg((6.4, 1.4 + 0.17 * len(found.means)), paint, title)


def reliability_svg(bins: dict[str, np.ndarray], hue: dict[str, str], title: str) -> str:
    """Draw accuracy against confidence.

    Parameters
    ----------
    bins : dict of str to ndarray, shape (bins, 3)
        For each strategy: cells, mean confidence, accuracy.
    hue : dict of str to str
        Colours of strategies.
    title : str
        Headline.

    Returns
    -------
    str
        An ``svg`` element.
    """

    def paint(figure: Figure) -> None:
        ax = figure.add_subplot()
        ax.plot([0, 1], [0, 1], color=INK, alpha=0.3, linewidth=0.8)
        for strategy, values in bins.items():
            full = values[values[:, 0] >= 5]  # a bin of fewer cells is noise
            style = "--" if strategy == BEST_BASELINE else "-"
            ax.plot(
                full[:, 1], full[:, 2], style, color=hue[strategy], marker="o", markersize=3,
                label=label(strategy),
            )  # fmt: skip
        ax.set_xlabel("confidence")
        ax.set_ylabel("accuracy")
        ax.set_xlim(0, 1.02)
        ax.set_ylim(0, 1.02)
        _finish(ax, title)
        ax.legend(frameon=False, fontsize=8, loc="best")

    return inline_svg((4.0, 3.4), paint, title)


def _finish(ax: Axes, title: str) -> None:
    ax.patch.set_alpha(0)
    ax.set_title(title, loc="left", fontsize=11, fontweight="bold")
    ax.spines[["top", "right"]].set_visible(False)
