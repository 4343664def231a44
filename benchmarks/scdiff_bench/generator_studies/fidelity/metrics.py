"""What the study of fidelity measures of cells, whether they are synthetic or real."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scdiff_bench.data.datasets import Dataset
from scdiff_bench.generator_studies.fidelity.cells import Index, Parts
from scipy import stats

from scdiff_augment.celltypist_classifier import CellTypistClassifier
from scdiff_augment.metrics import evaluate
from scdiff_augment.metrics.scoring import IDEAL, MEMORISATION

Row = dict[str, Any]
Matrix = NDArray[np.float32]

FORESTS = ("forest_auc_pca", "forest_auc_genes")
BY_CLASS = tuple(name for name in IDEAL if name not in FORESTS)
"""Metrics of each class: forests need more cells than most classes have."""

PUBLISHED = ("scc", "pcc", "mmd", "ilisi", "forest_auc_pca")
"""Metrics of the published protocol, which compares with training cells."""

MAX_JUDGED = 4000
"""Most cells that CellTypist is trained on."""

_judges: dict[tuple[str, bytes], CellTypistClassifier] = {}


def natural(real: Matrix, cells: Matrix, training: Matrix, seed: int, trees: int) -> pd.DataFrame:
    """Compare cells in natural proportions with held-out ones, by every metric over all cells."""
    return evaluate(real, cells, training=training, random_state=seed, n_estimators=trees)


def published(training: Matrix, cells: Matrix, seed: int, trees: int) -> Iterator[Row]:
    """Compare cells with as many training cells, as the published system did."""
    rows = np.random.default_rng(seed).permutation(len(training))[: len(cells)]
    table = evaluate(
        training[rows], cells, figures=PUBLISHED, random_state=seed, n_estimators=trees
    )
    yield from plain(table, "published")


def by_class(
    data: Dataset,
    real: Index,
    cells: Matrix,
    train: Index,
    seed: int,
    figures: tuple[str, ...] = BY_CLASS,
    null: bool = False,
) -> pd.DataFrame:
    """Compare cells with real ones of the same labels, class by class.

    With `null`, the cells are real themselves, and get the interval of their figures.
    """
    y = data.y[real]
    shared: dict[str, Any] = {
        "training": data.X[train],
        "labels": y,
        "synthetic_labels": y,
        "training_labels": data.y[train],
        "random_state": seed,
    }
    table = evaluate(data.X[real], cells, figures=figures, **shared)
    if null and (memory := tuple(name for name in MEMORISATION if name in figures)):
        twice = evaluate(data.X[real], cells, null=cells, null_labels=y, figures=memory, **shared)
        ends = twice.set_index(["class", "figure"])[["null_low", "null_high"]]
        table = table.drop(columns=["null_low", "null_high"]).join(ends, on=["class", "figure"])
    counts = dict(zip(*np.unique(data.y[train], return_counts=True), strict=True))
    n_train = table["class"].map({str(k): int(v) for k, v in counts.items()})
    return table.assign(n_train=n_train.fillna(len(train)).astype(int))


def plain(table: pd.DataFrame, conditions: str, null: bool = False) -> Iterator[Row]:
    """Rows of a table of `evaluate`, one for each value."""
    for row in table.to_dict("records"):
        kept = {key: row[key] for key in ("class", "figure", "n")} | {"conditions": conditions}
        kept["value"] = row["synthetic"]
        if "n_train" in row:
            kept["n_train"] = row["n_train"]
        if null and row["figure"] == "nearest_neighbour_ratio":
            kept |= {"low": row["null_low"], "high": row["null_high"]}
        yield kept


def called_right(
    data: Dataset, judging: Index, cells: Matrix, wanted: NDArray[np.str_], conditions: str
) -> Iterator[Row]:
    """Say how often a CellTypist model of some real cells calls cells what they shall be.

    Cells of types that the model has not learnt are left out. Intervals are Wilson's.
    """
    judge = _judge(data, judging[:MAX_JUDGED])
    known = np.isin(wanted, judge.classes_)
    right, y = judge.predict(cells[known]) == wanted[known], wanted[known]
    named = {"all cells": np.ones(len(y), dtype=bool)} | {str(c): y == c for c in np.unique(y)}
    for label, rows in named.items():
        hits, n = int(right[rows].sum()), int(rows.sum())
        ends = stats.binomtest(hits, n).proportion_ci(0.95, "wilson")
        yield {
            "class": label, "figure": "celltypist_accuracy", "n": n, "conditions": conditions,
            "value": hits / n, "low": ends.low, "high": ends.high,
        }  # fmt: skip


def memorised(
    data: Dataset, parts: Parts, cells: Matrix, conditions: str, seed: int, null: bool = False
) -> Iterator[Row]:
    """Say how near cells of rare types are to their few training cells."""
    figures = tuple(MEMORISATION)
    table = by_class(data, parts.real, cells, parts.train, seed, figures, null)
    yield from plain(table[table["class"] != "all cells"], conditions, null)


def _judge(data: Dataset, rows: Index) -> CellTypistClassifier:
    """Train CellTypist, or take the model that the previous variant trained on the same cells."""
    key = data.digest, rows.tobytes()
    if key not in _judges:
        while len(_judges) > 1:  # a draw has two
            _judges.pop(next(iter(_judges)))
        judge = CellTypistClassifier(genes=data.genes, random_state=len(rows))
        _judges[key] = judge.fit(data.X[rows], data.y[rows])
    return _judges[key]
