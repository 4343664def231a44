"""Means over folds, costs, and corrected intervals of differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

BLOCK = ["dataset", "rare_set", "n"]

MOST_SHARED = 0.25
"""Largest share of a draw's variance that is taken to be common to all draws of a data set.

Nadeau and Bengio's ``n_test / n_train`` is 1 where half of the cells are tested, and the interval
then covers the truth in 99 or 100 of 100 simulated data sets, at 1.6 times the width. Where few
training cells are drawn anew each time, they are most of the variance: what the draws of a data set
have in common was .05 to .22 in sixteen simulated comparisons, and with .25 intervals covered .93
to 1.00 of the truths, .97 on average (``docs/measure_coverage.py``).
"""


@dataclass(frozen=True)
class Interval:
    """A mean difference and its interval.

    Attributes
    ----------
    mean, low, high : float
        Difference, and the ends of the interval; NaN where there are fewer than 2 folds, or all
        folds differ by the same.
    folds : int
        Folds it is taken over.
    """

    mean: float
    low: float
    high: float
    folds: int

    @property
    def clear(self) -> bool:
        """Whether the interval excludes zero."""
        return bool(self.low > 0 or self.high < 0)


def corrected_interval(
    differences: ArrayLike,
    n_test: float,
    n_train: float,
    level: float = 0.95,
    *,
    subsampled: bool = False,
) -> Interval:
    """Corrected resampled t interval of a mean difference over overlapping folds.

    The variance of the mean is ``(1/J + shared) * s**2`` with J folds, instead of ``s**2 / J``,
    because folds share cells; ``shared`` is ``n_test/n_train``, and at most `MOST_SHARED` where
    the training cells are few that are drawn anew in each fold.

    Parameters
    ----------
    differences : array, shape (J,)
        One paired difference per fold.
    n_test, n_train : float
        Cells in a test set, and cells outside it.
    level : float, default=0.95
        Coverage.
    subsampled : bool, default=False
        Whether each fold trains on a part of the cells outside its test set.

    Returns
    -------
    Interval
        Symmetric about the mean.

    References
    ----------
    Nadeau and Bengio (2003), Inference for the generalization error, Machine Learning 52.
    """
    values = np.asarray(differences, dtype=float)
    folds, mean = len(values), float(values.mean()) if len(values) else float("nan")
    if folds < 2:
        return Interval(mean, float("nan"), float("nan"), folds)
    if np.ptp(values) < 1e-12 and mean:  # few folds of few cells agree by chance, not by rule
        return Interval(mean, float("nan"), float("nan"), folds)
    variance = variance_of_mean(values, n_test, n_train, subsampled=subsampled)
    half = float(stats.t.ppf((1 + level) / 2, folds - 1) * np.sqrt(variance))
    return Interval(mean, mean - half, mean + half, folds)


def variance_of_mean(
    values: ArrayLike, n_test: float, n_train: float, *, subsampled: bool = False
) -> float:
    """Return the variance of a mean over folds that share cells, as `corrected_interval` has it."""
    values = np.asarray(values, dtype=float)
    shared = n_test / n_train
    if subsampled:
        shared = min(shared, MOST_SHARED)
    return float((1 / len(values) + shared) * values.var(ddof=1))


def pool_of(rows: pd.DataFrame) -> pd.Series:
    """Return how many cells lie outside each row's test set, of which it may train on a part."""
    return rows["n_pool"] if "n_pool" in rows else rows["n_train"]


@dataclass(frozen=True)
class Block:
    """Rows that may be compared: one data set, set of rare types and n.

    Attributes
    ----------
    dataset, rare_set : str
        Data set; the set of rare types, empty where the split has one.
    n : int or None
        Training cells of each rare type, where the split sets it.
    rows : DataFrame
        Its rows.
    """

    dataset: str
    rare_set: str
    n: int | None
    rows: pd.DataFrame

    @property
    def title(self) -> str:
        """Headline of the block."""
        parts = [self.dataset, self.rare_set]
        parts += [f"{self.n} training cells per rare type"] if self.n is not None else []
        return ", ".join(filter(None, parts))

    @property
    def stem(self) -> str:
        """Name for its files."""
        plain = "".join(c if c.isalnum() else "-" for c in self.rare_set)
        return "_".join(filter(None, [self.dataset, plain, f"n{self.n}" if self.n else ""]))

    def of(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of another table that belong to the block.

        Parameters
        ----------
        frame : DataFrame
            With the same columns for data set, set and n.

        Returns
        -------
        DataFrame
            A part of it.
        """
        if frame.empty:
            return frame
        same_n = frame["n"].isna() if self.n is None else frame["n"] == self.n
        same = (frame["dataset"] == self.dataset) & (frame["rare_set"] == self.rare_set)
        return frame[same & same_n.fillna(False)]


def blocks(rows: pd.DataFrame) -> list[Block]:
    """Return the rows of each data set, set of rare types and n, in their order."""
    found = rows.groupby(BLOCK, sort=False, dropna=False, observed=True)
    return [
        Block(str(d), str(s), None if pd.isna(n) else int(n), part) for (d, s, n), part in found
    ]


def summarise(rows: pd.DataFrame, scores: Sequence[str]) -> pd.DataFrame:
    """Return mean and standard deviation over folds.

    Parameters
    ----------
    rows : DataFrame
        Results.
    scores : sequence of str
        Names of scores.

    Returns
    -------
    DataFrame
        One line per data set, n, strategy and classifier; ``<score>`` and ``<score>_sd``.
    """
    keys = [*BLOCK, "strategy", "classifier"]
    done = rows[rows["status"] == "ok"]
    table = rows.groupby(keys, sort=False, dropna=False).size().rename("folds").to_frame()
    ok = done.groupby(keys, sort=False, dropna=False)
    table["folds_ok"] = ok.size().reindex(table.index, fill_value=0)
    for name in scores:
        table[name] = ok[name].mean()
        table[f"{name}_sd"] = ok[name].std(ddof=1)
    return table.reset_index()


def costs(rows: pd.DataFrame) -> pd.DataFrame:
    """Return what each strategy costs: median and largest over folds.

    Parameters
    ----------
    rows : DataFrame
        Results.

    Returns
    -------
    DataFrame
        One line per data set, n and strategy.
    """
    units = rows.drop_duplicates(["unit", "strategy"]).dropna(subset=["seconds_resample"])
    found = units.groupby([*BLOCK, "strategy"], sort=False, dropna=False, observed=True)
    fits = rows.groupby([*BLOCK, "strategy"], sort=False, dropna=False, observed=True)
    table = pd.DataFrame(
        {
            "cells_made": found["n_synthetic"].median().astype(float),
            "detector_auc": found["detector_auc"].mean(),
            "seconds": found["seconds_resample"].median(),
            "seconds_max": found["seconds_resample"].max(),
            "cpu_seconds": found["cpu_seconds_resample"].median(),
            "cpu_seconds_max": found["cpu_seconds_resample"].max(),
            "peak_mb": found["peak_memory_mb"].median(),
            "peak_mb_max": found["peak_memory_mb"].max(),
            "added_mb": found["added_memory_mb"].median(),
            "added_mb_max": found["added_memory_mb"].max(),
        }
    )
    table["seconds_fit"] = fits["seconds_fit"].median()
    return table.reset_index()
