"""What the study of the samplers shows."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scdiff_bench.generator_studies.parts import Arrays, Finding, Picture, Table, means
from scdiff_bench.generator_studies.samplers.study import CLEAR, REFERENCE
from scdiff_bench.pages.figures import DIFFUSION, GAUSSIAN, INK, QUIET
from scdiff_bench.pages.words import DASH, signed

MARGIN = {"mmd": 0.002, "forest_auc": 0.03}
TITLES = {"mmd": "MMD", "forest_auc": "forest AUC"}
COLOURS = {"dpm++": DIFFUSION, "ddim": GAUSSIAN, "ddpm": QUIET}
REAL = "real cells"
SHARE_BACK = 0.99
NOTES = [
    "Each repeat divides the cells at random: the model is trained on the first part, without "
    "labels; the samplers' cells are compared with the second; the third, real cells in the place "
    "of synthetic ones, gives the rows “real cells”. All parts of a comparison are of one size, "
    "because MMD grows as sizes shrink.",
    "All samplers of a repeat start from the same noise and use the same fitted model; cells are "
    "drawn without any condition, in the proportions of training.",
    "MMD and forest AUC are those of scDiffusion's authors (50 joint principal components; five "
    "kernels; trees of depth 5), here against cells the model has not seen. The sampling error "
    "of one forest AUC is about .02.",
    "CPU time is that of sampling and decoding on one thread, as a ratio to dpm++ with 20 "
    "steps of the same model; the least of as many repeats as fit into half a second.",
    "Steps count levels asked for. Near the end of DDPM's ladder rungs lie further apart than "
    "many evenly spaced levels would, so that fewer are visited; evaluations of the denoiser are "
    "counted, one of them for where the chain starts.",
    "There and back: held-out cells are encoded, led to noise and back by deterministic DDIM over "
    "the same levels; the error is the distance of the latents over the latent's length. “Euler” "
    "is the usual inversion, “fixed point” solves each step's own equation "
    "(LatentDiffusion.invert) and evaluates the denoiser several times a step.",
]


def tables(rows: pd.DataFrame) -> list[Table]:
    """Quality and cost of each sampler, and errors there and back."""
    made = rows[rows["kind"] != "inversion"].copy()
    made["sampler"] = made["sampler"].fillna(REAL)
    found = means(
        made,
        ["dataset", "sampler", "steps"],
        ["mmd", "forest_auc", "evaluations", "seconds_ratio", "cpu_seconds"],
    ).drop(columns=["evaluations_sd", "cpu_seconds_sd"])
    found["steps"] = [DASH if pd.isna(s) else f"{s:,.0f}" for s in found["steps"]]
    # Levels that coincide are visited once, and how many do differs between repeats.
    found["evaluations"] = found["evaluations"].round().astype("Int64")
    titles = TITLES | {
        "seconds_ratio": "time, dpm++ 20 = 1",
        "cpu_seconds": "seconds per 1,000 cells",
        "runs": "repeats",
    }
    digits = {"mmd": 4, "seconds_ratio": 2, "cpu_seconds": 2}
    shown = [
        Table(
            "Quality against steps",
            found,
            ["dataset", "sampler", "steps"],
            titles,
            digits,
            "Means ± standard deviation over repeats; lower is nearer to real cells. “Real "
            "cells” are "
            "other real cells in the place of synthetic ones.",
        )
    ]
    back = rows[rows["kind"] == "inversion"]
    if len(back):
        columns = ["evaluations", "median_error", "error_99", "worst_error", "not_back"]
        found = means(back, ["dataset", "method", "steps"], columns)
        found = found.drop(columns=[f"{c}_sd" for c in columns])
        found[["steps", "evaluations"]] = found[["steps", "evaluations"]].astype(int)
        titles = {
            "error_99": "99 % of cells within",
            "not_back": f"share above {CLEAR:.0%}",
            "runs": "repeats",
        }
        keys = ["dataset", "method", "steps"]
        caption = "Relative error of the latent, means over repeats."
        name, powers = "Cells to noise and back", ["median_error"]
        shown.append(Table(name, found, keys, titles, caption=caption, powers=powers))
    return shown


def verdict(rows: pd.DataFrame) -> list[Finding]:
    """How few steps will do, how far from real cells that is, and whether cells come back."""
    made = rows[rows["kind"] == "sampler"]
    longest = made[made["steps"] == made["steps"].max()].iloc[0]
    sampler, steps = str(longest["sampler"]), int(longest["steps"])
    most, default = _setting(made, sampler, steps), _setting(made, *REFERENCE)
    null = _by_draw(rows[rows["kind"] == "null"])
    ratio = most["seconds_ratio"].groupby("dataset", sort=False).mean()
    name, long = f"{REFERENCE[0]} {REFERENCE[1]}", f"{sampler} {steps:,}"
    margin = (
        "at most .002 in MMD and .03 in forest AUC above it, mean over repeats, on every data set."
    )
    found = [
        Finding(
            f"{name} steps against {long}",
            _beside(default, most),
            margin,
            "met" if _within(default, most) else "missed",
        ),
        Finding("Fewest steps within that margin", _fewest(made, most)),
        Finding(
            "Cost",
            f"{long} takes "
            + " and ".join(f"{v:.0f} ({d})" for d, v in ratio.items())
            + f" times the CPU time of {name}.",
        ),
        Finding(
            f"{name} against real cells",
            _beside(default, null),
            margin.replace("above it", "above real cells among themselves"),
            "met" if _within(default, null) else "missed",
        ),
    ]
    return found + _there_and_back(rows[rows["kind"] == "inversion"])


def _setting(made: pd.DataFrame, sampler: str, steps: float) -> pd.DataFrame:
    """Return one setting, a line per data set and repeat."""
    return _by_draw(made[(made["sampler"] == sampler) & (made["steps"] == steps)])


def _by_draw(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.set_index(["dataset", "draw"])[[*MARGIN, "seconds_ratio"]]


def _within(arm: pd.DataFrame, reference: pd.DataFrame) -> bool:
    above = (arm - reference).dropna(how="all").groupby("dataset").mean()
    return all((above[c] <= limit).all() for c, limit in MARGIN.items())


def _beside(arm: pd.DataFrame, reference: pd.DataFrame) -> str:
    """Return both measures of both, and their differences over repeats, data set by data set."""
    parts = []
    for dataset, mine in arm.groupby("dataset", sort=False):
        theirs = reference.loc[[dataset]]
        above = mine - theirs
        words = [
            f"{TITLES[c]} {mine[c].mean():.3f} against {theirs[c].mean():.3f} "
            f"({signed(above[c].mean())}{_plus_minus(above[c].std())})"
            for c in MARGIN
        ]
        parts.append(f"{dataset}: {', '.join(words)}")
    return "; ".join(parts) + "."


def _plus_minus(sd: float) -> str:
    return "" if pd.isna(sd) else f" ± {sd:.3f}"


def _fewest(made: pd.DataFrame, most: pd.DataFrame) -> str:
    """Name each sampler's least number of steps from which on all its settings will do."""
    parts = []
    for (dataset, sampler), part in made.groupby(["dataset", "sampler"], sort=False):
        steps = sorted(part["steps"].unique())
        limit = most.loc[[dataset]]
        good = {n: _within(_setting(part, str(sampler), n), limit) for n in steps}
        enough = [n for n in steps if all(good[m] for m in steps if m >= n)]
        if len(steps) > 1:
            parts.append(
                f"{dataset}, {sampler}: {enough[0]:.0f}"
                if enough
                else f"{dataset}, {sampler}: none of up to {steps[-1]:.0f}"
            )
    return f"From this number of steps on, every setting is within it. {'; '.join(parts)}."


def _there_and_back(rows: pd.DataFrame) -> list[Finding]:
    if rows.empty:
        return []
    steps = 100 if (rows["steps"] == 100).any() else rows["steps"].max()
    mine = rows[rows["steps"] == steps].groupby(["method", "dataset"])
    share, worst = mine["not_back"].mean(), mine["worst_error"].max()
    said = [
        f"{dataset}: {share['fixed point', dataset]:.1%} of cells ({share['Euler', dataset]:.0%} "
        f"by the usual inversion), the worst is off by {worst['fixed point', dataset]:.0%}"
        for dataset in share["fixed point"].index
    ]
    good = (share["fixed point"] <= 1 - SHARE_BACK).all()
    return [
        Finding(
            f"To noise and back in {steps:.0f} steps",
            f"Latents that miss their start by more than {CLEAR:.0%}: " + "; ".join(said) + ".",
            f"at most {1 - SHARE_BACK:.0%} of cells, on every data set.",
            "met" if good else "missed",
        )
    ]


def pictures(rows: pd.DataFrame, arrays: Mapping[str, Arrays]) -> list[Picture]:
    """Both measures and the inversion's error against steps, data set by data set."""
    found = []
    parts = [(str(dataset), part) for dataset, part in rows.groupby("dataset", sort=False)]
    for column, title in TITLES.items():
        for dataset, part in parts:
            caption = (
                f"{title} on {dataset}: dots are repeats, lines their means, the dashed line real "
                f"cells in the place of synthetic ones."
            )
            paint = partial(_quality, rows=part, column=column, dataset=dataset)
            found.append(Picture(f"{dataset}_{column}", caption, (4.8, 3.4), paint))
    for dataset, part in parts:
        back = part[part["kind"] == "inversion"]
        if len(back):
            caption = (
                f"Relative error of latents of {dataset} that went to noise and back: the median "
                f"cell, and the one that 99 % of cells are better than; means over repeats."
            )
            paint = partial(_errors, rows=back, dataset=dataset)
            found.append(Picture(f"{dataset}_inversion", caption, (4.8, 3.4), paint))
    return found


def _quality(figure: Figure, rows: pd.DataFrame, column: str, dataset: str) -> None:
    ax = figure.add_subplot()
    for sampler, part in rows[rows["kind"] == "sampler"].groupby("sampler", sort=False):
        colour = COLOURS.get(str(sampler), INK)
        ax.scatter(part["steps"], part[column], s=9, color=colour, alpha=0.5, linewidths=0)
        line = part.groupby("steps")[column].mean()
        ax.plot(line.index, line, "o-", color=colour, markersize=5, linewidth=1.4, label=sampler)
    null = rows.loc[rows["kind"] == "null", column].mean()
    ax.axhline(null, color=INK, linestyle="--", linewidth=1, label=REAL)
    ax.set_ylim(bottom=0 if column == "mmd" else min(0.45, null - 0.03))
    steps = rows.loc[rows["kind"] == "sampler", "steps"]
    _finish(figure, ax, steps, f"{TITLES[column]}, {dataset}", legend=4)


def _errors(figure: Figure, rows: pd.DataFrame, dataset: str) -> None:
    ax = figure.add_subplot()
    for method, part in rows.groupby("method", sort=False):
        colour = DIFFUSION if method == "fixed point" else QUIET
        for column, style in (("median_error", "o-"), ("error_99", "o:")):
            line = part.groupby("steps")[column].mean()
            which = "median" if column == "median_error" else "99 %"
            ax.plot(line.index, line, style, color=colour, markersize=5, label=f"{method}, {which}")
    ax.set_yscale("log")
    _finish(figure, ax, rows["steps"], f"There and back, {dataset}", legend=2)


def _finish(figure: Figure, ax: Axes, steps: pd.Series, title: str, legend: int) -> None:
    ax.set_xscale("log")
    ticks = np.array([5, 10, 20, 50, 100, 200, 1000])
    ticks = ticks[(ticks >= steps.min()) & (ticks <= steps.max())]
    ax.set_xticks(ticks, [f"{t:,}" for t in ticks])
    ax.set_xticks([], minor=True)
    ax.set_xlabel("steps")
    ax.set_title(title, loc="left", fontsize=11, fontweight="bold")
    ax.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=legend, frameon=False, fontsize=9)
