"""Ranks across blocks: Friedman's test, Nemenyi's pairs, critical difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scikit_posthocs
from scdiff_bench.evaluation.scores import SCORES
from scipy import stats

LEAST_BLOCKS, LEAST_ARMS = 3, 3


@dataclass(frozen=True)
class Ranks:
    """Mean ranks of strategies over blocks.

    Attributes
    ----------
    means : Series
        Mean rank per strategy, 1 is best, ascending.
    p_value : float
        Friedman's: that all strategies are alike.
    pairs : DataFrame
        Nemenyi's p-values.
    critical : float
        Mean ranks closer than this do not differ significantly at 5 %.
    blocks : int
        How many blocks.
    """

    means: pd.Series
    p_value: float
    pairs: pd.DataFrame
    critical: float
    blocks: int


def ranks(
    rows: pd.DataFrame, classifier: str, score: str, strategies: Sequence[str]
) -> Ranks | None:
    """Rank strategies within each block and test the ranks.

    Parameters
    ----------
    rows : DataFrame
        Results of one study or several.
    classifier, score : str
        What to rank by.
    strategies : sequence of str
        Strategies that take part; those that a block lacks are left out.

    Returns
    -------
    Ranks or None
        None where there are fewer than 3 blocks or 3 strategies.

    References
    ----------
    Demsar (2006), Statistical comparisons of classifiers over multiple data sets, JMLR 7.
    """
    done = rows[(rows["classifier"] == classifier) & (rows["status"] == "ok")]
    done = done[done["strategy"].isin(strategies)]
    if done.empty:
        return None
    sizes = done["n"].astype("Int64").astype("string").fillna("")  # a missing n is a block too
    keys = [done["dataset"], done["rare_set"], sizes.rename("n")]
    means = done.groupby([*keys, "strategy"], sort=False)[score].mean().unstack("strategy")
    means = means.dropna(axis=1)
    if len(means) < LEAST_BLOCKS or means.shape[1] < LEAST_ARMS:
        return None
    sign = -1 if SCORES[score].higher_is_better else 1
    ranked = (sign * means).rank(axis=1)
    if (ranked.nunique(axis=1) == 1).all():
        return None  # every strategy is every other strategy
    test = stats.friedmanchisquare(*means.to_numpy().T)
    pairs = scikit_posthocs.posthoc_nemenyi_friedman(ranked.reset_index(drop=True))
    k = means.shape[1]
    q = stats.studentized_range.ppf(0.95, k, np.inf) / np.sqrt(2)
    return Ranks(
        ranked.mean().sort_values(),
        float(test.pvalue),
        pairs,
        float(q * np.sqrt(k * (k + 1) / (6 * len(means)))),
        len(means),
    )
