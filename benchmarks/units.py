"""The unit of work: one data set, fold and strategy, shared by all classifiers."""

from __future__ import annotations

import hashlib
import json
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks import strategies
from benchmarks.classifiers import build_classifier
from benchmarks.config import Config, StrategySpec
from benchmarks.datasets import Dataset
from benchmarks.resources import Measure
from benchmarks.scores import SCORES, score
from benchmarks.splits import Fold
from benchmarks.thresholds import TunedThresholds
from benchmarks.versions import versions_hash

Record = dict[str, Any]


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
        What is done about the imbalance.
    """

    study: Config
    dataset: Dataset
    fold: Fold
    spec: StrategySpec

    @property
    def seed(self) -> int:
        """Seed of sampler and classifiers: the same for every strategy on a fold."""
        text = f"{self.study.seed}|{self.dataset.name}|{self.fold.name}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1

    @property
    def versions(self) -> str:
        """Hash over the versions and the code that the result depends on."""
        return versions_hash(strategies.STRATEGIES[self.spec.name].package)

    @property
    def key(self) -> str:
        """Content hash over everything that its rows depend on or name."""
        sha = hashlib.sha256()
        for indices in (self.fold.train, self.fold.test):
            sha.update(np.asarray(indices, dtype=np.int64).tobytes())
        content = {
            "study": self.study.name,
            "dataset": [self.dataset.name, self.dataset.digest],
            "fold": [self.fold.name, self.fold.index, sha.hexdigest()],
            "rare": self.fold.rare,
            "sampling_strategy": self.study.sampling_strategy,
            "strategy": [self.spec.label, self.spec.name, self.spec.params],
            "classifiers": self.study.classifiers,
            "seed": self.seed,
            "versions": self.versions,
        }
        text = json.dumps(content, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:24]


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
        ``rows``, one per classifier, and ``classes``, one per classifier and type.
    """
    with one_thread():
        return _run(unit)


def _run(unit: Unit) -> Record:
    data, fold, spec, study = unit.dataset, unit.fold, unit.spec, unit.study
    X, y = data.X[fold.train], data.y[fold.train]
    base = _base(unit)
    strategy, error = strategies.Strategy(), ""
    try:
        strategy = strategies.build_strategy(
            spec.name, study.sampling_strategy, unit.seed, spec.params
        )
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with Measure() as cost:
                if strategy.sampler is not None:
                    X, y = strategy.sampler.fit_resample(X, y)
        base |= {
            "warnings": texts(caught),
            "seconds_resample": cost.seconds,
            "cpu_seconds_resample": cost.cpu_seconds,
            "peak_memory_mb": cost.peak_mb,
            "added_memory_mb": cost.added_mb,
            "n_synthetic": len(y) - len(fold.train),
            "note": getattr(strategy.sampler, "note_", ""),
        }
    except Exception as raised:  # whatever a strategy raises becomes its rows' message
        error = message(raised)
    rows: list[Record] = []
    classes: list[Record] = []
    for name in study.classifiers:
        row = {**base, "classifier": name, "status": "failed", "error": error}
        if not error:
            try:
                fitted, per_class = _classify(unit, strategy, name, X, y)
                fitted["warnings"] = "; ".join(filter(None, [row["warnings"], fitted["warnings"]]))
                row |= {**fitted, "status": "ok"}
                shared = {k: base[k] for k in ("study", "dataset", "fold", "fold_index", "n")}
                shared |= {"strategy": spec.label, "classifier": name}
                classes += [{**shared, **record} for record in per_class]
            except Exception as raised:  # as above, for a classifier
                row["error"] = message(raised)
        rows.append(row)
    return {"unit": unit.key, "rows": rows, "classes": classes}


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
        "n": fold.n,
        "rare": list(fold.rare),
        "strategy": unit.spec.label,
        "strategy_name": unit.spec.name,
        "params": json.dumps(unit.spec.params, sort_keys=True, default=str),
        "sampling_strategy": json.dumps(unit.study.sampling_strategy, sort_keys=True),
        "seed": unit.study.seed,
        "unit_seed": unit.seed,
        "versions": unit.versions,
        "unit": unit.key,
        "n_train": len(fold.train),
        "n_test": len(fold.test),
        "n_synthetic": None,
        "class_weight_applied": False,
        "thresholds_tuned": False,
        "note": "",
        "warnings": "",
        **empty,
    }


def _classify(
    unit: Unit, strategy: strategies.Strategy, name: str, X: Any, y: Any
) -> tuple[Record, list[Record]]:
    """Fit one classifier on the training cells, score it on the test cells."""
    data, fold = unit.dataset, unit.fold
    model, weighted = build_classifier(name, strategy.class_weight, unit.seed, data.genes)
    if strategy.thresholds:
        model = TunedThresholds(model, random_state=unit.seed)
    X_test, y_test = data.X[fold.test], data.y[fold.test]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        start = time.perf_counter()
        model.fit(X, y)
        fitted = time.perf_counter()
        called = model.predict(X_test)
        predicted = time.perf_counter()
        proba = model.predict_proba(X_test)
    scores, per_class = score(
        y_test, called, proba, model.classes_.tolist(), np.unique(data.y).tolist(), fold.rare
    )
    row = {
        "class_weight_applied": weighted,
        "thresholds_tuned": strategy.thresholds,
        "seconds_fit": fitted - start,
        "seconds_predict": predicted - fitted,
        "warnings": texts(caught),
        **scores,
    }
    return row, per_class


def message(error: Exception) -> str:
    """Return an error as one line of a row.

    Parameters
    ----------
    error : Exception
        What was raised.

    Returns
    -------
    str
        Its kind and its text.
    """
    return f"{type(error).__name__}: {error}"


def texts(caught: list[warnings.WarningMessage]) -> str:
    """Return the warnings that were raised, each once; they stand in the row.

    Parameters
    ----------
    caught : list of WarningMessage
        What `warnings.catch_warnings` recorded.

    Returns
    -------
    str
        Sorted, with ``"; "`` between them.
    """
    return "; ".join(sorted({f"{w.category.__name__}: {w.message}" for w in caught}))


@contextmanager
def one_thread() -> Iterator[None]:
    """Bound every thread pool to one thread, and put it back afterwards."""
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else None
    with threadpool_limits(1):
        if torch:
            torch.set_num_threads(1)
        try:
            yield
        finally:
            if torch:
                torch.set_num_threads(before)


def run_in_worker(work: Callable[[Any], Record], unit: Any) -> Record:
    """Run a unit in a worker process, which leaves Ctrl-C to its parent.

    Parameters
    ----------
    work : callable
        Runs a unit, as `run_unit` does.
    unit : object
        What to run.

    Returns
    -------
    dict
        What the work gave.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return work(unit)
