"""What the study of a reference shows."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scdiff_bench.classifiers.catalogue import CLASSIFIERS
from scdiff_bench.generator_studies.parts import Arrays, Finding, Picture, Table, means
from scdiff_bench.generator_studies.reference.strategies import STRATEGIES
from scdiff_bench.generator_studies.reference.study import BALANCED_FOREST, TITLES
from scdiff_bench.pages.figures import DIFFUSION, GAUSSIAN, INK, QUIET
from scdiff_bench.pages.words import signed, spread

OURS, POOLED, ORACLE = "borrowed", "pooled", "oracle"
LARGE_SHIFT = 0.1
"""By how much F1 of pooled cells must lie below the oracle's for the shift to count as large."""
AHEAD, BEHIND, SHARE, LEVEL = 0.05, 0.005, 0.9, 0.02
"""Targets: lead where the shift is large, lag where it is not, share of the oracle, Harmony."""
KEYS = ["dataset", "into", "n"]
HEADS = {"into": "target batch", "n": "its cells of the type", "runs": "runs"}
NOTES = [
    "Every type with enough cells in the target batch is left out in turn: its training cells "
    "there are cut to n. Half of the target batch's cells, type by type, are the test set, which "
    "is the same for all strategies. The reference is all cells of the other batches, or 2,000 of "
    "them at random. Numbers are means over types and draws.",
    "F1 is that of the type on test cells of the target batch. Macro-F1 is over all types there, "
    "some of which have one or two test cells.",
    "“Borrowed” is DiffusionOversampler(into=target batch) with its defaults, on the pooled cells: "
    "every class of the target batch is filled up to its largest, and the reference's cells stay. "
    "“Of the type alone” fills no other class.",
    "Harmony corrects 50 principal components of training and test cells together: it must be run "
    "again for every new sample. “Test cells mapped” corrects training cells alone; a test cell "
    "moves as its 15 nearest training cells of the target batch did. Neither has values of genes, "
    "so that forests on genes are left out.",
    "ComBat and the mean change see no test cell. A test cell is corrected by ComBat as the target "
    "batch's training cells were. The mean change is that of the types that both have, on log1p "
    "values, cut at 0.",
    "Weights of classes are for logistic regression and forests; LDA has equal priors throughout; "
    "balanced forests (imbalanced-learn) are trained on pooled cells. The oracle adds the cells of "
    "the type that the target batch was deprived of.",
    "MMD and R² compare cells of the type with its test cells; “oracle” there are real cells of "
    "the target batch. MMD uses as many cells of each set as the smaller has. R² is over the 50 "
    "genes whose mean differs most between test cells and the reference's cells of the type.",
    "The control cells of kang_ifnb_small_counts are among those of kang_pbmc_ctrl. The estimate "
    "was chosen on other divisions (draws of another seed) of the same data sets.",
]


def _scores(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["kind"] == "score"] if len(rows) else rows


def wide(rows: pd.DataFrame) -> pd.DataFrame:
    """Return mean F1 with data set, target, n and classifier as lines, strategies as columns."""
    found = _scores(rows).groupby([*KEYS, "classifier", "strategy"], sort=False)["f1"].mean()
    return found.unstack("strategy").reset_index()


def verdict(rows: pd.DataFrame) -> list[Finding]:
    """How borrowed cells do against pooling, the oracle and Harmony."""
    if not len(rows) or not {OURS, POOLED, ORACLE} <= set(rows["strategy"]):
        return [Finding("No findings", "Pooled, borrowed or oracle has no rows.", "", "warning")]
    table = wide(rows).dropna(subset=[OURS, POOLED, ORACLE])
    found = []
    for (dataset, into, n), part in table.groupby(KEYS, sort=False):
        lead = part[OURS] - part[POOLED]
        shift = float((part[ORACLE] - part[POOLED]).mean())
        large = shift >= LARGE_SHIFT
        met = lead.min() > 0 and lead.mean() >= AHEAD if large else lead.min() >= -BEHIND
        each = ", ".join(
            f"{title(c)} {_number(a)} → {_number(b)}"
            for c, a, b in zip(part["classifier"], part[POOLED], part[OURS], strict=True)
        )
        target = (
            f"above pooling for every classifier, by {AHEAD} on average"
            if large
            else f"never more than {BEHIND} behind pooling"
        )
        found.append(
            Finding(
                f"{dataset} → {into}, {n} cells",
                f"F1 pooled → borrowed: {each} (mean {signed(lead.mean())}). The oracle is "
                f"{signed(shift)} from pooling on average.",
                f"{target}.",
                "met" if met else "missed",
            )
        )
    share = float(table[OURS].mean() / table[ORACLE].mean())
    worst = (table[OURS] / table[ORACLE]).min()
    found.append(
        Finding(
            "Share of the oracle",
            f"{_number(share)} of the oracle's F1 on average, {_number(worst)} at worst.",
            f"at least {SHARE} for every classifier and data set.",
            "met" if worst >= SHARE else "missed",
        )
    )
    if "harmony" in table:
        both = table.dropna(subset=["harmony"])
        lead = (both[OURS] - both["harmony"]).mean()
        found.append(
            Finding(
                "Harmony that sees the test cells",
                f"Borrowed cells are {signed(lead)} from it on average over {len(both)} lines.",
                f"level within {LEVEL}, or above.",
                "met" if lead >= -LEVEL else "missed",
            )
        )
    return found


def title(classifier: str) -> str:
    """Return the name of a classifier in words."""
    return TITLES[classifier] if classifier in TITLES else CLASSIFIERS[classifier].title


def _number(value: float) -> str:
    return spread(value, float("nan"))


def tables(rows: pd.DataFrame) -> list[Table]:
    """F1 and macro-F1 of every strategy, and how its cells compare with real ones."""
    if not len(rows):
        return []
    found = [
        _by_classifier(rows, "f1", "F1 of the type"),
        _by_classifier(rows, "macro_f1", "Macro-F1"),
    ]
    cells = rows[rows["kind"] == "cells"]
    if len(cells):
        frame = means(cells, [*KEYS, "strategy"], ["mmd", "r2", "seconds"])
        frame["strategy"] = frame["strategy"].map(_strategy)
        heads = HEADS | {"mmd": "MMD", "r2": "R²", "seconds": "CPU seconds"}
        caption = "Cells of the type that a strategy puts in the place of the target's."
        found.append(
            Table("Cells beside test cells", frame, [*KEYS, "strategy"], heads, {}, caption)
        )
    return found


def _by_classifier(rows: pd.DataFrame, score: str, name: str) -> Table:
    """Table of a score with a column for each classifier."""
    scores = _scores(rows)
    lines = scores.groupby([*KEYS, "strategy", "classifier"], sort=False)[score].mean()
    frame = lines.unstack("classifier").reset_index()
    order = {strategy: i for i, strategy in enumerate(STRATEGIES)}
    frame = frame.sort_values("strategy", key=lambda s: s.map(order), kind="stable")
    frame = frame.sort_values(KEYS, kind="stable")
    frame["strategy"] = frame["strategy"].map(_strategy)
    heads = HEADS | {c: title(c) for c in scores["classifier"].unique()}
    last = [BALANCED_FOREST] if BALANCED_FOREST in frame else []
    first = [c for c in frame.columns if c not in last]
    caption = "Means over types and draws."
    return Table(name, frame[[*first, *last]], [*KEYS, "strategy"], heads, {}, caption)


def _strategy(name: str) -> str:
    return STRATEGIES[name].title


def pictures(rows: pd.DataFrame, arrays: Mapping[str, Arrays]) -> list[Picture]:
    """Draw F1 of every strategy by classifier."""
    if not len(rows):
        return []
    scores = _scores(rows)
    panels = scores[KEYS].drop_duplicates()
    size = (6.0, 0.6 + 1.9 * len(panels))
    caption = (
        "F1 of a type that the target batch has few cells of, or none; means over types and draws, "
        "a dot for each classifier. Grey: strategies without new cells; open: those that see test "
        "cells or cells that nobody has."
    )
    return [Picture("f1", caption, size, partial(_dots, scores=scores, panels=panels))]


def _dots(figure: Figure, scores: pd.DataFrame, panels: pd.DataFrame) -> None:
    axes = figure.subplots(len(panels), 1, squeeze=False, sharex=True).ravel()
    shown = [name for name in STRATEGIES if name in set(scores["strategy"])][::-1]
    marks = dict(zip(scores["classifier"].unique(), "osD^vP*X", strict=False))
    for ax, (_, panel) in zip(axes, panels.iterrows(), strict=True):
        here = scores[(scores[KEYS] == panel).all(axis=1)]
        mean = here.groupby(["strategy", "classifier"])["f1"].mean()
        for (name, classifier), value in mean.items():
            entry = STRATEGIES[str(name)]
            colour = (
                DIFFUSION if str(name).startswith(OURS) else GAUSSIAN if entry.sees_test else QUIET
            )
            ax.scatter(
                value,
                shown.index(str(name)),
                s=22,
                marker=marks[classifier],
                edgecolors=INK if entry.control else colour,
                facecolors="none" if entry.control or entry.sees_test else colour,
            )
        ax.set_yticks(np.arange(len(shown)), [_strategy(name) for name in shown], fontsize=7)
        ax.set_title(
            f"{panel['dataset']} → {panel['into']}, {panel['n']} cells", loc="left", fontsize=9
        )
        ax.spines[["top", "right"]].set_visible(False)
    axes[-1].set_xlabel("F1 of the type", fontsize=9)
    names = [title(c) for c in marks]
    handles = [
        axes[0].scatter([], [], s=22, marker=m, facecolors="none", edgecolors=INK)
        for m in marks.values()
    ]
    figure.legend(handles, names, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
