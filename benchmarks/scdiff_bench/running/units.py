"""The unit of work: one data set, fold and strategy, resampled once for all classifiers."""

from __future__ import annotations

import hashlib
import json
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from joblib import parallel_config
from scdiff_bench.classifiers.catalogue import CLASSIFIERS
from scdiff_bench.config.study import Config, StrategySpec
from scdiff_bench.data.datasets import Dataset
from scdiff_bench.data.genes import most_variable
from scdiff_bench.evaluation.detector import detector_auc
from scdiff_bench.evaluation.leakage import require_unseen
from scdiff_bench.evaluation.scores import SCORES
from scdiff_bench.evaluation.separation import separation
from scdiff_bench.evaluation.splits import Fold
from scdiff_bench.results_version import OPTIONAL, depends_on, results_version
from scdiff_bench.running.resources import Measure
from scdiff_bench.running.scoring import Judge, Record, message, texts
from scdiff_bench.strategies import catalogue as strategies
from scdiff_bench.strategies.controls import Oracle
from scdiff_bench.strategies.resamplers import Named, Share
from threadpoolctl import threadpool_limits

__all__ = ["Record", "Unit", "message", "one_thread", "run_in_worker", "run_unit", "texts"]

PLACE = ("study", "dataset", "fold", "fold_index", "rare_set", "n", "strategy", "classifier")


@dataclass(frozen=True)
class Unit:
    """One cell of the grid.

    Attributes
    ----------
    study : Config
        The study.
    dataset : Dataset
        Its cells.
    fold : Fold
        Which of them train and test.
    spec : StrategySpec
        The strategy, with its parameters.
    """

    study: Config
    dataset: Dataset
    fold: Fold
    spec: StrategySpec

    @property
    def seed(self) -> int:
        """Seed of sampler and classifiers: the same for every strategy on a fold."""
        return _seed_of(f"{self.study.seed}|{self.dataset.name}|{self.fold.name}")

    @property
    def versions(self) -> dict[str, str | int]:
        """Versions that the result depends on."""
        entry = strategies.STRATEGIES[self.spec.name]
        libraries = ["celltypist"] if "celltypist" in self.study.classifiers else []
        needed = [CLASSIFIERS[c].needs for c in self.study.classifiers] + [entry.needs]
        libraries += sorted({OPTIONAL[needs[0]] for needs in needed if needs})
        return depends_on(package=entry.package, libraries=libraries)

    @property
    def key(self) -> str:
        """Content hash over everything that its rows depend on or name."""
        sha = hashlib.sha256()
        for indices in (self.fold.train, self.fold.test, self.fold.reserve):
            sha.update(np.asarray(indices, dtype=np.int64).tobytes())
        content = {
            "study": self.study.name,
            "dataset": [self.dataset.name, self.dataset.digest],
            "fold": [self.fold.name, self.fold.index, sha.hexdigest()],
            "rare": self.fold.rare,
            "rare_set": self.fold.rare_set,
            "sampling_strategy": self.study.sampling_strategy,
            "n_genes": self.study.n_genes,
            "strategy": [self.spec.compared, self.spec.name, self.spec.params, self.spec.share],
            "classifiers": self.study.classifiers,
            "seed": self.seed,
            "versions": self.versions,
        }
        if self.spec.sets > 1:  # keys of strategies of one set are older than the others
            content["sets"] = self.spec.sets
        if self.study.tuned:  # keys of studies with fixed settings are older than the others
            content["tuned"] = {c: dict(CLASSIFIERS[c].grid) for c in self.study.classifiers}
        text = json.dumps(content, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:24]

    @cached_property
    def genes(self) -> Any:
        """Positions of the genes that are kept, selected on the training set."""
        return most_variable(self.dataset.X[self.fold.train], self.study.n_genes)

    def cells(self) -> tuple[Any, Any, tuple[Any, Any]]:
        """Return values and labels of the training set, and of the test set."""
        X, y, test = self.dataset.X, self.dataset.y, self.fold.test
        train = self.fold.train
        return X[np.ix_(train, self.genes)], y[train], (X[np.ix_(test, self.genes)], y[test])

    def separation(self) -> float:
        """How well separated the rare types are among the real cells outside the test set."""
        cells = np.concatenate([self.fold.train, self.fold.reserve])
        X, y = self.dataset.X[np.ix_(cells, self.genes)], self.dataset.y[cells]
        return float(separation(X, y, self.fold.rare, self.study.seed))

    def build(self, number: int = 0) -> strategies.Strategy:
        """Build the strategy; the oracle alone is given the cells held out for it.

        Parameters
        ----------
        number : int, default=0
            Of the set of cells that it draws.
        """
        wanted: Any = self.study.sampling_strategy
        if self.spec.share != 1:
            wanted = Share(wanted, self.spec.share)
        seed = self.seed if number == 0 else _seed_of(f"{self.seed}|set {number}")
        built = strategies.build_strategy(self.spec.name, wanted, seed, self.spec.params)
        if (pretrained := getattr(built.sampler, "generator", None)) is not None:
            require_unseen(pretrained, self.dataset, self.fold)
            built = replace(built, sampler=Named(built.sampler, self.dataset.genes[self.genes]))
        if isinstance(built.sampler, Oracle):
            held_out = self.fold.reserve
            X = self.dataset.X[np.ix_(held_out, self.genes)]
            built.sampler.reserve = X, self.dataset.y[held_out]
        return built


def _seed_of(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


def run_unit(unit: Unit) -> Record:
    """Resample once and score every classifier on the result.

    A strategy or a classifier that raises gives rows with status ``failed`` and the message.

    Parameters
    ----------
    unit : Unit
        What to run.

    Returns
    -------
    dict
        ``rows``, one per strategy (and again with tuned thresholds) and classifier; ``classes``,
        one per row and type; ``tallies``, one per row and donor: calls counted against true types.
    """
    with one_thread():
        return _run(unit)


def _run(unit: Unit) -> Record:
    X, y, test = unit.cells()
    base = _base(unit)
    strategy, error, more = strategies.Strategy(), "", X[:0]
    others: list[tuple[Any, Any]] = []
    try:
        strategy = unit.build()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with Measure() as cost:
                if strategy.sampler is not None:
                    cells = X, y
                    X, y = strategy.sampler.fit_resample(*cells)
                    for number in range(1, unit.spec.sets):
                        others.append(unit.build(number).sampler.fit_resample(*cells))
        more = X[len(unit.fold.train) :]
        base |= {
            "warnings": texts(caught),
            "seconds_resample": cost.seconds,
            "cpu_seconds_resample": cost.cpu_seconds,
            "peak_memory_mb": cost.peak_mb,
            "added_memory_mb": cost.added_mb,
            "n_synthetic": len(more),
            "note": getattr(strategy.sampler, "note_", ""),
            "detector_auc": detector_auc(more, y[len(unit.fold.train) :], *test, unit.seed),
        }
    except Exception as raised:  # whatever a strategy raises becomes its rows' message
        error = message(raised)
    judge = Judge(unit, strategy, X, y, test, others)
    record: Record = {"unit": unit.key, "rows": [], "classes": [], "tallies": []}
    for label in unit.spec.compared:
        tuned = strategy.thresholds or label != unit.spec.label
        for name in unit.study.classifiers:
            if CLASSIFIERS[name].alone and unit.spec.name != "none":
                continue
            row = {
                **base,
                "strategy": label,
                "classifier": name,
                "status": "failed",
                "error": error,
            }
            if not error:
                try:
                    scored = judge(name, tuned)
                except Exception as raised:  # as above, for a classifier
                    row["error"] = message(raised)
                else:
                    said = [row["warnings"], scored.row["warnings"]]
                    row |= {**scored.row, "status": "ok"}
                    row["warnings"] = "; ".join(filter(None, dict.fromkeys(said)))
                    row["seconds_resample"] = base["seconds_resample"] + scored.seconds_resample
                    where = {k: row[k] for k in PLACE}
                    record["classes"] += [{**where, **c} for c in scored.classes]
                    record["tallies"] += [{**where, **t} for t in scored.confusion_counts]
            record["rows"].append(row)
    return record


def _base(unit: Unit) -> Record:
    """Return what every row of a unit shares, with scores that are not there yet."""
    fold = unit.fold
    empty = dict.fromkeys(
        (
            "seconds_resample",
            "cpu_seconds_resample",
            "peak_memory_mb",
            "added_memory_mb",
            "seconds_fit",
            "seconds_predict",
            "detector_auc",
            *SCORES,
        )
    )
    return {
        "study": unit.study.name,
        "dataset": unit.dataset.name,
        "dataset_digest": unit.dataset.digest,
        "split": unit.study.split_kind,
        "fold": fold.name,
        "fold_index": fold.index,
        "repeat": fold.repeat,
        "rare_set": fold.rare_set,
        "n": fold.n,
        "rare": list(fold.rare),
        "strategy": unit.spec.label,
        "strategy_name": unit.spec.name,
        "share": unit.spec.share,
        "params": json.dumps(unit.spec.params, sort_keys=True, default=str),
        "sampling_strategy": json.dumps(unit.study.sampling_strategy, sort_keys=True),
        "seed": unit.study.seed,
        "unit_seed": unit.seed,
        **results_version().columns,
        "versions": json.dumps(unit.versions),
        "unit": unit.key,
        "n_train": len(fold.train),
        "n_test": len(fold.test),
        "n_genes": unit.study.n_genes or unit.dataset.X.shape[1],
        "separation": unit.separation() if unit.spec.name == "none" else float("nan"),
        "n_synthetic": None,
        "class_weight_applied": False,
        "thresholds_tuned": False,
        "setting": "{}",
        "note": "",
        "warnings": "",
        **empty,
    }


@contextmanager
def one_thread() -> Iterator[None]:
    """Bound every thread pool to one thread, and put it back afterwards.

    A forest inside a unit would otherwise send its trees to the cluster that the unit came from,
    and lose them with any worker.
    """
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else None
    with threadpool_limits(1), parallel_config(backend="sequential"):
        if torch:
            torch.set_num_threads(1)
        try:
            yield
        finally:
            if torch:
                torch.set_num_threads(before)


def run_in_worker(work: Callable[[Any], Record], unit: Any) -> Record:
    """Run a unit in a worker process, which leaves Ctrl-C to its parent."""
    if threading.current_thread() is threading.main_thread():  # a Dask worker has its own
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return work(unit)
