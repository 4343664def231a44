"""All metrics in one table, each with its real reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from scdiff_augment.expression.detection import find_scale
from scdiff_augment.expression.kinds import denormalise, fits, log_values
from scdiff_augment.expression.scales import FRACTIONAL, Scale

from .checks import MAX_CELLS, checked_labels, checked_matrix, require_max_cells, require_same_genes
from .pairwise import CellSet, ForestOptions
from .scoring import IDEAL, Row, score
from .summary.printed import Evaluation

MIN_CELLS = 5
"""Cells that each set needs; with fewer no metric is meaningful."""


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
) -> Evaluation:
    """Compute all metrics of synthetic cells, each with its real reference.

    The real reference of a metric (the column "null") is its value for held-out real cells scored
    in the place of the synthetic ones, i.e. the value to expect of perfect cells.

    Parameters
    ----------
    real : array-like of shape (n_real, n_genes)
        Held-out real cells, which the generator was not trained on: counts, or log1p of
        depth-normalised counts. Counts are converted to log1p of counts per 10,000 for every metric
        except the distance of library sizes.
    synthetic : array-like of shape (n_synthetic, n_genes)
        Synthetic cells on the same scale.
    null : array-like of shape (n_null, n_genes), optional
        Further held-out real cells, scored in the place of the synthetic ones: they give the
        value to expect of perfect cells.
    training : array-like of shape (n_training, n_genes), optional
        The cells that the generator was trained on; metrics of memorisation need them.
    labels, synthetic_labels, null_labels, training_labels : array-like, optional
        Class of each cell, to compute the metrics by class as well. Give labels for every set
        that is given, or for none.
    figures : sequence of str, optional
        Names of the metrics to compute, among the keys of `scdiff_augment.metrics.scoring.IDEAL`;
        all by default. The forests take by far the most time.
    max_cells : int, default=5000
        Limit on the cells of each set, and of each class; larger sets are subsampled.
    n_repeats : int, default=1
        Number of repeats. Before each repeat but the first, the cells of `real` and `null` are
        pooled, shuffled and split again into sets of the same sizes. Values are means over the
        repeats.
    n_estimators : int, default=500
        Trees of each random forest.
    n_jobs : int, optional
        Parallel jobs of the forests; None means 1, -1 all cores.
    random_state : int, default=0
        Seed of everything random.

    Returns
    -------
    Evaluation
        A data frame that is shown as a verdict, in three lines, and a compact table;
        ``pandas.DataFrame(table)`` shows all of it. ``table.verdict()`` returns the lines: what is
        as real cells are, what is not, and whether training cells were copied. A metric is as real
        cells are if it lies no farther from its ideal than the farthest real reference, by a margin
        at most: the range of that over the repeats or, where that is less, what two draws of real
        cells differed by. More repeats thus make the verdict more certain.

        One row per class and metric, "all cells" first, with columns

        - "class": the class, or "all cells";
        - "figure": the name of the metric;
        - "synthetic": its value for the synthetic cells;
        - "null": its real reference, NaN without `null`;
        - "null_low", "null_high": range of the reference over the repeats; for
          "nearest_neighbour_ratio" the 95 % bootstrap interval for the value of as many other real
          cells;
        - "ideal": its value for a perfect generator and many cells;
        - "n": number of cells compared from each set, the largest that all sets and `max_cells`
          allow.

        A value is NaN if there are too few cells for the metric, or if it needs counts and they
        cannot be recovered from the values. Metrics of memorisation search for neighbours among all
        cells of `real` and `training`, whatever `max_cells`.

    Raises
    ------
    ValueError
        If the matrices differ in genes or scale, hold NaN or infinity, or have fewer than 5 cells;
        if labels are missing; if `n_repeats` is above 1 without `null`; if `figures` names an
        unknown metric.

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
    >>> few = evaluate(real, synthetic, null=null, figures=["scc", "mmd"])
    >>> for line in few.verdict():
    ...     print(line)
    As real cells are: 2 of 2 metrics: scc, mmd
    Not as real cells are: nothing that was measured
    Memorised: not looked for, without the training cells (training)
    """
    if n_repeats < 1 or (n_repeats > 1 and null is None):
        raise ValueError(
            f"`n_repeats` must be 1, or above 1 if `null` is given (its cells are shuffled with "
            f"those of `real`); it is {n_repeats} and null is "
            f"{'None' if null is None else 'given'}."
        )
    require_max_cells(max_cells, MIN_CELLS)
    wanted = tuple(IDEAL) if figures is None else tuple(figures)
    unknown = [name for name in wanted if name not in IDEAL]
    if unknown or not wanted:
        raise ValueError(
            f"`figures` must name at least one of {', '.join(IDEAL)}; got "
            f"{repr(unknown[0]) if unknown else 'none'}. Leave it out to compute all metrics."
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
        forest_options = ForestOptions(int(rng.integers(2**31)), n_estimators, n_jobs)
        rows += score(sets, max_cells, forest_options, wanted, rng)
    return _summary(rows)


def _read(matrices: dict[str, Any], labels: dict[str, Any]) -> dict[str, CellSet]:
    """Check the sets that are given; bring them to the log scale, with counts if recoverable."""
    values = {n: checked_matrix(X, n, MIN_CELLS) for n, X in matrices.items() if X is not None}
    require_same_genes({name: matrices[name] for name in values})
    scales = {"real": find_scale(values["real"])}
    scales |= {n: _scale_beside(X, n, scales["real"]) for n, X in values.items() if n != "real"}
    labelled = any(y is not None for y in labels.values())
    sets = {}
    for name, X in values.items():
        scale, y = scales[name], None
        if labelled:
            y = checked_labels(
                labels[name], len(X), "labels" if name == "real" else f"{name}_labels"
            )
        known = scale.kind not in ("real", *FRACTIONAL)
        counts = denormalise(X, scale).values if known else None
        sets[name] = CellSet(log_values(X, scale).astype(np.float32), counts, y)
    return sets


def _scale_beside(X: NDArray, name: str, real: Scale) -> Scale:
    """Scale of other cells, which must be that of the real ones; few cells may not tell it.

    Raises
    ------
    ValueError
        If they are on another scale.
    """
    found = find_scale(X)
    if found.kind == real.kind:
        return found
    if "counts" not in (found.kind, real.kind):
        if real.kind in ("real", *FRACTIONAL) or fits(X, real):
            return real
        if real.kind == "log1p" and found.kind in ("real", *FRACTIONAL):
            return Scale("real")
    raise ValueError(
        f"all matrices must be on one scale, but `real` looks like {real.kind} and "
        f"`{name}` like {found.kind}. Bring both to counts, or both to log1p of depth-normalised "
        f"counts."
    )


def _summary(rows: list[Row]) -> Evaluation:
    """Means over the repeats and ranges of the references, in the order of `IDEAL`."""
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
    order = {metric: i for i, metric in enumerate(IDEAL)}
    order_class = {label: i for i, label in enumerate(table["class"].unique())}
    key = table["class"].map(order_class) * len(order) + table["figure"].map(order)
    return Evaluation(table.iloc[np.argsort(key, kind="stable")].reset_index(drop=True))
