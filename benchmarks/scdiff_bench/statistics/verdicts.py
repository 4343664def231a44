"""Who leads, against a bar that was chosen on other folds than it is judged on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scdiff_bench.evaluation.scores import SCORES
from scdiff_bench.statistics.bayes import Rope, rope_probabilities
from scdiff_bench.statistics.contrasts import Interval, corrected_interval
from scdiff_bench.statistics.donor_bootstrap import donor_interval

BEST_TRIVIAL = "best trivial"
ROPE = 0.01
"""Differences below this are called practically equivalent."""


@dataclass(frozen=True)
class Contrast:
    """One strategy against another, on one classifier.

    Attributes
    ----------
    classifier, arm, reference : str
        Who is compared; the difference is ``arm`` minus ``reference``.
    difference : Interval
        In the unit of the score; corrected resampled t.
    better : bool or None
        Whether the arm is better, None if there is no clear difference.
    rope : Rope
        Probabilities that it is worse, practically the same, or better.
    gap_closed : float
        How much of the way from the best trivial arm to the oracle; NaN where there is no way.
    donors : Interval or None
        The difference with donors drawn anew, where test cells have donors.
    """

    classifier: str
    arm: str
    reference: str
    difference: Interval
    better: bool | None
    rope: Rope
    gap_closed: float = float("nan")
    donors: Interval | None = None


@dataclass(frozen=True)
class Verdict:
    """How the strategies compare on one classifier.

    Attributes
    ----------
    classifier, leader, trivial : str
        The strategy with the best mean, and the trivial one that most folds chose as the best.
    leader_mean, trivial_mean : float
        Mean of the leader; mean of the best trivial arm, chosen out of fold.
    oracle_mean : float
        Mean of the oracle, NaN where there is none.
    contrasts : tuple of Contrast
        Each generator against the best trivial arm, then among generators.
    """

    classifier: str
    leader: str
    leader_mean: float
    trivial: str | None
    trivial_mean: float
    contrasts: tuple[Contrast, ...]
    oracle_mean: float = float("nan")


def out_of_fold_best(wide: pd.DataFrame, sign: int) -> pd.Series:
    """Return for each fold the arm that is best on the other folds.

    Choosing on the fold itself would take the luckiest arm and raise the bar by its luck.

    Parameters
    ----------
    wide : DataFrame
        Scores, folds x arms, complete.
    sign : {1, -1}
        1 where higher is better.

    Returns
    -------
    Series of str
        Arm per fold; with one fold alone there is nothing else to choose on.
    """
    if len(wide) == 1:
        return (sign * wide).idxmax(axis=1)
    others = (wide.sum() - wide) / (len(wide) - 1)
    return (sign * others).idxmax(axis=1)


def verdicts(
    part: pd.DataFrame,
    score: str,
    trivial: Sequence[str],
    controls: Sequence[str] = (),
    tallies: pd.DataFrame | None = None,
) -> list[Verdict]:
    """Return one verdict per classifier.

    Parameters
    ----------
    part : DataFrame
        Results of one block.
    score : str
        The score to judge by.
    trivial, controls : sequence of str
        Labels of the trivial arms and of the controls.
    tallies : DataFrame, optional
        Calls against true types, donor by donor.

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
        wide = wide.reindex(columns=done["strategy"].unique()).dropna(axis=1, how="all")
        wide = wide[[s for s in wide if s not in controls or s == "oracle"]].dropna()
        arms = [str(s) for s in wide.columns if s not in controls]
        if wide.empty or not arms:
            continue
        bar = [s for s in arms if s in trivial]
        chosen = out_of_fold_best(wide[bar], sign) if bar else None
        if chosen is not None:
            wide[BEST_TRIVIAL] = [wide.loc[i, arm] for i, arm in chosen.items()]
        means = wide.mean()
        leader = str((sign * means[arms]).idxmax())
        makers = [s for s in arms if s not in trivial]
        pairs = [(arm, BEST_TRIVIAL) for arm in reversed(makers) if bar]
        plain = [s for s in makers if not s.endswith("_thresholds")]
        pairs += [(b, a) for i, a in enumerate(plain) for b in plain[i + 1 :]]
        context = _Context(str(classifier), score, wide, done, chosen, tallies)
        found.append(
            Verdict(
                str(classifier),
                leader,
                float(means[leader]),
                str(chosen.mode().iloc[0]) if chosen is not None else None,
                float(means.get(BEST_TRIVIAL, np.nan)),
                tuple(_contrast(context, arm, reference) for arm, reference in pairs),
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
    tallies: pd.DataFrame | None


def _contrast(context: _Context, arm: str, reference: str) -> Contrast:
    """Compare two columns on the folds that all arms have."""
    wide, done, score = context.wide, context.done, context.score
    # Cutting types is part of what is judged: it starts from all cells outside the test part.
    pool = done["n_pool"] if "n_pool" in done else done["n_train"]
    n_test, n_train = float(done["n_test"].mean()), float(pool.mean())
    difference = wide[arm] - wide[reference]
    interval = corrected_interval(difference, n_test, n_train)
    sign = 1 if SCORES[score].higher_is_better else -1
    donors = None
    if context.tallies is not None and len(context.tallies):
        names = {i: reference for i in wide.index}
        if reference == BEST_TRIVIAL and context.chosen is not None:
            names = {i: str(a) for i, a in context.chosen.items()}
        mine = context.tallies[context.tallies["classifier"] == context.classifier]
        rare = list(done["rare"].iloc[0]) if "rare" in done else []
        donors = donor_interval(mine, dict.fromkeys(wide.index, arm), names, score, rare)
    return Contrast(
        context.classifier,
        arm,
        reference,
        interval,
        sign * interval.mean > 0 if interval.clear else None,
        rope_probabilities(sign * difference, n_test, n_train, ROPE),
        gap_closed(wide, arm, sign) if reference == BEST_TRIVIAL else float("nan"),
        donors,
    )


def gap_closed(wide: pd.DataFrame, arm: str, sign: int = 1) -> float:
    """Return (arm - best trivial) / (oracle - best trivial), of means over folds.

    Parameters
    ----------
    wide : DataFrame
        Scores, folds x arms, with the best trivial arm and the oracle among them.
    arm : str
        Which arm.
    sign : int, default=1
        -1 where less is better.

    Returns
    -------
    float
        1 where the arm is worth as much as real cells; NaN where there is no gap: the oracle is
        not better than the best trivial arm by the region of practical equivalence, as where no
        real cells were set aside for it.
    """
    if "oracle" not in wide:
        return float("nan")
    means = wide[[arm, BEST_TRIVIAL, "oracle"]].mean()
    gap = means["oracle"] - means[BEST_TRIVIAL]
    if sign * gap < ROPE:
        return float("nan")
    return float((means[arm] - means[BEST_TRIVIAL]) / gap)
