"""The best pipeline of strategy and classifier, and its lead over the best without augmentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import pandas as pd
from scdiff_bench.config.study import Config
from scdiff_bench.evaluation.scores import SCORES
from scdiff_bench.statistics.bayes import Rope, rope_probabilities
from scdiff_bench.statistics.comparisons import ROPE, out_of_fold_best
from scdiff_bench.statistics.contrasts import Interval, corrected_interval, pool_of

SETTING = ["dataset", "n"]


class Pipeline(NamedTuple):
    """A strategy together with a classifier, and its mean score."""

    strategy: str
    classifier: str
    mean: float


@dataclass(frozen=True)
class Verdict:
    """What came out of one data set and number of training cells of the rare types.

    Attributes
    ----------
    dataset : str
        Whose cells.
    n : int or None
        Training cells of each rare type, where the split sets it.
    rare_sets : int
        Sets of rare types that scores are averaged over.
    augmented, plain : Pipeline or None
        The best with new cells of a learnt model, and the best of the baselines; None where no such
        strategy has finished.
    lead : Interval
        Of the first over the second, each chosen on the other test sets.
    rope : Rope
        Probabilities that the augmented pipeline is worse, practically the same, or better.
    higher_is_better : bool
        Direction of the score.
    pending : bool
        Whether strategies of one side are compared, and none of them has finished: nothing is best
        then.
    """

    dataset: str
    n: int | None
    rare_sets: int
    augmented: Pipeline | None
    plain: Pipeline | None
    lead: Interval
    rope: Rope
    higher_is_better: bool = True
    pending: bool = False

    @property
    def augment(self) -> bool:
        """Whether augmentation is recommended: it leads by more than what counts as equal."""
        if self.augmented is None or self.plain is None:
            return self.plain is None
        sign = 1 if self.higher_is_better else -1
        return sign * self.lead.mean > ROPE and sign * (self.augmented.mean - self.plain.mean) > 0

    @property
    def winner(self) -> Pipeline:
        """The pipeline with the best mean."""
        sides = [p for p in (self.plain, self.augmented) if p is not None]
        return max(sides, key=lambda p: p.mean if self.higher_is_better else -p.mean)

    @property
    def recommended(self) -> Pipeline:
        """The augmented pipeline where it leads, else the best baseline, which is simpler."""
        return cast(Pipeline, self.augmented if self.augment else self.plain)


def verdicts(config: Config, rows: pd.DataFrame) -> list[Verdict]:
    """Return a verdict for each data set and number of training cells.

    Parameters
    ----------
    config : Config
        The study.
    rows : DataFrame
        Its results.

    Returns
    -------
    list of Verdict
        In the rows' order; none where nothing has finished.
    """
    controls = {*config.controls}
    baselines = [s for s in config.compared if s in config.baselines]
    generative = [s for s in config.compared if s not in controls and s not in baselines]
    found = []
    for (dataset, n), part in rows.groupby(SETTING, sort=False, dropna=False, observed=True):
        wide = scores_of(part, config.main_score).dropna(axis=1)
        wide = wide[[c for c in wide if c[0] not in controls]]
        if wide.empty or not len(wide.columns):
            continue
        sign = 1 if SCORES[config.main_score].higher_is_better else -1
        augmented, plain = (_side(wide, side, sign) for side in (generative, baselines))
        n_test, n_train = float(part["n_test"].mean()), float(pool_of(part).mean())
        subsampled = bool(part["n_train"].mean() < n_train)
        lead, rope = Interval(float("nan"), float("nan"), float("nan"), len(wide)), _UNKNOWN
        if augmented and plain:
            difference = augmented[1] - plain[1]
            lead = corrected_interval(difference, n_test, n_train, subsampled=subsampled)
            rope = rope_probabilities(
                sign * difference, n_test, n_train, ROPE, subsampled=subsampled
            )
        found.append(
            Verdict(
                str(dataset),
                None if pd.isna(n) else int(n),
                part["rare_set"].nunique(),
                augmented[0] if augmented else None,
                plain[0] if plain else None,
                lead,
                rope,
                sign > 0,
                pending=(bool(generative) and not augmented) or (bool(baselines) and not plain),
            )
        )
    return found


_UNKNOWN = Rope(float("nan"), float("nan"), float("nan"))


def scores_of(part: pd.DataFrame, score: str) -> pd.DataFrame:
    """Return a score of each pipeline on each test set.

    Parameters
    ----------
    part : DataFrame
        Results of one data set and n.
    score : str
        Which score.

    Returns
    -------
    DataFrame
        Test sets x (strategy, classifier). Sets of rare types that share a test set are averaged
        there: they are not independent.
    """
    done = part[part["status"] == "ok"]
    place = "repeat" if part["rare_set"].nunique() > 1 else "fold_index"
    wide = done.pivot_table(
        score, place, ["strategy", "classifier"], aggfunc="mean", observed=True, sort=False
    )
    count = done.groupby(["strategy", "classifier"], observed=True).size()
    return wide[[c for c in wide if count[c] == count.max()]].sort_index()


def _side(
    wide: pd.DataFrame, strategies: Sequence[str], sign: int
) -> tuple[Pipeline, pd.Series] | None:
    """Return the best of some strategies' pipelines, and its scores where chosen out of fold."""
    mine = wide[[c for c in wide if c[0] in strategies]]
    if mine.empty or not len(mine.columns):
        return None
    means = mine.mean()
    best = (sign * means).idxmax()
    chosen = out_of_fold_best(mine, sign)
    values = pd.Series([mine.loc[i, column] for i, column in chosen.items()], index=mine.index)
    return Pipeline(str(best[0]), str(best[1]), float(means[best])), values
