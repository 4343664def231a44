"""A study's results, gathered once for its page, its findings and its index entry."""

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
from scdiff_bench.statistics.comparisons import (
    BEST_BASELINE,
    Comparison,
    Contrast,
    comparisons,
    out_of_fold_best,
)
from scdiff_bench.statistics.contrasts import BLOCK, Block
from scdiff_bench.statistics.pipelines import Verdict, verdicts
from scdiff_bench.statistics.ranks import Ranks, ranks


@dataclass(frozen=True)
class Summary:
    """Everything that a page says is taken from here.

    Attributes
    ----------
    config : Config
        The study.
    rows, classes, confusion_counts : DataFrame
        Its results.
    progress : tuple of int, optional
        Units that are there, and units of the study.
    """

    config: Config
    rows: pd.DataFrame
    classes: pd.DataFrame
    confusion_counts: pd.DataFrame
    progress: tuple[int, int] = (0, 0)

    @cached_property
    def blocks(self) -> list[Block]:
        """Rows that may be compared, block by block."""
        return statistics.blocks(self.rows)

    @cached_property
    def comparisons(self) -> list[list[Comparison]]:
        """The comparisons of each block."""
        config = self.config
        return [
            comparisons(
                b.rows,
                config.main_score,
                config.baselines,
                config.controls,
                b.of(self.confusion_counts),
            )
            for b in self.blocks
        ]

    @cached_property
    def verdicts(self) -> list[Verdict]:
        """The best pipeline of each data set and n, and its lead over the best baseline."""
        return verdicts(self.config, self.rows)

    @cached_property
    def generative(self) -> list[str]:
        """Strategies that learn a model of expression, those with tuned thresholds included."""
        others = {*self.config.baselines, *self.config.controls}
        return [a for a in self.config.compared if a not in others]

    def against_baseline(self) -> Iterator[tuple[Block, Comparison, Contrast]]:
        """Every contrast of a generative method with the best baseline."""
        for block, found in zip(self.blocks, self.comparisons, strict=True):
            for comparison in found:
                for contrast in comparison.contrasts:
                    if contrast.reference == BEST_BASELINE:
                        yield block, comparison, contrast

    def with_baseline(self, block: Block, classifier: str, score: str) -> pd.DataFrame:
        """Return a score, folds x strategies, with the best baseline of each fold among them.

        The best baseline is the one chosen for the main score.

        Parameters
        ----------
        block : Block
            Which rows.
        classifier, score : str
            Which classifier and score.

        Returns
        -------
        DataFrame
            Folds that every strategy finished; NaN where a negative control has fewer repeats.
        """
        done = block.rows[(block.rows["classifier"] == classifier) & (block.rows["status"] == "ok")]
        main = self._wide(done, self.config.main_score)
        wide = self._wide(done, score).reindex(main.index)
        there = [a for a in main.columns if a in self.config.baselines]
        if len(main) and there:
            sign = 1 if SCORES[self.config.main_score].higher_is_better else -1
            chosen = out_of_fold_best(main[there], sign)
            wide[BEST_BASELINE] = [wide.loc[i, strategy] for i, strategy in chosen.items()]
        return wide

    def _wide(self, done: pd.DataFrame, score: str) -> pd.DataFrame:
        wide = done.pivot(index="fold_index", columns="strategy", values=score)
        order = [a for a in self.config.compared if a in wide]
        wide = wide[order].dropna(axis=1, how="all")
        fewer = [a for a, spec in self.config.specs.items() if spec.draws is not None]
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
            Columns ``n``, ``strategy``, ``mean`` and ``sd``; empty without two values of n.
        """
        records: list[dict[str, Any]] = []
        for block in self.blocks:
            if (block.dataset, block.rare_set) != (dataset, rare_set) or block.n is None:
                continue
            wide = self.with_baseline(block, classifier, self.config.main_score)
            for strategy in wide.columns:
                mean, sd = wide[strategy].mean(), wide[strategy].std(ddof=1)
                records.append({"n": block.n, "strategy": strategy, "mean": mean, "sd": sd})
        found = pd.DataFrame(records, columns=["n", "strategy", "mean", "sd"])
        return found if found["n"].nunique() > 1 else found[:0]

    def ranks(self, classifier: str) -> Ranks | None:
        """Rank all strategies but the controls over the blocks.

        Parameters
        ----------
        classifier : str
            Which classifier.

        Returns
        -------
        Ranks or None
            None where there are too few blocks.
        """
        strategies = [a for a in self.config.compared if a not in self.config.controls]
        return ranks(self.rows, classifier, self.config.main_score, strategies)

    def reliability(self, classifier: str) -> dict[str, NDArray[np.float64]]:
        """Return the reliability bins of each strategy, over all folds of the study.

        Parameters
        ----------
        classifier : str
            Which classifier.

        Returns
        -------
        dict of str to ndarray, shape (bins, 3)
            Strategies with tuned thresholds have the bins of the strategy they were tuned after;
            the best baseline has those of the one chosen for each fold on the others.
        """
        if self.confusion_counts.empty:
            return {}
        mine = self.confusion_counts[self.confusion_counts["classifier"] == classifier]
        mine = mine[mine["bins"].notna()]
        found = {
            str(strategy): _pooled(part) for strategy, part in mine.groupby("strategy", sort=False)
        }
        chosen = self._chosen_baselines(classifier)
        places = mine[[*BLOCK, "fold_index", "strategy"]].itertuples(index=False)
        baseline = [tuple(map(_text, place)) in chosen for place in places]
        if any(baseline):
            found[BEST_BASELINE] = _pooled(mine[baseline])
        return found

    def _chosen_baselines(self, classifier: str) -> set[tuple[str, ...]]:
        """Return block, fold and strategy wherever it is the best baseline, chosen elsewhere."""
        found = set()
        sign = 1 if SCORES[self.config.main_score].higher_is_better else -1
        for block in self.blocks:
            mine = block.rows[block.rows["classifier"] == classifier]
            wide = self._wide(mine[mine["status"] == "ok"], self.config.main_score)
            there = [a for a in wide.columns if a in self.config.baselines]
            if len(wide) and there:
                place = [_text(mine[key].iloc[0]) for key in BLOCK]
                for fold, strategy in out_of_fold_best(wide[there], sign).items():
                    found.add((*place, str(fold), str(strategy)))
        return found

    def majority_cost(self) -> pd.DataFrame:
        """Return what each strategy costs the types that are not rare.

        Returns
        -------
        DataFrame
            Strategies x classifiers: F1 of the other types minus that without any strategy.
        """
        done = self.rows[self.rows["status"] == "ok"]
        means = done.groupby(["strategy", "classifier"], sort=False)["majority_f1"].mean()
        wide = means.unstack("classifier")
        if "none" not in wide.index:
            return wide.iloc[:0]
        strategies = [a for a in self.config.compared if a in wide.index]
        columns = [c for c in self.config.classifiers if c in wide]
        return (wide - wide.loc["none"]).loc[strategies, columns].drop(index="none")


def _text(value: Any) -> str:
    """Return a key of a block as text; what is missing is None, NaN or NA by the type of column."""
    return "" if pd.isna(value) else str(value)


def _pooled(part: pd.DataFrame) -> NDArray[np.float64]:
    """Return the reliability bins of several rows as if of one."""
    each = np.array([[list(b) for b in bins] for bins in part["bins"]], dtype=float)
    cells = each[:, :, 0]
    total = np.maximum(cells.sum(axis=0), 1)
    means = np.nansum(each[:, :, 1:] * cells[:, :, None], axis=0) / total[:, None]
    return np.column_stack([cells.sum(axis=0), means])
