"""Figures of a path between two types of cells."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scdiff_bench.generator_studies.interpolation.paths import (
    GENE_LINE,
    GRADIENT,
    GRADIENT_INVERTED,
    LATENT_LINE,
    LATENT_LINE_RANDOM,
)
from scdiff_bench.generator_studies.parts import Arrays
from scdiff_bench.pages.figures import DIFFUSION, GAUSSIAN, QUIET

COLOURS = {
    GRADIENT: DIFFUSION,
    GRADIENT_INVERTED: "#3f9c6d",
    LATENT_LINE: GAUSSIAN,
    LATENT_LINE_RANDOM: "#b4506a",
    GENE_LINE: QUIET,
}
NEAREST = {
    "nearest_source": ("source", "#7a5ea8"),
    "nearest_left_out": ("left-out type", "#3f9c6d"),
    "nearest_target": ("target", DIFFUSION),
    "nearest_other": ("other types", QUIET),
}


def draw_pseudotime(figure: Figure, steps: pd.DataFrame, real: pd.Series) -> None:
    """Draw mean pseudotime of every method against weight."""
    ax = figure.add_subplot()
    for method, colour in COLOURS.items():
        part = steps[steps["method"] == method].groupby("weight").mean(numeric_only=True)
        if method == GRADIENT:
            band = part["pseudotime_low"], part["pseudotime_high"]
            ax.fill_between(part.index, *band, color=colour, alpha=0.2, linewidth=0)
        ax.plot(part.index, part["pseudotime"], "o-", ms=3.5, color=colour, label=method)
    for kind in ("source", "left-out", "target"):
        value = real[f"real {kind}"]
        ax.axhline(value, linestyle=":", color=QUIET, linewidth=1)
        ax.text(1.01, value, kind, va="center", fontsize=9, transform=ax.get_yaxis_transform())
    ax.set_xlabel("weight of the target")
    ax.set_ylabel("pseudotime")
    ax.legend(frameon=False, fontsize=8, loc="lower right")
    ax.spines[["top", "right"]].set_visible(False)


def draw_types(figure: Figure, steps: pd.DataFrame) -> None:
    """Draw types of the nearest real cells against weight."""
    shown = (GRADIENT, GRADIENT_INVERTED, LATENT_LINE)
    for ax, method in zip(figure.subplots(1, 3, sharey=True), shown, strict=True):
        part = steps[steps["method"] == method].groupby("weight").mean(numeric_only=True)
        bottom = np.zeros(len(part))
        for column, (text, colour) in NEAREST.items():
            ax.bar(part.index, part[column], 0.08, bottom, color=colour, label=text)
            bottom += part[column].to_numpy()
        ax.set_title(method.replace(", ", ",\n"), fontsize=10, loc="left")
        ax.set_xlabel("weight of the target")
        ax.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("share of cells")
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)


def draw_path(figure: Figure, arrays: Arrays, row: pd.Series) -> None:
    """Draw the path among real cells, in two principal components."""
    ax = figure.add_subplot()
    labels = arrays["labels"].astype(str)
    named = {row["source"]: "#7a5ea8", row["left_out"]: "#3f9c6d", row["target"]: GAUSSIAN}
    colours = [named.get(label, "#dfe3e8") for label in labels]
    ax.scatter(*arrays["real"][:, :2].T, c=colours, s=4, linewidths=0)
    path = arrays["path_drawn"]
    weights = np.repeat(np.linspace(0, 1, len(path)), path.shape[1])
    cells = path.reshape(-1, path.shape[2])
    dots = ax.scatter(*cells[:, :2].T, c=weights, s=9, cmap="viridis", linewidths=0)
    ax.plot(*path.mean(axis=1)[:, :2].T, "o-", color="black", ms=4, linewidth=1.2)
    figure.colorbar(dots, ax=ax, label="weight of the target", shrink=0.7)
    marks = [Line2D([], [], marker="o", ls="", color=c, ms=5) for c in named.values()]
    ax.legend(marks, list(named), frameon=False, fontsize=9)
    ax.set(xlabel="PC 1", ylabel="PC 2", xticks=[], yticks=[])
    ax.spines[["top", "right"]].set_visible(False)
