"""What the study of several conditions at once shows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scdiff_bench.classifiers.catalogue import CLASSIFIERS
from scdiff_bench.generator_studies.parts import Arrays, Finding, Outcome, Picture, Table, means
from scdiff_bench.pages.figures import DIFFUSION, GAUSSIAN, INK, QUIET
from scdiff_bench.pages.words import label, signed
from scdiff_bench.statistics.contrasts import Interval, corrected_interval

JOINTLY = "agrees_jointly"
FOUND = "found"
"""Arm whose guidance scales come from the training cells: what `sample` does by default."""

FOUND_COLOUR = "#c2571a"

NEAR, BEHIND = 0.03, 0.15
"""How far joint agreement may be from real cells, and how far that of a combination below them."""

FEWEST = 40
"""Held-out cells, over all splits, that a combination needs to be judged by itself."""

OUTCOMES: dict[str, Outcome] = {"within": "met", "below": "missed", "above": "warning"}
NOTES = [
    "Each split divides the cells of every combination at random: one half for the generator, a "
    "quarter for the evaluators, a quarter held out. Codec and denoiser are trained without "
    "labels, then one condition at a time; evaluators are trained on real cells that the generator "
    "never saw.",
    "For each held-out cell one cell is generated with the same names, so that generated and real "
    "cells have the same proportions. An evaluator has one classifier per annotation; “jointly” "
    "is the "
    "fraction of cells for which all of them predict what was asked for.",
    "The real rate is what the evaluators reach on held-out real cells. Agreement below it "
    "means that cells "
    "are not what was asked for; above it, that they are too typical: more alike than real ones.",
    "Intervals are corrected resampled t (Nadeau and Bengio 2003) over splits, paired by split, at "
    "95 %; they are not corrected for their number. “Within” says that the interval contains 0, as "
    "any wide interval does: read its ends.",
    "Gradients of several conditions are added, which assumes that the conditions are independent "
    "given the cell. “Combinations as one condition” learns every existing combination as a "
    "class of its "
    "own and does without that; it cannot ask for a combination that it has not seen.",
    "“Scales found” are those of LatentDiffusion.sample by default: judges learnt from halves of "
    "the generator's own cells say at which scale of each class new cells are called right as "
    "often as those. The evaluators here have seen none of these cells.",
    "Spread is the mean variance within combinations, in 50 principal components of the "
    "evaluators' "
    "cells, as a ratio to that of held-out cells: 1 is as varied as real cells, less is narrower.",
]


def tables(rows: pd.DataFrame) -> list[Table]:
    """Agreement of generated and real cells, and their differences."""
    columns = _agreements(rows)
    shown = rows.assign(cells=_arms(rows), judge=_judges(rows))
    keys = ["judge", "cells"]
    if rows["dataset"].nunique() > 1:
        keys.insert(0, "dataset")
    differences = pd.DataFrame(_differences(rows))[
        [*keys, "annotation", "difference", "low", "high", "against_real"]
    ]
    titles = {c: label(c.removeprefix("agrees_")) for c in columns} | {"runs": "splits"}
    return [
        Table(
            "Agreement with the names asked for",
            means(shown, keys, [*columns, "spread"]),
            keys,
            titles,
            caption="Fraction of cells for which the evaluator predicts what was asked for, "
            "mean ± standard "
            "deviation over splits; spread as a ratio to real cells.",
        ),
        Table(
            "Generated minus real",
            differences,
            [*keys, "annotation"],
            {"low": "95 % from", "high": "to", "against_real": "against real cells"},
        ),
    ]


def verdict(rows: pd.DataFrame) -> list[Finding]:
    """Whether agreement is that of real cells, and what scale and composition do to it."""
    found = []
    for dataset, part in rows.groupby("dataset", sort=False):
        where = f" ({dataset})" if rows["dataset"].nunique() > 1 else ""
        for judge, mine in part.groupby("judge", sort=False):
            found.append(_finding(mine, CLASSIFIERS[str(judge)].title + where))
        found.append(_combinations(part, where))
        found.append(_scales(part, where))
        found.append(_composition(part, where))
    return found


def _finding(rows: pd.DataFrame, who: str) -> Finding:
    """Compare cells of the scales that were found with real ones, for one evaluator."""
    arm = rows[rows["arm"] == FOUND]
    real = rows[rows["arm"] == "real"]
    between = {c: _interval(arm, real, c) for c in _agreements(rows)}
    joint = between.pop(JOINTLY)
    parts = [
        f"{label(c.removeprefix('agrees_'))} {arm[c].mean():.3f} against {real[c].mean():.3f}, "
        f"{_against(i)}"
        for c, i in between.items()
    ]
    text = (
        f"{len(between)} names at once, scales found: all right in "
        f"{arm[JOINTLY].mean():.3f} of generated and {real[JOINTLY].mean():.3f} of held-out real "
        f"cells, {signed(joint.mean)} [{signed(joint.low)}, {signed(joint.high)}]: "
        f"{_against(joint)} the real rate. Apart: {'; '.join(parts)}."
    )
    target = f"within {NEAR:g} of the real rate, jointly; above it cells are too typical."
    outcome: Outcome = "met" if abs(joint.mean) <= NEAR else OUTCOMES[_side(joint.mean)]
    return Finding(f"Evaluator: {who}", text, target, outcome)


def _side(difference: float) -> str:
    return "above" if difference > 0 else "below"


def _combinations(rows: pd.DataFrame, where: str) -> Finding:
    """Say which combinations are farthest below real cells, over all splits and evaluators."""
    rates = {arm: _rates(rows[rows["arm"] == arm]) for arm in ("real", FOUND)}
    gap = (rates[FOUND] - rates["real"])[rates["real"].notna()].dropna().sort_values()
    if gap.empty:
        return Finding(f"Combinations{where}", f"None has {FEWEST} held-out cells over all splits.")
    worst = "; ".join(
        f"{name} {signed(value)} (real cells {rates['real'][name]:.3f})"
        for name, value in gap.head(3).items()
    )
    return Finding(
        f"Combinations{where}",
        f"Of {len(gap)} with {FEWEST} held-out cells and more over all splits, the farthest below "
        f"real cells are {worst}; {(gap < -BEHIND).sum()} are more than {BEHIND:g} below.",
        f"none more than {BEHIND:g} below real cells.",
        "met" if gap.min() >= -BEHIND else "missed",
    )


def _rates(rows: pd.DataFrame) -> pd.Series:
    """Share of cells called right by combination; missing where there are too few."""
    sums: dict[str, list[int]] = {}
    for text in rows["by_combination"]:
        for name, (right, n) in json.loads(text).items():
            sums[name] = [a + b for a, b in zip(sums.get(name, [0, 0]), (right, n), strict=True)]
    judges = max(rows["judge"].nunique(), 1)
    return pd.Series(
        {k: hits / n if n >= FEWEST * judges else np.nan for k, (hits, n) in sums.items()}
    )


def _scales(rows: pd.DataFrame, where: str) -> Finding:
    """Say what more guidance does to agreement and spread, over all evaluators."""
    several = rows[rows["arm"] == "several"].groupby("guidance_scale")[[JOINTLY, "spread"]].mean()
    real = rows.loc[rows["arm"] == "real", JOINTLY].mean()
    said = [
        f"scale {scale:g}: {row[JOINTLY]:.3f} ({_by_judge(rows, scale)}), spread "
        f"{row['spread']:.2f}"
        for scale, row in several.iterrows()
    ]
    control = rows.loc[rows["arm"] == "unguided", JOINTLY].mean()
    found = rows.loc[rows["arm"] == FOUND, [JOINTLY, "spread"]].mean()
    return Finding(
        f"Guidance scale{where}",
        f"Joint agreement, mean over evaluators: {'; '.join(said)}; scales found: "
        f"{found[JOINTLY]:.3f}, spread {found['spread']:.2f}. Real cells: {real:.3f}, "
        f"spread 1. "
        f"Without any condition, as a control: {control:.3f}.",
    )


def _by_judge(rows: pd.DataFrame, scale: Any) -> str:
    """Say how joint agreement at a scale stands to the real rate, evaluator by evaluator."""
    words = []
    for judge, mine in rows.groupby("judge", sort=False):
        arm = mine[(mine["arm"] == "several") & (mine["guidance_scale"] == scale)]
        found = _against(_interval(arm, mine[mine["arm"] == "real"]))
        words.append(f"{found} for {CLASSIFIERS[str(judge)].title}")
    return ", ".join(words)


def _composition(rows: pd.DataFrame, where: str) -> Finding:
    """Say what adding gradients costs beside one condition for all combinations."""
    several = rows[rows["arm"] == FOUND]
    one = rows[rows["arm"] == "one"]
    difference = _interval(
        several.groupby("split").mean(numeric_only=True),
        one.groupby("split").mean(numeric_only=True),
    )
    clear = "a clear difference" if difference.clear else "no clear difference"
    return Finding(
        f"Adding gradients{where}",
        f"Joint agreement {several[JOINTLY].mean():.3f} with one gradient per name, "
        f"{one[JOINTLY].mean():.3f} with every combination as one condition: "
        f"{signed(difference.mean)} [{signed(difference.low)}, {signed(difference.high)}], "
        f"{clear}.",
    )


def pictures(rows: pd.DataFrame, arrays: Mapping[str, Arrays]) -> list[Picture]:
    """Agreement by annotation and scale for each evaluator, and spread against agreement."""
    found = []
    for (dataset, judge), part in rows.groupby(["dataset", "judge"], sort=False):
        title = CLASSIFIERS[str(judge)].title
        caption = (
            f"Fraction of cells for which {title} predicts what was asked for, {dataset}. Small "
            f"dots "
            f"are splits, large ones their means; dark: held-out real cells."
        )
        paint = partial(_agreement, rows=part, title=title)
        height = 1.1 + 0.85 * len(_agreements(rows))
        found.append(Picture(f"{dataset}_{judge}", caption, (4.8, height), paint))
    return found


def _agreement(figure: Figure, rows: pd.DataFrame, title: str) -> None:
    ax = figure.add_subplot()
    columns = _agreements(rows)
    rows = rows.assign(cells=_arms(rows))
    arms = list(rows["cells"].unique())
    colours = dict(zip(arms, _colours(rows), strict=True))
    for y, column in enumerate(columns):
        for i, arm in enumerate(arms):
            values = rows.loc[rows["cells"] == arm, column]
            height = y + (i - (len(arms) - 1) / 2) * 0.8 / len(arms)
            ax.scatter(
                values, np.full(len(values), height), s=8, color=colours[arm], alpha=0.5, lw=0
            )
            name = arm if y == 0 else None
            ax.scatter(values.mean(), height, s=40, color=colours[arm], lw=0, label=name)
        if y:
            ax.axhline(y - 0.5, color=INK, alpha=0.12, linewidth=0.8)
    ax.set_yticks(range(len(columns)), [label(c.removeprefix("agrees_")) for c in columns])
    ax.set_ylim(len(columns) - 0.5, -0.5)
    ax.set_xlabel("fraction predicted as asked for")
    ax.set_xlim(right=1.01)
    ax.set_title(title, loc="left", fontsize=11, fontweight="bold")
    ax.tick_params(axis="y", length=0)
    ax.spines[["top", "right", "left"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)


def _colours(rows: pd.DataFrame) -> Iterator[Any]:
    """One colour per way of sampling, in their order; more guidance is darker."""
    arms = rows.drop_duplicates("cells")
    scales = sorted(arms.loc[arms["arm"] == "several", "guidance_scale"])
    shades = ["#7db3d8", DIFFUSION, "#1c4f74", "#0d2c42"]
    for arm, scale in zip(arms["arm"], arms["guidance_scale"], strict=True):
        if arm == "several":
            yield shades[min(scales.index(scale), len(shades) - 1)]
        else:
            yield {"real": INK, "unguided": QUIET, "one": GAUSSIAN, FOUND: FOUND_COLOUR}[arm]


def _agreements(rows: pd.DataFrame) -> list[str]:
    return [c for c in rows.columns if c.startswith("agrees_")]


def _arms(rows: pd.DataFrame) -> pd.Series:
    names = {
        "real": "real, held out",
        "unguided": "no condition",
        FOUND: "several, scales found",
        "one": "as one condition",
    }
    several = rows["guidance_scale"].map("several, scale {:g}".format)
    return rows["arm"].map(names).where(rows["arm"] != "several", several)


def _judges(rows: pd.DataFrame) -> pd.Series:
    return rows["judge"].map({name: entry.title for name, entry in CLASSIFIERS.items()})


def _interval(arm: pd.DataFrame, reference: pd.DataFrame, column: str = JOINTLY) -> Interval:
    """Interval of the mean difference, paired by split."""
    both = arm.reset_index().set_index("split"), reference.reset_index().set_index("split")
    differences = (both[0][column] - both[1][column]).dropna()
    n_train = (arm["n_generator"] + arm["n_judge"]).mean()
    return corrected_interval(differences, arm["n_held_out"].mean(), n_train)


def _against(interval: Interval) -> str:
    if not interval.clear:
        return "within"
    return "above" if interval.mean > 0 else "below"


def _differences(rows: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield a line per evaluator, way of sampling and annotation."""
    rows = rows.assign(cells=_arms(rows), title=_judges(rows))
    for (dataset, judge), part in rows.groupby(["dataset", "title"], sort=False):
        real = part[part["arm"] == "real"]
        for cells, arm in part[part["arm"].isin(["several", FOUND, "one"])].groupby(
            "cells", sort=False
        ):
            for column in _agreements(rows):
                found = _interval(arm, real, column)
                yield {
                    "dataset": dataset,
                    "judge": judge,
                    "cells": cells,
                    "annotation": label(column.removeprefix("agrees_")),
                    "difference": found.mean,
                    "low": found.low,
                    "high": found.high,
                    "against_real": _against(found),
                }
