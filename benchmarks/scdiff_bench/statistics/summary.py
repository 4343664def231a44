"""A study's results, gathered once for its page, its verdict and its index entry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scdiff_bench.config.study import Config
from scdiff_bench.evaluation.scores import SCORES
from scdiff_bench.statistics import contrasts as statistics
from scdiff_bench.statistics.contrasts import BLOCK, Block
from scdiff_bench.statistics.ranks import Ranks, ranks
from scdiff_bench.statistics.verdicts import (
    BEST_TRIVIAL,
    Contrast,
    Verdict,
    out_of_fold_best,
    verdicts,
)


@dataclass(frozen=True)
class Summary:
    """Everything that a page says is taken from here.

    Attributes
    ----------
    config : Config
        The study.
    rows, classes, tallies : DataFrame
        Its results.
    progress : tuple of int, optional
        Units that are there, and units of the study.
    """

    config: Config
    rows: pd.DataFrame
    classes: pd.DataFrame
    tallies: pd.DataFrame
    progress: tuple[int, int] = (0, 0)

    @cached_property
    def blocks(self) -> list[Block]:
        """Rows that may be compared, block by block."""
        return statistics.blocks(self.rows)

    @cached_property
    def verdicts(self) -> list[list[Verdict]]:
        """The verdicts of each block."""
        config = self.config
        return [
            verdicts(
                b.rows,
                config.main_score,
                config.trivial_arms,
                config.control_arms,
                b.of(self.tallies),
            )
            for b in self.blocks
        ]

    @cached_property
    def makers(self) -> list[str]:
        """Arms that learn a model of expression, those with tuned thresholds included."""
        idle = {*self.config.trivial_arms, *self.config.control_arms}
        return [a for a in self.config.arms if a not in idle]

    def against_bar(self) -> Iterator[tuple[Block, Verdict, Contrast]]:
        """Every contrast of a maker with the best trivial arm."""
        for block, found in zip(self.blocks, self.verdicts, strict=True):
            for verdict in found:
                for contrast in verdict.contrasts:
                    if contrast.reference == BEST_TRIVIAL:
                        yield block, verdict, contrast

    def with_bar(self, block: Block, classifier: str, score: str) -> pd.DataFrame:
        """Return a score, folds x arms, with the best trivial arm of each fold among them.

        The best trivial arm is the one chosen for the main score.

        Parameters
        ----------
        block : Block
            Which rows.
        classifier, score : str
            Which classifier and score.

        Returns
        -------
        DataFrame
            Folds that every arm finished; NaN where a null has fewer draws.
        """
        done = block.rows[(block.rows["classifier"] == classifier) & (block.rows["status"] == "ok")]
        main = self._wide(done, self.config.main_score)
        wide = self._wide(done, score).reindex(main.index)
        bar = [a for a in main.columns if a in self.config.trivial_arms]
        if len(main) and bar:
            sign = 1 if SCORES[self.config.main_score].higher_is_better else -1
            chosen = out_of_fold_best(main[bar], sign)
            wide[BEST_TRIVIAL] = [wide.loc[i, arm] for i, arm in chosen.items()]
        return wide

    def _wide(self, done: pd.DataFrame, score: str) -> pd.DataFrame:
        wide = done.pivot(index="fold_index", columns="strategy", values=score)
        order = [a for a in self.config.arms if a in wide]
        wide = wide[order].dropna(axis=1, how="all")
        fewer = [a for a, spec in self.config.arm_strategies.items() if spec.draws is not None]
        return wide.dropna(subset=[a for a in wide if a not in fewer])

    def curve(self, dataset: str, rare_set: str, classifier: str) -> pd.DataFrame:
        """Return the main score over n.

        Parameters
        ----------
        dataset, rare_set, classifier : str
            Which curve.

        Returns
        -------
        DataFrame
            Columns ``n``, ``arm``, ``mean`` and ``sd``; empty without two values of n.
        """
        records: list[dict[str, Any]] = []
        for block in self.blocks:
            if (block.dataset, block.rare_set) != (dataset, rare_set) or block.n is None:
                continue
            wide = self.with_bar(block, classifier, self.config.main_score)
            for arm in wide.columns:
                mean, sd = wide[arm].mean(), wide[arm].std(ddof=1)
                records.append({"n": block.n, "arm": arm, "mean": mean, "sd": sd})
        found = pd.DataFrame(records, columns=["n", "arm", "mean", "sd"])
        return found if found["n"].nunique() > 1 else found[:0]

    def ranks(self, classifier: str) -> Ranks | None:
        """Rank all arms but the controls over the blocks.

        Parameters
        ----------
        classifier : str
            Which classifier.

        Returns
        -------
        Ranks or None
            None where there are too few blocks.
        """
        arms = [a for a in self.config.arms if a not in self.config.control_arms]
        return ranks(self.rows, classifier, self.config.main_score, arms)

    def reliability(self, classifier: str) -> dict[str, NDArray[np.float64]]:
        """Return the reliability bins of each arm, over all folds of the study.

        Parameters
        ----------
        classifier : str
            Which classifier.

        Returns
        -------
        dict of str to ndarray, shape (bins, 3)
            Arms whose thresholds were tuned have the bins of the arm they were tuned after; the
            best trivial arm has those of the arm that was chosen for each fold on the others.
        """
        if self.tallies.empty:
            return {}
        mine = self.tallies[self.tallies["classifier"] == classifier]
        mine = mine[mine["bins"].notna()]
        found = {str(arm): _pooled(part) for arm, part in mine.groupby("strategy", sort=False)}
        chosen = self._bar(classifier)
        bar = [
            tuple(c) in chosen
            for c in mine[[*BLOCK, "fold_index", "strategy"]].astype(str).to_numpy()
        ]
        if any(bar):
            found[BEST_TRIVIAL] = _pooled(mine[bar])
        return found

    def _bar(self, classifier: str) -> set[tuple[str, ...]]:
        """Return block, fold and arm wherever an arm is the best trivial one, chosen elsewhere."""
        found = set()
        sign = 1 if SCORES[self.config.main_score].higher_is_better else -1
        for block in self.blocks:
            mine = block.rows[block.rows["classifier"] == classifier]
            wide = self._wide(mine[mine["status"] == "ok"], self.config.main_score)
            bar = [a for a in wide.columns if a in self.config.trivial_arms]
            if len(wide) and bar:
                place = [str(mine[key].iloc[0]) for key in BLOCK]
                for fold, arm in out_of_fold_best(wide[bar], sign).items():
                    found.add((*place, str(fold), str(arm)))
        return found

    def majority_cost(self) -> pd.DataFrame:
        """Return what each arm costs the types that are not rare.

        Returns
        -------
        DataFrame
            Arms x classifiers: F1 of the other types minus that without any strategy.
        """
        done = self.rows[self.rows["status"] == "ok"]
        means = done.groupby(["strategy", "classifier"], sort=False)["majority_f1"].mean()
        wide = means.unstack("classifier")
        if "none" not in wide.index:
            return wide.iloc[:0]
        arms = [a for a in self.config.arms if a in wide.index]
        columns = [c for c in self.config.classifiers if c in wide]
        return (wide - wide.loc["none"]).loc[arms, columns].drop(index="none")


def _pooled(part: pd.DataFrame) -> NDArray[np.float64]:
    """Return the reliability bins of several rows as if of one."""
    each = np.array([[list(b) for b in bins] for bins in part["bins"]], dtype=float)
    cells = each[:, :, 0]
    total = np.maximum(cells.sum(axis=0), 1)
    means = np.nansum(each[:, :, 1:] * cells[:, :, None], axis=0) / total[:, None]
    return np.column_stack([cells.sum(axis=0), means])
