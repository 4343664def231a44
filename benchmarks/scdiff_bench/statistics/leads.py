"""When a strategy is worth choosing: its lead by classifier, training cells and separation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scdiff_bench.statistics.comparisons import BEST_BASELINE, ROPE, Contrast, comparisons
from scdiff_bench.statistics.contrasts import Interval, blocks
from scipy import stats

FEW = 20
"""Training cells of a type up to which they are called few."""


@dataclass(frozen=True)
class Lead:
    """A mean lead over several comparisons.

    Attributes
    ----------
    classifier : str
    difference : Interval
        Mean over data sets of means over their comparisons; ``folds`` counts the comparisons.
    gap_recovered : float
        Fraction of the gap to the oracle recovered, lead and gap averaged alike.
    """

    classifier: str
    difference: Interval
    gap_recovered: float

    @property
    def word(self) -> str:
        """Return "better", "worse", "behind", "level" or "ahead"."""
        if self.difference.clear:
            return "better" if self.difference.mean > 0 else "worse"
        if self.difference.mean < -ROPE:
            return "behind"
        return "ahead" if self.difference.mean > ROPE else "level"


def leads(
    rows: pd.DataFrame, strategy: str, baselines: Sequence[str], controls: Sequence[str], score: str
) -> pd.DataFrame:
    """Return a strategy's lead over the best baseline and over every other generative method.

    Parameters
    ----------
    rows : DataFrame
        Results of one or several studies.
    strategy : str
        The strategy whose lead it is.
    baselines, controls : sequence of str
        Labels of the baselines and of the controls.
    score : str
        Score to compare by; higher is better.

    Returns
    -------
    DataFrame
        One row per data set, set of rare types, n, classifier and reference: ``lead`` (mean),
        ``variance`` of that mean with the corrected resampled t, ``freedom``, ``gap`` to the oracle
        of the reference, ``separation`` and ``folds``. Comparisons of one fold are left out: their
        lead has no interval.

    Raises
    ------
    ValueError
        If the rows lack the score or the separation.
    """
    for name in (score, "separation"):
        if name not in rows or rows[name].isna().all():
            raise ValueError(
                f"The studies have no {name!r} in their rows: they were computed by an earlier "
                "version, or without that score. Run them again: scdiff-bench run CONFIG"
            )
    found = []
    for block in blocks(rows):
        where = {"dataset": block.dataset, "rare_set": block.rare_set, "n": block.n}
        separation = float(block.rows["separation"].mean())
        for comparison in comparisons(block.rows, score, baselines, controls):
            for contrast in comparison.contrasts:
                turned = _as_lead_of(strategy, contrast)
                if turned is None or contrast.difference.folds < 2:
                    continue
                reference, sign = turned
                interval = contrast.difference
                found.append(
                    {
                        **where,
                        "separation": separation,
                        "classifier": comparison.classifier,
                        "reference": reference,
                        "lead": sign * interval.mean,
                        "variance": _variance(interval),
                        "freedom": interval.folds - 1,
                        "folds": interval.folds,
                        "gap": comparison.oracle_mean - comparison.baseline_mean
                        if reference == BEST_BASELINE
                        else np.nan,
                    }
                )
    return pd.DataFrame(found)


def _as_lead_of(strategy: str, contrast: Contrast) -> tuple[str, int] | None:
    """Return whom the strategy is compared with, and the sign of its lead."""
    if contrast.strategy == strategy:
        return contrast.reference, 1
    return (contrast.strategy, -1) if contrast.reference == strategy else None


def _variance(interval: Interval) -> float:
    if np.isnan(interval.low):  # all folds differ by the same
        return 0.0
    reach = (interval.high - interval.low) / 2
    return float((reach / stats.t.ppf(0.975, interval.folds - 1)) ** 2)


def pooled(table: pd.DataFrame, value: str = "lead") -> Interval:
    """Return the mean lead over comparisons, every data set with the same weight.

    Comparisons of one data set have the same test cells, so their variances do not average out:
    that of a data set is the mean of its comparisons', as if they were one. Data sets are
    independent: their variances add up, with the degrees of freedom of [1]_.

    Parameters
    ----------
    table : DataFrame
        Rows of `leads`.
    value : str, default="lead"
        Which column to average.

    Returns
    -------
    Interval
        Its ``folds`` are the comparisons.

    References
    ----------
    .. [1] Satterthwaite 1946, An approximate distribution of estimates of variance components,
       Biometrics Bulletin 2(6), 110-114.
    """
    if table.empty:
        return Interval(float("nan"), float("nan"), float("nan"), 0)
    sets = table.groupby("dataset", observed=True)[[value, "variance", "freedom"]].mean()
    mean = float(sets[value].mean())
    parts = sets["variance"] / len(sets) ** 2
    total = float(parts.sum())
    if total == 0:
        return Interval(mean, float("nan"), float("nan"), len(table))
    freedom = total**2 / float((parts**2 / sets["freedom"]).sum())
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
    lead, gap = pooled(part), pooled(part, "gap").mean
    return Lead(classifier, lead, lead.mean / gap if gap > ROPE else float("nan"))


def by_separation(table: pd.DataFrame) -> pd.DataFrame:
    """Return the mean lead over the best baseline for each set of rare types.

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
    mine = table[table["reference"] == BEST_BASELINE]
    keys = ["dataset", "rare_set"]
    wide = mine.pivot_table(index=keys, columns="n", values="lead", observed=True)
    wide.insert(0, "separation", mine.groupby(keys, observed=True)["separation"].mean())
    return wide.sort_values("separation").reset_index()
