"""How long a comparison will take: a few cells are resampled and fitted, and that is scaled up."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scdiff_bench.classifiers.catalogue import CLASSIFIERS, build_classifier
from scdiff_bench.evaluation.splits import Fold
from scdiff_bench.running.scoring import SETTING_FOLDS, TUNING_FOLDS
from scdiff_bench.running.units import Unit, one_thread
from scdiff_bench.strategies.catalogue import STRATEGIES

FEW = 800
"""Training cells that are timed. From this many counts on, the sampler trains an autoencoder, so
that fewer would be timed too short."""


@dataclass(frozen=True)
class Estimate:
    """What a comparison will take.

    Attributes
    ----------
    seconds : dict of str to float
        For each unit's key, on one process.
    cells : int
        Training cells that were timed.
    spent : float
        Seconds that the timing took.
    jobs : int
        Processes.
    """

    seconds: dict[str, float]
    cells: int
    spent: float
    jobs: int

    @property
    def total(self) -> float:
        """Seconds of all units, shared by the processes."""
        return sum(self.seconds.values()) / self.jobs


def estimate(units: Sequence[Unit], jobs: int) -> Estimate:
    """Time a small fit, and scale it to the units of a study.

    Each classifier and each strategy that draws cells with scdiff_augment is fitted once to at
    most `FEW` cells of the first fold. Seconds are taken to grow with the rows that a classifier is
    fitted to: the training cells and those that the strategy adds. Tuned thresholds refit both
    on each of their inner folds. What the others do to resample is not counted.

    Parameters
    ----------
    units : sequence of Unit
        Of one study, at least one.
    jobs : int
        Processes that will compute.

    Returns
    -------
    Estimate
        Right within a factor of about two, where the machine is as busy as now.
    """
    start = time.perf_counter()
    first = units[0]
    small = replace(first, fold=_few(first))
    X, y, test = small.cells()
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # rows will have them
        fits = {name: _fit_seconds(small, name, X, y, test) for name in first.study.classifiers}
        made = {
            unit.spec.label: _resample_seconds(replace(unit, fold=small.fold), X, y)
            for unit in {u.spec.label: u for u in units}.values()
        }
    seconds = {unit.key: _unit_seconds(unit, fits, made, y) for unit in units}
    return Estimate(seconds, len(y), time.perf_counter() - start, max(1, min(jobs, len(units))))


def _few(unit: Unit) -> Fold:
    """Return a fold with few training cells, in the fold's own proportions but two of each type."""
    fold, y = unit.fold, unit.dataset.y
    if len(fold.train) <= FEW:
        return fold
    names = np.unique(y[fold.train])
    two = np.concatenate([fold.train[y[fold.train] == name][:2] for name in names])
    rest = np.setdiff1d(fold.train, two)
    rng = np.random.default_rng(unit.seed)
    kept = rng.permutation(rest)[: max(FEW - len(two), 0)]
    return replace(fold, train=np.sort(np.concatenate([two, kept])))


def _fit_seconds(unit: Unit, name: str, X: Any, y: Any, test: tuple[Any, Any]) -> float:
    """Return the seconds that a classifier takes to fit and predict, 0 where it fails."""
    model, _ = build_classifier(name, False, unit.seed, unit.dataset.genes[unit.genes])
    start = time.perf_counter()
    try:
        model.fit(X, y)
        model.predict_proba(test[0][: len(y)])
    except Exception:  # its rows will say what it raised
        return 0.0
    return time.perf_counter() - start


def _resample_seconds(unit: Unit, X: Any, y: Any) -> float:
    if not STRATEGIES[unit.spec.name].package:
        return 0.0
    start = time.perf_counter()
    try:
        sampler = unit.build().sampler
        sampler.fit_resample(X, y)
    except Exception:  # as above
        return 0.0
    return time.perf_counter() - start


def _unit_seconds(unit: Unit, fits: dict[str, float], made: dict[str, float], small: Any) -> float:
    y = unit.dataset.y[unit.fold.train]
    counts = np.unique(y, return_counts=True)[1]
    small_counts = np.unique(small, return_counts=True)[1]
    strategy = unit.build()
    rows, small_rows = len(y), float(len(small_counts) * small_counts.max())
    full_rows = float(len(counts) * counts.max())
    if strategy.sampler is not None:
        rows = int(len(y) + unit.spec.share * (full_rows - len(y)))
    alone = unit.spec.name != "none"
    names = [n for n in fits if not (CLASSIFIERS[n].alone and alone)]
    fit = sum(fits[name] for name in names) * rows / len(small)
    resample = made[unit.spec.label] * max(1.0, full_rows / small_rows)
    if unit.study.tuned:
        tried = [math.prod(map(len, CLASSIFIERS[n].grid.values())) * fits[n] for n in names]
        inner = (SETTING_FOLDS - 1) * (sum(tried) * rows / len(small) + resample)
    elif strategy.thresholds or unit.spec.thresholds:
        inner = (TUNING_FOLDS - 1) * (fit + resample)
    else:
        inner = 0.0
    return resample + fit + inner
