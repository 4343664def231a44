"""Fit the classifiers on a resampled fold and score them on its test cells."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from scdiff_bench.classifiers.catalogue import CLASSIFIERS, build_classifier
from scdiff_bench.classifiers.learners import UpToPCA
from scdiff_bench.classifiers.thresholds import log_proba, tune_weights
from scdiff_bench.config.study import Config
from scdiff_bench.data.datasets import Dataset
from scdiff_bench.evaluation.scores import score
from scdiff_bench.evaluation.splits import Fold
from scdiff_bench.strategies.registry import Strategy
from scipy.special import logsumexp
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import confusion_matrix, f1_score
from sklearn.model_selection import ParameterGrid, StratifiedKFold
from sklearn.pipeline import Pipeline

Record = dict[str, Any]
TUNING_FOLDS = 5
TUNING_TREES = 100
"""Trees of a forest while its thresholds are tuned. With three times as many, macro-F1 on rare-cell
draws was lower by .002 on average, with differences of up to .012 either way."""

SETTING_FOLDS = 3
"""Inner folds of a study that chooses its classifiers' settings, for thresholds as well: a strategy
is trained anew on each, and three cost a study with generative models four times as much, not six.
"""


class Case(Protocol):
    """What is scored: a data set, a fold and a strategy, as `units.Unit` joins them."""

    @property
    def study(self) -> Config: ...

    @property
    def dataset(self) -> Dataset: ...

    @property
    def fold(self) -> Fold: ...

    @property
    def seed(self) -> int: ...

    @property
    def genes(self) -> Any: ...

    def cells(self) -> tuple[Any, Any, tuple[Any, Any]]: ...

    def build(self) -> Strategy: ...


@dataclass
class Judgement:
    """Scores of one classifier after one strategy.

    Attributes
    ----------
    row : dict
        Scores and costs.
    classes, confusion_counts : list of dict
        One record per type, and one per donor of the test set.
    seconds_resample : float
        What tuning added to the resampling.
    """

    row: Record
    classes: list[Record]
    confusion_counts: list[Record]
    seconds_resample: float = 0.0


@dataclass(frozen=True)
class Choice:
    """What was chosen out of fold.

    Attributes
    ----------
    setting : dict
        Parameters of the classifier that were tuned.
    weights : ndarray of shape (classes,) or float
        Log-weights of the classes.
    value : float
        Macro-F1 out of fold.
    seconds, seconds_resample : float
        What choosing cost, in fits of the classifier and in resampling.
    """

    setting: Record
    weights: Any
    value: float = float("nan")
    seconds: float = 0.0
    seconds_resample: float = 0.0


@dataclass
class Judge:
    """Scores the classifiers on one unit; each is fitted once for each of its settings.

    Attributes
    ----------
    unit : Case
        Data set, fold and strategy.
    strategy : Strategy
        As it was used for ``X`` and ``y``.
    X, y : ndarray
        Training cells after resampling.
    test : tuple of ndarray
        Test cells and their labels.
    others : list of tuple of ndarray
        Further resampled sets: a classifier is trained on each, and probabilities are averaged.
    """

    unit: Case
    strategy: Strategy
    X: Any
    y: Any
    test: tuple[Any, Any]
    others: Sequence[tuple[Any, Any]] = ()
    _fitted: dict[str, Any] = field(default_factory=dict)
    _out_of_fold: dict[str, Any] = field(default_factory=dict)
    _projected: dict[int, Any] = field(default_factory=dict)

    def __call__(self, name: str, tuned: bool) -> Judgement:
        """Score a classifier, with or without tuned thresholds.

        Parameters
        ----------
        name : str
            A name in ``CLASSIFIERS``.
        tuned : bool
            Whether thresholds are tuned on the training set.

        Returns
        -------
        Judgement
            Its row, with one record per type and per donor.
        """
        X_test, y_test = self.test
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            chosen = self._choose(name, tuned)
            models, weighted, seconds_fit = self._fit(name, chosen.setting)
            model = models[0]
            seconds_fit += chosen.seconds
            start = time.perf_counter()
            log_p = _mean_log_proba(models, X_test)
            seconds_predict = time.perf_counter() - start
            weights, seconds_resample = chosen.weights, chosen.seconds_resample
            called = model.classes_[np.argmax(log_p + weights, axis=1)]
        data, fold = self.unit.dataset, self.unit.fold
        types = np.unique(data.y).tolist()
        scores, classes, bins = score(
            y_test, called, np.exp(log_p), model.classes_.tolist(), types, fold.rare
        )
        row = {
            "class_weight_applied": weighted,
            "thresholds_tuned": tuned,
            "setting": json.dumps(chosen.setting, sort_keys=True),
            "seconds_fit": seconds_fit,
            "seconds_predict": seconds_predict,
            "warnings": texts(caught),
            **scores,
        }
        counts = self._confusion_counts(called, types)
        counts[0]["bins"] = [[None if np.isnan(v) else float(v) for v in b] for b in bins]
        return Judgement(row, classes, counts, seconds_resample)

    def _fit(self, name: str, setting: Record) -> tuple[list[Any], bool, float]:
        key = json.dumps([name, setting], sort_keys=True)
        if key not in self._fitted:
            start = time.perf_counter()
            models, weighted = [], False
            for X, y in [(self.X, self.y), *self.others]:
                model, weighted = self._build(name)
                self._train(model.set_params(**setting), X, y)
                models.append(model)
            self._fitted[key] = (models, weighted, time.perf_counter() - start)
        found: tuple[list[Any], bool, float] = self._fitted[key]
        return found

    def _train(self, model: Any, X: Any, y: Any) -> Any:
        """Fit; classifiers that begin with the same projection share it."""
        if not (isinstance(model, Pipeline) and isinstance(model[0], UpToPCA)):
            return model.fit(X, y)
        if id(X) not in self._projected:  # the cells are kept too, so that no id comes back
            self._projected[id(X)] = (X, clone(model[0]).fit(X))
            self._projected[id(X)] += (self._projected[id(X)][1].transform(X),)
        _, pca, Z = self._projected[id(X)]
        model.steps[0] = (model.steps[0][0], pca)
        model[1:].fit(Z, y)
        return model

    def _build(self, name: str) -> tuple[Any, bool]:
        unit, strategy = self.unit, self.strategy
        genes = unit.dataset.genes[unit.genes]
        return build_classifier(
            name, strategy.class_weight, unit.seed, genes, strategy.balance_cell_type
        )

    def _confusion_counts(self, called: Any, types: list[str]) -> list[Record]:
        """Count calls against true types, donor by donor where there are donors."""
        truth, fold = self.test[1], self.unit.fold
        everyone = np.repeat("", len(truth))
        key = self.unit.study.split_params.get("key", "donor")
        groups = self.unit.dataset.groups.get(key)
        donors = everyone if groups is None else groups[fold.test]
        found = []
        for donor in np.unique(donors):
            mine = donors == donor
            counts = confusion_matrix(truth[mine], called[mine], labels=types)
            record = {"donor": str(donor), "types": types, "confusion": counts.ravel().tolist()}
            found.append(record | {"bins": None})
        return found

    def _choose(self, name: str, thresholds: bool) -> Choice:
        """Choose settings, where the study tunes them, and thresholds, where they are wanted.

        Of settings that are level, the first stands, and the classifier's own is the first.
        """
        settings = self._settings(name)
        if not thresholds and len(settings) == 1:
            return Choice({}, 0.0)
        found, seconds, seconds_resample = self._predicted(name)
        codes = np.unique(self.unit.cells()[1], return_inverse=True)[1]
        start = time.perf_counter()
        best: Choice | None = None
        for setting, log_p in zip(settings, found, strict=True):
            weights = tune_weights(log_p, codes) if thresholds else 0.0
            called = np.argmax(log_p + weights, axis=1)
            value = float(f1_score(codes, called, average="macro", zero_division=0))
            if best is None or value > best.value:
                best = Choice(setting, weights, value, 0.0, seconds_resample)
        assert best is not None
        return replace(best, seconds=seconds + time.perf_counter() - start)

    def _settings(self, name: str) -> list[Record]:
        """Return the settings to choose from: the classifier's own first."""
        grid = CLASSIFIERS[name].grid if self.unit.study.tuned else {}
        own = self._build(name)[0].get_params()
        settings = [dict(p) for p in ParameterGrid(grid)]
        return sorted(settings, key=lambda p: any(own[k] != v for k, v in p.items()))

    def _predicted(self, name: str) -> tuple[list[Any], float, float]:
        """Return log-probabilities out of fold for each setting, and what they cost."""
        if name not in self._out_of_fold:
            resamplings, seconds_resample = self._inner
            y = self.unit.cells()[1]
            start = time.perf_counter()
            settings = self._settings(name)
            found = [np.empty((len(y), len(np.unique(y)))) for _ in settings]
            for X_in, y_in, X_out, out in resamplings:
                for setting, log_p in zip(settings, found, strict=True):
                    model = self._build(name)[0].set_params(**setting)
                    if isinstance(model, RandomForestClassifier):
                        model.set_params(n_estimators=TUNING_TREES)
                    log_p[out] = log_proba(self._train(model, X_in, y_in), X_out)
            seconds = time.perf_counter() - start
            self._out_of_fold[name] = found, seconds, seconds_resample
        kept: tuple[list[Any], float, float] = self._out_of_fold[name]
        return kept

    @cached_property
    def _inner(self) -> tuple[list[tuple[Any, Any, Any, Any]], float]:
        """Resample each of a few inner folds by itself; all classifiers share the result.

        Cells generated from the whole training set would leak those that thresholds are tuned on.
        """
        X, y, _ = self.unit.cells()
        names, counts = np.unique(y, return_counts=True)
        if counts.min() < 2:
            raise ValueError(
                f"Class {str(names[counts.argmin()])!r} has 1 cell; settings and thresholds tuned "
                "out of fold need at least 2 of each class. Use a strategy without thresholds, and "
                "leave out tuned: true."
            )
        wanted = SETTING_FOLDS if self.unit.study.tuned else TUNING_FOLDS
        splits = int(min(wanted, counts.min()))
        folds = StratifiedKFold(splits, shuffle=True, random_state=self.unit.seed)
        start = time.perf_counter()
        made = []
        for inside, out in folds.split(X, y):
            sampler = self.unit.build().sampler
            X_in, y_in = X[inside], y[inside]
            if sampler is not None:
                X_in, y_in = sampler.fit_resample(X_in, y_in)
            made.append((X_in, y_in, X[out], out))
        return made, time.perf_counter() - start


def _mean_log_proba(models: list[Any], X: Any) -> Any:
    """Return logarithms of the models' mean probabilities, (cells, classes)."""
    found = [log_proba(model, X) for model in models]
    if len(found) == 1:
        return found[0]
    return logsumexp(found, axis=0) - np.log(len(found))


def message(error: Exception) -> str:
    """Return an error as a row shows it."""
    return f"{type(error).__name__}: {error}"


def texts(caught: list[warnings.WarningMessage]) -> str:
    """Return warnings as a row shows them, each once."""
    return "; ".join(sorted({f"{w.category.__name__}: {w.message}" for w in caught}))
