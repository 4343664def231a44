"""All figures at once, each beside its null."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from scdiff_augment.expression.kinds import depth_normalised, detect_kind, take_apart

from .inputs import MAX_CELLS, checked, checked_labels, require_max_cells, same_genes
from .pairs import Cells, Judges
from .rows import IDEAL, Row, score

MIN_CELLS = 5
"""Cells of each set without which no figure says anything."""


def evaluate(
    real: ArrayLike,
    synthetic: ArrayLike,
    *,
    null: ArrayLike | None = None,
    training: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    synthetic_labels: ArrayLike | None = None,
    null_labels: ArrayLike | None = None,
    training_labels: ArrayLike | None = None,
    figures: Sequence[str] | None = None,
    max_cells: int = MAX_CELLS,
    n_repeats: int = 1,
    n_estimators: int = 500,
    n_jobs: int | None = None,
    random_state: int = 0,
) -> pd.DataFrame:
    """Score synthetic cells against real ones, each figure beside its null.

    Parameters
    ----------
    real : array-like of shape (n_real, n_genes)
        Real cells that the generator has not seen: counts, or log1p of depth-normalised counts.
        Counts become log1p of counts per 10,000 for every figure but that of library sizes.
    synthetic : array-like of shape (n_synthetic, n_genes)
        Synthetic cells on the same scale.
    null : array-like of shape (n_null, n_genes), optional
        More real cells that the generator has not seen, scored in the place of synthetic ones.
    training : array-like of shape (n_training, n_genes), optional
        The cells that the generator has seen; figures of memorisation need them.
    labels, synthetic_labels, null_labels, training_labels : array-like, optional
        Class of each cell, for figures by class: all or none for the sets that are given.
    figures : sequence of str, optional
        Names of the figures to compute; all by default. Forests cost the most by far.
    max_cells : int, default=5000
        At most this many cells of each set, and of each class.
    n_repeats : int, default=1
        Before each further repeat real and null cells are shuffled together and parted anew, in the
        same numbers. Values are then means over the repeats.
    n_estimators : int, default=500
        Trees of each forest.
    n_jobs : int, optional
        Processors for the forests; None means 1.
    random_state : int, default=0
        Makes everything repeatable.

    Returns
    -------
    DataFrame
        A row for each class and figure, "all cells" first. Columns: "class"; "figure"; "synthetic",
        the value of synthetic cells; "null", that of real cells in their place; "null_low" and
        "null_high", the latter's range over the repeats, or, for the ratio of nearest
        neighbours, the interval in which the value of as many other real cells would lie in 95 %
        of cases (bootstrap over cells); "ideal"; "n", the cells that were compared
        of each set: the largest number that all sets and `max_cells` allow. A value is NaN where
        there are too few cells for the figure, where counts cannot be told from the values, or
        where there is no null. Neighbours for figures of memorisation are all cells of `real` and
        `training`.

    Raises
    ------
    ValueError
        If the matrices differ in genes or scale, hold NaN or infinity, or have fewer than 5 cells;
        if labels are missing; if repeats are asked for without a null; if there is no such figure.

    Examples
    --------
    >>> import numpy as np
    >>> from scdiff_augment.metrics import evaluate
    >>> real, null, synthetic = np.random.default_rng(0).poisson(2.0, (3, 60, 20))
    >>> table = evaluate(real, synthetic, null=null).set_index("figure")
    >>> table.loc["coverage", ["synthetic", "null"]].between(0.9, 1).tolist()
    [True, True]
    >>> table.loc["mmd", "class"], int(table.loc["mmd", "n"])
    ('all cells', 60)
    """
    if n_repeats < 1 or (n_repeats > 1 and null is None):
        raise ValueError(
            f"`n_repeats` must be 1, or more where `null` holds cells to part anew; it is "
            f"{n_repeats} and null is {'None' if null is None else 'given'}."
        )
    require_max_cells(max_cells, MIN_CELLS)
    wanted = tuple(IDEAL) if figures is None else tuple(figures)
    unknown = [name for name in wanted if name not in IDEAL]
    if unknown or not wanted:
        raise ValueError(
            f"`figures` must name at least one of {', '.join(IDEAL)}; got "
            f"{repr(unknown[0]) if unknown else 'none'}. Leave it out for all of them."
        )
    sets = _read(
        {"real": real, "synthetic": synthetic, "null": null, "training": training},
        {
            "real": labels,
            "synthetic": synthetic_labels,
            "null": null_labels,
            "training": training_labels,
        },
    )
    rows: list[Row] = []
    for repeat in range(n_repeats):
        rng = np.random.default_rng([random_state, repeat])
        if repeat:
            both = sets["real"].join(sets["null"])
            parts = np.split(rng.permutation(len(both)), [len(sets["real"])])
            sets["real"], sets["null"] = both.take(parts[0]), both.take(parts[1])
        judges = Judges(int(rng.integers(2**31)), n_estimators, n_jobs)
        rows += score(sets, max_cells, judges, wanted, rng)
    return _summary(rows)


def _read(matrices: dict[str, Any], labels: dict[str, Any]) -> dict[str, Cells]:
    """Every set that is given, on log scale, with counts where they can be told."""
    values = {n: checked(X, n, MIN_CELLS) for n, X in matrices.items() if X is not None}
    same_genes({name: matrices[name] for name in values})
    kinds = {name: detect_kind(X) for name, X in values.items()}
    labelled = any(y is not None for y in labels.values())
    sets = {}
    for name, X in values.items():
        kind, y = kinds[name], None
        if (kind == "counts") != (kinds["real"] == "counts"):
            raise ValueError(
                f"all matrices must be on one scale, but `real` looks like {kinds['real']} and "
                f"`{name}` like {kind}. Bring both to counts, or both to log1p of depth-normalised "
                f"counts."
            )
        if labelled:
            y = checked_labels(
                labels[name], len(X), "labels" if name == "real" else f"{name}_labels"
            )
        counts = X if kind == "counts" else take_apart(X).values if kind == "log1p" else None
        log = depth_normalised(X) if kind == "counts" else X
        sets[name] = Cells(log.astype(np.float32), counts, y)
    return sets


def _summary(rows: list[Row]) -> pd.DataFrame:
    """Means over repeats and the null's range or interval, in the order of the figures."""
    frame = pd.DataFrame(rows)
    for column in ("null", "low", "high"):
        if column not in frame:
            frame[column] = np.nan
    groups = frame.groupby(["class", "figure"], sort=False)
    table = groups.agg(
        synthetic=("synthetic", "mean"),
        null=("null", "mean"),
        null_low=("null", "min"),
        null_high=("null", "max"),
        n=("n", "min"),
        low=("low", "mean"),
        high=("high", "mean"),
    ).reset_index()
    for end in ("low", "high"):
        table[f"null_{end}"] = table.pop(end).fillna(table[f"null_{end}"])
    table.insert(6, "ideal", table["figure"].map(IDEAL))
    order = {figure: i for i, figure in enumerate(IDEAL)}
    order_class = {label: i for i, label in enumerate(table["class"].unique())}
    key = table["class"].map(order_class) * len(order) + table["figure"].map(order)
    return table.iloc[np.argsort(key, kind="stable")].reset_index(drop=True)
