"""Targets of the study of fidelity, and how its rows stand to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
from scdiff_bench.generator_studies.fidelity.study import REAL

ALL = "all cells"
RARE = "rare"
WHERE = ["dataset", "draw", "conditions", "class", "figure"]


@dataclass(frozen=True)
class Target:
    """A target for a metric.

    Attributes
    ----------
    figure, conditions : str
        Which rows it is about: those over all cells, or, for ``"rare"``, all rare types.
    title : str
        Head of its column.
    wanted : str
        In words.
    met : callable
        Whether value, null, and lower and upper end of the null's interval are as wanted.
    digits : int
        After the point.
    """

    figure: str
    conditions: str
    title: str
    wanted: str
    met: Callable[[float, float, float, float], bool]
    digits: int = 3


RATIO = "nearest_neighbour_ratio"
WITHIN = "in interval"
TARGETS = (
    Target("forest_auc_pca", "none", "forest AUC, PCA", "≤ .60", lambda v, *_: v <= 0.60),
    Target("forest_auc_genes", "none", "forest AUC, genes", "≤ .60", lambda v, *_: v <= 0.60),
    Target("mmd", "none", "MMD", "≤ .010", lambda v, *_: v <= 0.010, 4),
    Target("scc", "none", "SCC", "≥ real cells − .002", lambda v, null, *_: v >= null - 0.002, 4),
    Target(
        "celltypist_accuracy",
        "label",
        "CellTypist accuracy",
        "real cells ± .01",
        lambda v, null, *_: abs(v - null) <= 0.01,
    ),
    Target(
        "zero_fraction_difference",
        "none",
        "zero fraction, difference",
        "within .005",
        lambda v, *_: abs(v) <= 0.005,
        4,
    ),
    Target(
        "coverage", "none", "coverage", "≥ .9 of real cells", lambda v, null, *_: v >= 0.9 * null
    ),
    Target(RATIO, "none", "memory ratio", WITHIN, lambda v, _, low, high: low <= v <= high),
    Target(
        RATIO, RARE, "memory ratio, rare types", WITHIN, lambda v, _, low, high: low <= v <= high
    ),
)


def beside_null(rows: pd.DataFrame) -> pd.DataFrame:
    """Put the value of real cells, and its interval, beside each value of a variant.

    Parameters
    ----------
    rows : DataFrame
        Rows of the study, those of real cells among them.

    Returns
    -------
    DataFrame
        Rows of the variants with ``null``, ``low`` and ``high``, NaN where the null's unit failed.
    """
    real = rows["variant"] == REAL
    null = rows.loc[real, [*WHERE, "value", "low", "high"]].rename(columns={"value": "null"})
    made = rows[~real].drop(columns=["low", "high"])
    return made.merge(null, how="left", on=WHERE)


def standing(found: pd.DataFrame) -> pd.DataFrame:
    """Say of each data set and variant how it stands to each target.

    Parameters
    ----------
    found : DataFrame
        From `beside_null`.

    Returns
    -------
    DataFrame
        A row for each target, data set and variant: ``target`` (its place in ``TARGETS``),
        ``value``, ``null``, ``low`` and ``high`` (means over draws), ``met``, ``good`` and
        ``cases``: of how many values how many are as wanted. The target of rare types is met where
        all of them are, in every draw; of any other the mean over draws counts.
    """
    rows = []
    for place, target in enumerate(TARGETS):
        part = of_target(found, target)
        for (dataset, variant), group in part.groupby(["dataset", "variant"], sort=False):
            numbers = group[["value", "null", "low", "high"]]
            mean = numbers.mean()
            good = sum(target.met(*values) for values in numbers.itertuples(index=False))
            met = good == len(group) if target.conditions == RARE else bool(target.met(*mean))
            rows.append(
                {
                    "target": place,
                    "dataset": dataset,
                    "variant": variant,
                    **mean,
                    "met": met,
                    "good": good,
                    "cases": len(group),
                }
            )
    columns = ["target", "dataset", "variant", "value", "null", "low", "high", "met"]
    return pd.DataFrame(rows, columns=[*columns, "good", "cases"])


def of_target(found: pd.DataFrame, target: Target) -> pd.DataFrame:
    """Return the rows that a target is about.

    Parameters
    ----------
    found : DataFrame
        From `beside_null`.
    target : Target
        One of ``TARGETS``.

    Returns
    -------
    DataFrame
        Some of the rows, none without a value or null.
    """
    known = found[["value", "null"]].notna().all(axis=1)
    rows = found[(found["figure"] == target.figure) & known]
    if target.conditions == RARE:
        return rows[rows["conditions"].str.startswith(RARE)]
    return rows[(rows["conditions"] == target.conditions) & (rows["class"] == ALL)]
