"""When an arm is worth choosing: its lead over the bar, by classifier, n and separation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from benchmarks.statistics import Interval, blocks
from benchmarks.verdicts import BEST_TRIVIAL, Contrast, verdicts

FEW = 20
"""Training cells of a type up to which they are called few."""

ROPE = 0.01
"""What is lost below this is called a draw."""


@dataclass(frozen=True)
class Lead:
    """A mean lead over several comparisons.

    Attributes
    ----------
    classifier : str
    difference : Interval
        Mean over data sets of means over their comparisons; ``folds`` counts the comparisons.
    gap_closed : float
        Share of the way from the bar to the oracle, of sums over the comparisons.
    """

    classifier: str
    difference: Interval
    gap_closed: float

    @property
    def word(self) -> str:
        """Return "better", "worse", "behind", "level" or "ahead"."""
        if self.difference.clear:
            return "better" if self.difference.mean > 0 else "worse"
        if self.difference.mean < -ROPE:
            return "behind"
        return "ahead" if self.difference.mean > ROPE else "level"


def leads(
    rows: pd.DataFrame, arm: str, trivial: Sequence[str], controls: Sequence[str], score: str
) -> pd.DataFrame:
    """Return an arm's lead over the best trivial arm and over every other arm that learns a model.

    Parameters
    ----------
    rows : DataFrame
        Results of one or several studies.
    arm : str
        Who is judged.
    trivial, controls : sequence of str
        Labels of the trivial arms and of the controls.
    score : str
        By what; higher is better.

    Returns
    -------
    DataFrame
        One row per data set, set of rare types, n, classifier and reference: ``lead`` (mean),
        ``variance`` of that mean with the corrected resampled t, ``freedom``, ``gap`` to the oracle
        of the reference, ``separation`` and ``folds``.
    """
    found = []
    for block in blocks(rows):
        where = {"dataset": block.dataset, "rare_set": block.rare_set, "n": block.n}
        separation = float(block.rows["separation"].mean())
        for verdict in verdicts(block.rows, score, trivial, controls):
            for contrast in verdict.contrasts:
                turned = _as_lead_of(arm, contrast)
                if turned is None:
                    continue
                reference, sign = turned
                interval = contrast.difference
                bar = verdict.trivial_mean
                found.append(
                    {
                        **where,
                        "separation": separation,
                        "classifier": verdict.classifier,
                        "reference": reference,
                        "lead": sign * interval.mean,
                        "variance": _variance(interval),
                        "freedom": interval.folds - 1,
                        "folds": interval.folds,
                        "gap": verdict.oracle_mean - bar if reference == BEST_TRIVIAL else np.nan,
                    }
                )
    return pd.DataFrame(found)


def _as_lead_of(arm: str, contrast: Contrast) -> tuple[str, int] | None:
    """Return whom the arm is compared with, and the sign of its lead."""
    if contrast.arm == arm:
        return contrast.reference, 1
    return (contrast.arm, -1) if contrast.reference == arm else None


def _variance(interval: Interval) -> float:
    if np.isnan(interval.low):
        return float("nan")
    reach = (interval.high - interval.low) / 2
    return float((reach / stats.t.ppf(0.975, interval.folds - 1)) ** 2)


def pooled(table: pd.DataFrame) -> Interval:
    """Return the mean lead over comparisons, every data set with the same weight.

    The variance is the sum of the comparisons' own, squared weights on them, and its degrees of
    freedom are those of [1]_. Comparisons of one data set share test cells, so the interval holds
    for these data sets, not for others.

    Parameters
    ----------
    table : DataFrame
        Rows of `leads`.

    Returns
    -------
    Interval
        Without ends where a comparison has one fold.

    References
    ----------
    .. [1] Satterthwaite 1946, An approximate distribution of estimates of variance components,
       Biometrics Bulletin 2(6), 110-114.
    """
    if table.empty:
        return Interval(float("nan"), float("nan"), float("nan"), 0)
    sizes = table.groupby("dataset", observed=True)["lead"].transform("size")
    weight = (1 / sizes / table["dataset"].nunique()).to_numpy()
    mean = float((weight * table["lead"]).sum())
    parts = weight**2 * table["variance"].to_numpy()
    total = float(parts.sum())
    if np.isnan(total) or total == 0:
        return Interval(mean, float("nan"), float("nan"), len(table))
    freedom = total**2 / float((parts**2 / table["freedom"]).sum())
    reach = float(stats.t.ppf(0.975, freedom) * np.sqrt(total))
    return Interval(mean, mean - reach, mean + reach, len(table))


def by_n(table: pd.DataFrame, reference: str) -> dict[str, dict[int, Lead]]:
    """Return the leads over a reference, per classifier and number of training cells.

    Parameters
    ----------
    table : DataFrame
        What `leads` returned.
    reference : str
        Over whom.

    Returns
    -------
    dict of str to dict of int to Lead
        In the order of the rows.
    """
    mine = table[table["reference"] == reference]
    return {
        str(c): {int(n): _lead(str(c), p) for n, p in part.groupby("n")}
        for c, part in mine.groupby("classifier", sort=False, observed=True)
    }


def with_few(table: pd.DataFrame, reference: str) -> dict[str, Lead]:
    """Return the lead over a reference with few training cells of a type, per classifier."""
    few = table[(table["reference"] == reference) & (table["n"] <= FEW)]
    return {
        str(c): _lead(str(c), part)
        for c, part in few.groupby("classifier", sort=False, observed=True)
    }


def _lead(classifier: str, part: pd.DataFrame) -> Lead:
    gaps = part["gap"].sum()
    closed = float(part["lead"].sum() / gaps) if gaps > ROPE * len(part) else float("nan")
    return Lead(classifier, pooled(part), closed)


def by_separation(table: pd.DataFrame) -> pd.DataFrame:
    """Return the mean lead over the best trivial arm for each set of rare types.

    Parameters
    ----------
    table : DataFrame
        What `leads` returned.

    Returns
    -------
    DataFrame
        One row per data set and set, the least separate first: ``separation``, and a column per
        n with the mean over classifiers.
    """
    mine = table[table["reference"] == BEST_TRIVIAL]
    keys = ["dataset", "rare_set"]
    wide = mine.pivot_table(index=keys, columns="n", values="lead", observed=True)
    wide.insert(0, "separation", mine.groupby(keys, observed=True)["separation"].mean())
    return wide.sort_values("separation").reset_index()


def wilcoxon(table: pd.DataFrame, reference: str) -> float:
    """Return the p-value that the median lead over all comparisons is not 0, NaN below six.

    Each comparison's lead is averaged over classifiers first: they share folds and cells.
    """
    mine = table[table["reference"] == reference]
    means = mine.groupby(["dataset", "rare_set", "n"], observed=True)["lead"].mean()
    return float(stats.wilcoxon(means).pvalue) if len(means) > 5 else float("nan")
