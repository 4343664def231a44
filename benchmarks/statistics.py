"""Means over folds, and differences between strategies with corrected intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from benchmarks.scores import SCORES

BLOCK = ["dataset", "n"]


@dataclass(frozen=True)
class Interval:
    """A mean difference and its interval.

    Attributes
    ----------
    mean, low, high : float
        Difference, and the ends of the interval; NaN where there are fewer than 2 folds.
    folds : int
        Folds it is taken over.
    """

    mean: float
    low: float
    high: float
    folds: int

    @property
    def clear(self) -> bool:
        """Whether the interval leaves zero out."""
        return bool(self.low > 0 or self.high < 0)


@dataclass(frozen=True)
class Contrast:
    """One strategy against another, on one classifier.

    Attributes
    ----------
    classifier, arm, reference : str
        Who is compared; the difference is ``arm`` minus ``reference``.
    difference : Interval
        In the unit of the score.
    better : bool or None
        Whether the arm is better, None if there is no clear difference.
    """

    classifier: str
    arm: str
    reference: str
    difference: Interval
    better: bool | None


@dataclass(frozen=True)
class Verdict:
    """How the strategies compare on one classifier.

    Attributes
    ----------
    classifier, leader, trivial : str
        The strategy with the best mean, and the trivial one with the best mean.
    leader_mean, trivial_mean : float
        Their means.
    contrasts : tuple of Contrast
        Each generator against the best trivial strategy, then among generators.
    """

    classifier: str
    leader: str
    leader_mean: float
    trivial: str | None
    trivial_mean: float
    contrasts: tuple[Contrast, ...]


def corrected_interval(
    differences: ArrayLike, n_test: float, n_train: float, level: float = 0.95
) -> Interval:
    """Corrected resampled t interval of a mean difference over overlapping folds.

    The variance of the mean is ``(1/J + n_test/n_train) * s**2`` with J folds, instead of
    ``s**2 / J``, because folds share cells.

    Parameters
    ----------
    differences : array, shape (J,)
        One paired difference per fold.
    n_test, n_train : float
        Cells in a test part, and real cells in a training part.
    level : float, default=0.95
        Coverage.

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
    variance = (1 / folds + n_test / n_train) * values.var(ddof=1)
    half = float(stats.t.ppf((1 + level) / 2, folds - 1) * np.sqrt(variance))
    return Interval(mean, mean - half, mean + half, folds)


def blocks(rows: pd.DataFrame) -> list[tuple[str, int | None, pd.DataFrame]]:
    """Return the rows of each data set and n, in their order.

    Parameters
    ----------
    rows : DataFrame
        Results.

    Returns
    -------
    list of tuple
        Data set, n (None where the split sets none), rows.
    """
    found = rows.groupby(BLOCK, sort=False, dropna=False, observed=True)
    return [(str(d), None if pd.isna(n) else int(n), part) for (d, n), part in found]


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


def contrast(part: pd.DataFrame, classifier: str, arm: str, reference: str, score: str) -> Contrast:
    """Compare two strategies on the folds that both have.

    Parameters
    ----------
    part : DataFrame
        Results of one data set and n.
    classifier, arm, reference, score : str
        What to compare.

    Returns
    -------
    Contrast
        ``arm`` minus ``reference``.
    """
    done = part[(part["classifier"] == classifier) & (part["status"] == "ok")]
    wide = done.pivot(index="fold_index", columns="strategy", values=score)
    pair = wide.reindex(columns=[arm, reference]).dropna()
    interval = corrected_interval(
        pair[arm] - pair[reference], float(done["n_test"].mean()), float(done["n_train"].mean())
    )
    gain = interval.mean if SCORES[score].higher_is_better else -interval.mean
    return Contrast(classifier, arm, reference, interval, gain > 0 if interval.clear else None)


def verdicts(part: pd.DataFrame, score: str, trivial: Sequence[str]) -> list[Verdict]:
    """Return one verdict per classifier.

    The best trivial strategy is the one with the best mean over the folds that every strategy
    finished, which favours it a little over the strategies that it is compared with.

    Parameters
    ----------
    part : DataFrame
        Results of one data set and n.
    score : str
        The score to judge by.
    trivial : sequence of str
        Labels of the trivial strategies.

    Returns
    -------
    list of Verdict
        In the order of the rows; classifiers without any result are left out.
    """
    sign = 1 if SCORES[score].higher_is_better else -1
    found = []
    for classifier, mine in part.groupby("classifier", sort=False, observed=True):
        done = mine[mine["status"] == "ok"]
        wide = done.pivot(index="fold_index", columns="strategy", values=score)
        means = wide.reindex(columns=done["strategy"].unique()).dropna().mean().dropna()
        if means.empty:
            continue
        leader = str((sign * means).idxmax())
        bar = means[means.index.isin(trivial)]
        best = str((sign * bar).idxmax()) if len(bar) else None
        makers = [str(s) for s in means.index if s not in trivial]
        pairs = [(arm, best) for arm in reversed(makers) if best is not None]
        pairs += [(b, a) for i, a in enumerate(makers) for b in makers[i + 1 :]]
        found.append(
            Verdict(
                str(classifier),
                leader,
                float(means[leader]),
                best,
                float(means[best]) if best is not None else float("nan"),
                tuple(contrast(part, str(classifier), a, b, score) for a, b in pairs),
            )
        )
    return found


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
    table = pd.DataFrame(
        {
            "cells_made": found["n_synthetic"].median().astype(float),
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
    return table.reset_index()
