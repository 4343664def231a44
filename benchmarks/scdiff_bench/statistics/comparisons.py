"""Comparisons of strategies with the best baseline, chosen on other folds than it is scored on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scdiff_bench.evaluation.scores import SCORES
from scdiff_bench.statistics.bayes import Rope, rope_probabilities
from scdiff_bench.statistics.contrasts import Interval, corrected_interval, pool_of
from scdiff_bench.statistics.donor_bootstrap import donor_interval

BEST_BASELINE = "best baseline"
ROPE = 0.01
"""Differences below this are called practically equivalent."""


@dataclass(frozen=True)
class Contrast:
    """One strategy against another, on one classifier.

    Attributes
    ----------
    classifier, strategy, reference : str
        Who is compared; the difference is ``strategy`` minus ``reference``.
    difference : Interval
        In the unit of the score; corrected resampled t.
    better : bool or None
        Whether the strategy is better, None if there is no clear difference.
    rope : Rope
        Probabilities that it is worse, practically the same, or better.
    gap_recovered : float
        Fraction of the gap to the oracle recovered; NaN where there is no gap.
    donors : Interval or None
        Bootstrap over donors, where test cells have donors.
    """

    classifier: str
    strategy: str
    reference: str
    difference: Interval
    better: bool | None
    rope: Rope
    gap_recovered: float = float("nan")
    donors: Interval | None = None


@dataclass(frozen=True)
class Comparison:
    """How the strategies compare, on one classifier and one block.

    Attributes
    ----------
    classifier, leader, baseline : str
        The strategy with the best mean, and the baseline that most folds chose as the best.
    leader_mean, baseline_mean : float
        Mean of the leader; mean of the best baseline, chosen out of fold.
    oracle_mean : float
        Mean of the oracle, NaN where there is none.
    contrasts : tuple of Contrast
        Each generative method against the best baseline, then among generative methods.
    """

    classifier: str
    leader: str
    leader_mean: float
    baseline: str | None
    baseline_mean: float
    contrasts: tuple[Contrast, ...]
    oracle_mean: float = float("nan")


def out_of_fold_best(wide: pd.DataFrame, sign: int) -> pd.Series:
    """Return for each fold the strategy that is best on the other folds.

    Choosing on the fold itself would take the luckiest baseline and raise its mean by its luck.

    Parameters
    ----------
    wide : DataFrame
        Scores, folds x strategies, complete.
    sign : {1, -1}
        1 where higher is better.

    Returns
    -------
    Series of str
        Strategy per fold; with one fold alone there is nothing else to choose on.
    """
    if len(wide) == 1:
        return (sign * wide).idxmax(axis=1)
    others = (wide.sum() - wide) / (len(wide) - 1)
    return (sign * others).idxmax(axis=1)


def comparisons(
    part: pd.DataFrame,
    score: str,
    baselines: Sequence[str],
    controls: Sequence[str] = (),
    confusion_counts: pd.DataFrame | None = None,
) -> list[Comparison]:
    """Return one comparison per classifier.

    Parameters
    ----------
    part : DataFrame
        Results of one block.
    score : str
        The score to compare by.
    baselines, controls : sequence of str
        Labels of the baselines and of the controls.
    confusion_counts : DataFrame, optional
        Calls counted against true types, donor by donor.

    Returns
    -------
    list of Comparison
        In the order of the rows; classifiers without any result are left out.
    """
    sign = 1 if SCORES[score].higher_is_better else -1
    found = []
    for classifier, mine in part.groupby("classifier", sort=False, observed=True):
        done = mine[mine["status"] == "ok"]
        wide = done.pivot(index="fold_index", columns="strategy", values=score)
        wide = wide.reindex(columns=done["strategy"].unique()).dropna(axis=1, how="all")
        wide = wide[[s for s in wide if s not in controls or s == "oracle"]].dropna()
        strategies = [str(s) for s in wide.columns if s not in controls]
        if wide.empty or not strategies:
            continue
        there = [s for s in strategies if s in baselines]
        chosen = out_of_fold_best(wide[there], sign) if there else None
        if chosen is not None:
            wide[BEST_BASELINE] = [wide.loc[i, strategy] for i, strategy in chosen.items()]
        means = wide.mean()
        leader = str((sign * means[strategies]).idxmax())
        generative = [s for s in strategies if s not in baselines]
        pairs = [(strategy, BEST_BASELINE) for strategy in reversed(generative) if there]
        plain = [s for s in generative if not s.endswith("_thresholds")]
        pairs += [(b, a) for i, a in enumerate(plain) for b in plain[i + 1 :]]
        context = _Context(str(classifier), score, wide, done, chosen, confusion_counts)
        found.append(
            Comparison(
                str(classifier),
                leader,
                float(means[leader]),
                str(chosen.mode().iloc[0]) if chosen is not None else None,
                float(means.get(BEST_BASELINE, np.nan)),
                tuple(_contrast(context, strategy, reference) for strategy, reference in pairs),
                float(means.get("oracle", np.nan)),
            )
        )
    return found


@dataclass(frozen=True)
class _Context:
    classifier: str
    score: str
    wide: pd.DataFrame
    done: pd.DataFrame
    chosen: pd.Series | None
    confusion_counts: pd.DataFrame | None


def _contrast(context: _Context, strategy: str, reference: str) -> Contrast:
    """Compare two columns on the folds that all strategies have."""
    wide, done, score = context.wide, context.done, context.score
    n_test, n_train = float(done["n_test"].mean()), float(pool_of(done).mean())
    subsampled = bool(done["n_train"].mean() < n_train)
    difference = wide[strategy] - wide[reference]
    interval = corrected_interval(difference, n_test, n_train, subsampled=subsampled)
    sign = 1 if SCORES[score].higher_is_better else -1
    donors = None
    if context.confusion_counts is not None and len(context.confusion_counts):
        names = {i: reference for i in wide.index}
        if reference == BEST_BASELINE and context.chosen is not None:
            names = {i: str(a) for i, a in context.chosen.items()}
        mine = context.confusion_counts[
            context.confusion_counts["classifier"] == context.classifier
        ]
        rare = list(done["rare"].iloc[0]) if "rare" in done else []
        donors = donor_interval(mine, dict.fromkeys(wide.index, strategy), names, score, rare)
    return Contrast(
        context.classifier,
        strategy,
        reference,
        interval,
        sign * interval.mean > 0 if interval.clear else None,
        rope_probabilities(sign * difference, n_test, n_train, ROPE, subsampled=subsampled),
        gap_recovered(wide, strategy, sign) if reference == BEST_BASELINE else float("nan"),
        donors,
    )


def gap_recovered(wide: pd.DataFrame, strategy: str, sign: int = 1) -> float:
    """Return (strategy - best baseline) / (oracle - best baseline), of means over folds.

    Parameters
    ----------
    wide : DataFrame
        Scores, folds x strategies, with the best baseline and the oracle among them.
    strategy : str
        Which strategy.
    sign : int, default=1
        -1 where less is better.

    Returns
    -------
    float
        1 where the strategy is worth as much as real cells; NaN where there is no gap: the oracle
        is not better than the best baseline by the region of practical equivalence, as where no
        real cells were held out for it.
    """
    if "oracle" not in wide:
        return float("nan")
    means = wide[[strategy, BEST_BASELINE, "oracle"]].mean()
    gap = means["oracle"] - means[BEST_BASELINE]
    if sign * gap < ROPE:
        return float("nan")
    return float((means[strategy] - means[BEST_BASELINE]) / gap)
