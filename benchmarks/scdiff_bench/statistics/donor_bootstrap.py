"""Bootstrap over donors: cells of one donor are not independent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scdiff_bench.statistics.confusion_counts import COUNTS, with_counts
from scdiff_bench.statistics.contrasts import Interval

Floats = NDArray[np.float64]
DRAWS = 1000


def donor_interval(
    confusion_counts: pd.DataFrame,
    strategy: Mapping[Any, str],
    reference: Mapping[Any, str],
    score: str,
    rare: Sequence[str],
    seed: int = 0,
) -> Interval | None:
    """Bootstrap the mean difference over folds by donor.

    Every draw takes as many donors as there are, with replacement, adds up their calls fold by
    fold, and scores the sums.

    Parameters
    ----------
    confusion_counts : DataFrame
        One classifier's calls, donor by donor.
    strategy, reference : mapping of int to str
        For each fold, the strategies whose difference is taken.
    score : str
        A score of calls; those of probabilities give None.
    rare : sequence of str
        Rare types.
    seed : int, default=0
        Seed of the draws.

    Returns
    -------
    Interval or None
        Percentiles at 95 %; None where the test sets have fewer than 2 donors.
    """
    donors = sorted(set(confusion_counts["donor"]) - {""})
    if score not in FROM_CALLS or len(donors) < 2:
        return None
    place = {donor: i for i, donor in enumerate(donors)}
    types = confusion_counts["types"].iloc[0]
    is_rare = np.isin(list(types), list(rare))
    weights = np.random.default_rng(seed).multinomial(
        len(donors), np.full(len(donors), 1 / len(donors)), DRAWS
    )
    counted = with_counts(confusion_counts)
    found = {
        (fold, name, donor): np.array([right, called, truth], dtype=float)
        for fold, name, donor, right, called, truth in counted[
            ["fold_index", "strategy", "donor", *COUNTS]
        ].itertuples(index=False)
    }
    differences = []
    for fold in strategy:
        both = []
        for name in (strategy[fold], reference[fold]):
            counts = np.zeros((len(donors), len(COUNTS), len(types)))
            for donor, i in place.items():
                counts[i] = found.get((fold, name, donor), 0)
            calls = np.tensordot(weights, counts, axes=1)  # (draws, counts, types)
            both.append(FROM_CALLS[score](*np.moveaxis(calls, 1, 0), is_rare))
        differences.append(both[0] - both[1])
    mean = np.nanmean(np.array(differences), axis=0)
    mean = mean[~np.isnan(mean)]
    low, high = np.percentile(mean, [2.5, 97.5])
    return Interval(float(mean.mean()), float(low), float(high), len(strategy))


def _over_types(values: Floats, truth: Floats, which: NDArray[np.bool_]) -> Floats:
    """Mean over the types that a draw has test cells of."""
    there = (truth > 0) & which
    total = there.sum(axis=1)
    return np.where(total > 0, (values * there).sum(axis=1) / np.maximum(total, 1), np.nan)


def _f1(right: Floats, called: Floats, truth: Floats) -> Floats:
    return 2 * right / np.maximum(called + truth, 1)


def _macro_f1(right: Floats, called: Floats, truth: Floats, rare: NDArray[np.bool_]) -> Floats:
    return _over_types(_f1(right, called, truth), truth, np.ones_like(rare))


def _rare_f1(right: Floats, called: Floats, truth: Floats, rare: NDArray[np.bool_]) -> Floats:
    return _over_types(_f1(right, called, truth), truth, rare)


def _majority_f1(right: Floats, called: Floats, truth: Floats, rare: NDArray[np.bool_]) -> Floats:
    return _over_types(_f1(right, called, truth), truth, ~rare)


def _recall(right: Floats, called: Floats, truth: Floats, rare: NDArray[np.bool_]) -> Floats:
    return _over_types(right / np.maximum(truth, 1), truth, np.ones_like(rare))


def _accuracy(right: Floats, called: Floats, truth: Floats, rare: NDArray[np.bool_]) -> Floats:
    total = truth.sum(axis=1)
    return np.where(total > 0, right.sum(axis=1) / np.maximum(total, 1), np.nan)


FROM_CALLS: dict[str, Any] = {
    "macro_f1": _macro_f1,
    "rare_f1": _rare_f1,
    "majority_f1": _majority_f1,
    "balanced_accuracy": _recall,
    "accuracy": _accuracy,
}
