"""Which metrics of synthetic cells are as those of real cells, by one rule.

A metric is as real cells are if it lies no farther from its ideal than the farthest real reference,
by a margin at most: the range of the reference over the repeats, or, where that is less, `MARGIN`.
Memorisation is judged one-sidedly: by more exact or near copies of training cells, or a lower ratio
of distances, than real cells have.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from scdiff_augment.metrics.scoring import ALL, MEMORISATION

MARGIN = {
    "scc": 0.002,
    "pcc": 0.0005,
    "mmd": 0.001,
    "ilisi": 0.01,
    "forest_auc_pca": 0.03,
    "forest_auc_genes": 0.03,
    "knn_auc": 0.03,
    "gene_correlation_error": 0.002,
    "mean_variance_error": 0.002,
    "zero_fraction_difference": 0.005,
    "zero_curve_error": 0.001,
    "library_size_distance": 0.01,
    "density": 0.1,
    "coverage": 0.01,
    "marker_lfc_correlation": 0.02,
    "marker_lfc_slope": 0.05,
    "near_duplicates": 0.01,
}
"""Least margin of each metric, for 1,000 cells and more; of fewer, times sqrt(1,000 / n).

About twice the largest difference between two draws of 682 to 1,000 real cells of the three data
sets of the study of fidelity; that of marker genes, which it has by class alone, is a guess.
"""

CELLS = 1000
"""Cells at which `MARGIN` holds."""


def judged(table: pd.DataFrame) -> pd.DataFrame:
    """Judge a table of `evaluate`.

    Parameters
    ----------
    table : DataFrame
        As `evaluate` returns it.

    Returns
    -------
    DataFrame
        The same rows and columns, and two more: "limit", the value of the metric at which the
        verdict changes, and "as_real", true or false, missing where there is no reference.
    """
    frame = pd.DataFrame(table).copy()
    ideal, value = frame["ideal"].astype(float), frame["synthetic"].astype(float)
    ends = frame[["null", "null_low", "null_high"]].astype(float)
    cells = np.sqrt(CELLS / frame["n"].clip(lower=1)).clip(lower=1)
    margin = np.fmax(
        (ends["null_high"] - ends["null_low"]).fillna(0),
        frame["figure"].map(MARGIN).fillna(0) * cells,
    )
    reach = ends.sub(ideal, axis=0).abs().max(axis=1) + margin
    side = np.where(value < ideal, -1.0, 1.0)
    limit, as_real = ideal + side * reach, (value - ideal).abs() <= reach
    ratio = frame["figure"] == "nearest_neighbour_ratio"
    limit, as_real = (
        limit.mask(ratio, ends["null_low"]),
        as_real.mask(ratio, value >= ends["null_low"]),
    )
    near = frame["figure"] == "near_duplicates"
    most = ends["null_high"].clip(lower=MEMORISATION["near_duplicates"]) + margin
    limit, as_real = limit.mask(near, most), as_real.mask(near, value <= most)
    exact = frame["figure"] == "exact_duplicates"
    most = ends["null_high"].fillna(0)
    limit, as_real = limit.mask(exact, most), as_real.mask(exact, value <= most)
    unknown = value.isna() | limit.isna()
    frame["limit"] = limit.mask(unknown)
    frame["as_real"] = as_real.astype("boolean").mask(unknown)
    return frame


def verdict_of(table: pd.DataFrame) -> tuple[str, str, str]:
    """Return three lines: what is as real cells are, what is not, and whether any was memorised.

    Parameters
    ----------
    table : DataFrame
        As `judged` returns it.

    Returns
    -------
    tuple of three str
    """
    overall = table[table["class"] == ALL]
    memory = overall["figure"].isin(MEMORISATION)
    alike = overall[~memory & overall["as_real"].notna()]
    if alike.empty:
        missing = "unknown, without further real cells to compare with (null)"
        return f"As real cells are: {missing}", "Not as real cells are: unknown", _memorised(table)
    good, bad = alike[alike["as_real"]], alike[~alike["as_real"]]
    first = f"{len(good)} of {len(alike)} metrics" + (
        f": {', '.join(good['figure'])}" if len(good) else ""
    )
    second = "; ".join(
        f"{row.figure} {row.synthetic:.3g} (real cells {row.null:.3g}, limit {row.limit:.3g})"
        for row in bad.itertuples()
    )
    return (
        f"As real cells are: {first}",
        f"Not as real cells are: {second or 'nothing that was measured'}",
        _memorised(table),
    )


def _memorised(table: pd.DataFrame) -> str:
    """Say whether training cells were copied, in all cells or in a class."""
    memory = table[table["figure"].isin(MEMORISATION) & table["synthetic"].notna()]
    if memory.empty:
        return "Memorised: not looked for, without the training cells (training)"
    known = memory[memory["as_real"].notna()]
    signs = known[~known["as_real"]]
    if signs.empty:
        overall = memory[memory["class"] == ALL]
        columns = overall["figure"], overall["synthetic"], overall["null"]
        values = ", ".join(
            f"{figure} {value:.3g}" + ("" if np.isnan(null) else f" (real cells {null:.3g})")
            for figure, value, null in zip(*columns, strict=True)
        )
        return f"Memorised: no sign of it: {values}"
    parts = [
        f"{row.figure} {row.synthetic:.3g}{'' if name == ALL else f' in {name}'} "
        f"(limit {row.limit:.3g})"
        for name, row in zip(signs["class"], signs.itertuples(), strict=True)
    ]
    return f"Memorised: there are signs of it: {'; '.join(parts)}"
