"""What the study of diffusion against Gaussians shows."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scdiff_bench.generator_studies.against_gaussian.study import ARMS, CONTROLS, REAL, RECODED
from scdiff_bench.generator_studies.parts import Arrays, Finding, Picture, Table, means
from scdiff_bench.pages.figures import DIFFUSION, GAUSSIAN, INK, QUIET
from scdiff_bench.pages.words import DASH
from scipy import stats

TITLES = {
    "forest_auc_pca": "forest AUC, components",
    "forest_auc_genes": "forest AUC, genes",
    "mmd": "MMD",
    "coverage": "coverage",
}
LOWER = ("forest_auc_pca", "forest_auc_genes", "mmd")
"""Metrics of which less is nearer to real cells."""

DIGITS = {"mmd": 4, "seconds": 1}
KEYS = ["dataset", "n_train"]
COLOURS = {
    "gaussian": QUIET,
    "gaussian_diffusion": DIFFUSION,
    "types": GAUSSIAN,
    "clusters": GAUSSIAN,
    "diffusion": DIFFUSION,
    RECODED: INK,
    REAL: INK,
}
NOTES = [
    "All arms of a draw share one codec, which is learnt from the training cells without labels, "
    "the noise of counts and the random numbers. They differ in what describes the latents: "
    "Gaussians in closed form, or a denoiser that starts from those Gaussians and is trained.",
    "Cells are drawn without conditions and compared with held-out cells, as many of each. “Other "
    "real cells” stand in the place of drawn ones; “encoded and decoded” are the held-out cells "
    "themselves, with new counts: what they differ by is the codec's, whatever describes latents.",
    "A Gaussian for each type is drawn in the proportions of training and needs its labels; all "
    "other arms see none.",
    "Differences are means over draws of paired differences, with the 95 % interval of a t test "
    "over draws. These overlap in cells, so that the intervals are too narrow for other data sets.",
]


def verdict(rows: pd.DataFrame) -> list[Finding]:
    """Say by how much the trained denoiser is nearer to real cells, at every number of cells."""
    found = []
    longest = int(rows["steps"].max()) if len(rows) else 0
    pairs = (
        ("diffusion", "types", "Diffusion against a Gaussian for each type"),
        ("diffusion", "clusters", "Diffusion against the Gaussians that it starts from"),
        ("gaussian_diffusion", "gaussian", "Diffusion from one Gaussian against that Gaussian"),
    )
    for ours, theirs, title in pairs:
        if not {ours, theirs} <= set(rows.get("arm", ())):
            continue
        said = []
        for (dataset, n), part in rows.groupby(KEYS, sort=False):
            by_arm = part.set_index("draw")
            mine = by_arm[(by_arm["arm"] == ours) & (by_arm["steps"] == longest)]
            gap = mine[[*LOWER]] - by_arm.loc[by_arm["arm"] == theirs, [*LOWER]]
            words = ", ".join(f"{TITLES[c]} {_interval(gap[c], DIGITS.get(c, 3))}" for c in LOWER)
            said.append(f"{dataset}, {n:,} cells: {words}")
        text = f"{'; '.join(said)}. Below 0 the diffusion is nearer to real cells."
        found.append(Finding(f"{title}, {longest:,} steps", text))
    return found or [Finding("No findings", "There are no rows yet.", "", "warning")]


def _interval(gap: pd.Series, digits: int) -> str:
    gap = gap.dropna()
    if len(gap) < 2:
        return _signed(gap.mean(), digits) if len(gap) else DASH
    half = float(stats.t.ppf(0.975, len(gap) - 1) * gap.std() / np.sqrt(len(gap)))
    low, high = gap.mean() - half, gap.mean() + half
    return f"{_signed(gap.mean(), digits)} [{_signed(low, digits)}, {_signed(high, digits)}]"


def _signed(value: float, digits: int) -> str:
    return f"{value:+.{digits}f}".replace("-", "−")


def tables(rows: pd.DataFrame) -> list[Table]:
    """Every metric of every arm."""
    if not len(rows):
        return []
    frame = means(rows, [*KEYS, "arm", "steps"], [*TITLES, "seconds"])
    order = {name: i for i, name in enumerate([*ARMS, *CONTROLS])}
    frame = frame.sort_values(
        ["arm", "steps"], key=lambda c: c.map(order) if c.name == "arm" else c
    )
    frame = frame.sort_values(KEYS, kind="stable")
    frame["arm"] = frame["arm"].map(_title)
    heads = {**TITLES, "n_train": "training cells", "arm": "latents described by", "runs": "draws"}
    heads |= {"seconds": "CPU seconds of training"}
    caption = "Means ± standard deviation over draws. AUC .5: a forest can't tell cells from real."
    keys = [*KEYS, "arm", "steps"]
    return [Table("All arms", frame, keys, heads, DIGITS, caption)]


def _title(name: str) -> str:
    return ARMS[name].title if name in ARMS else CONTROLS[name]


def pictures(rows: pd.DataFrame, arrays: Mapping[str, Arrays]) -> list[Picture]:
    """Draw each metric against the number of training cells."""
    found = []
    for dataset, part in rows.groupby("dataset", sort=False):
        caption = (
            f"{dataset}: means over draws. Blue: a trained denoiser; the other lines are Gaussians "
            f"in closed form; dashed: real cells, and the codec's share."
        )
        paint = partial(_lines, rows=part)
        found.append(Picture(f"{dataset}", caption, (6.0, 6.2), paint))
    return found


def _lines(figure: Figure, rows: pd.DataFrame) -> None:
    axes = figure.subplots(2, 2, sharex=True).ravel()
    longest = rows["steps"].max()
    for ax, (column, title) in zip(axes, TITLES.items(), strict=True):
        for name in [*ARMS, *CONTROLS]:
            part = rows[(rows["arm"] == name) & rows["steps"].isin([0, longest])]
            line = part.groupby("n_train")[column].mean()
            style = "--" if name in CONTROLS else ":" if name == "types" else "-"
            marker = "s" if name.startswith("gaussian") else "o"
            ax.plot(
                line.index, line, style, color=COLOURS[name], marker=marker, markersize=4,
                alpha=0.5 if name == RECODED else 1, linewidth=1.3, label=_title(name),
            )  # fmt: skip
        ax.set_title(title, loc="left", fontsize=9)
        ax.set_xscale("log")
        sizes = sorted(rows["n_train"].unique())
        ax.set_xticks(sizes, [f"{n:,}" for n in sizes], fontsize=8)
        ax.set_xticks([], minor=True)
        ax.spines[["top", "right"]].set_visible(False)
    for ax in axes[2:]:
        ax.set_xlabel("training cells", fontsize=9)
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=2, frameon=False, fontsize=8)
