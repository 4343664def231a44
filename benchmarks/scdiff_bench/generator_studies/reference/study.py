"""A type that one's own batch lacks and other batches have: what each strategy makes of it."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from imblearn.ensemble import BalancedRandomForestClassifier
from numpy.typing import NDArray
from scdiff_bench.classifiers.catalogue import CLASSIFIERS, build_classifier
from scdiff_bench.classifiers.learners import UpToPCA
from scdiff_bench.data.datasets import Dataset
from scdiff_bench.generator_studies.parts import Output, StudyConfig
from scdiff_bench.generator_studies.reference.folds import Fold, make_fold
from scdiff_bench.generator_studies.reference.strategies import STRATEGIES, Training
from scdiff_bench.messages import choose
from scdiff_bench.strategies.objects import with_objects
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import f1_score
from sklearn.pipeline import make_pipeline

from scdiff_augment import DiffusionOversampler
from scdiff_augment.metrics import mmd

VERSION = 1
"""Raised when the same unit gives other rows than before."""

LIBRARIES = ("harmonypy", "scanpy")
"""Distributions that the rows depend on."""

LDA, BALANCED_FOREST = "lda", "balanced_forest"
ITSELF = "itself"
TITLES = {LDA: "LDA, equal priors", BALANCED_FOREST: "balanced forest", ITSELF: "itself"}
"""Classifiers of the study beside those of the catalogue; scANVI is one itself."""

SAMPLED = ("target_augmented", "borrowed", "borrowed_alone", "borrowed_to_median")
"""Strategies that draw cells with `DiffusionOversampler`."""

SPACE_FREE = ("knn", LDA, "logistic_regression")
"""Classifiers that are also trained on coordinates of an embedding."""


@dataclass(frozen=True)
class Parameters:
    """Parameters of the study.

    Attributes
    ----------
    targets : dict of str to list
        For each data set the annotation that tells batches apart, and the target batches.
    sizes : list of int
        Training cells of the type that the target batch keeps.
    draws : int
        Divisions of the target batch into training and test cells.
    draws_of_size : dict of int to int
        Another number of divisions for some of the sizes.
    scvi_draws : int
        Divisions for strategies that need scvi-tools, whose training takes minutes.
    scvi_sizes : list of int
        Those of the sizes that these are tried with.
    first : int
        Number of the first division. What is chosen by a study's results is chosen on others.
    least : int
        Cells of the target batch, half of which are tested, that a type needs to be left out.
    max_reference : int
        Cells of other batches.
    strategies, classifiers : list of str
        What is compared, by default all strategies but those that need scvi-tools; balanced
        forests are trained on pooled cells alone.
    n_genes : int
        Genes whose mean changes most, for R².
    sampler : dict
        Parameters of `DiffusionOversampler`.
    """

    targets: dict[str, Any] = field(
        default_factory=lambda: {
            "kang_ifnb_small_counts": ["condition", "stim", "ctrl"],
            "pbmc_chemistry": ["batch", "3pv1"],
            "kang_pbmc_ctrl": ["donor", "1244"],
        }
    )
    sizes: list[Any] = field(default_factory=lambda: [0, 5])
    draws: int = 5
    draws_of_size: dict[Any, Any] = field(default_factory=dict)
    scvi_draws: int = 5
    scvi_sizes: list[Any] = field(default_factory=lambda: [0, 5])
    first: int = 0
    least: int = 15
    max_reference: int = 2000
    strategies: list[Any] = field(
        default_factory=lambda: [name for name, entry in STRATEGIES.items() if not entry.needs]
    )
    classifiers: list[Any] = field(
        default_factory=lambda: ["knn", LDA, "logistic_regression", "random_forest"]
    )
    n_genes: int = 50
    sampler: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.strategies:
            choose("strategy", name, list(STRATEGIES))
        for name in self.classifiers:
            choose("classifier", name, [LDA, BALANCED_FOREST, *CLASSIFIERS])
        known = set(DiffusionOversampler().get_params()) - {"into", "random_state"}
        for name in self.sampler:
            choose("parameter of the sampler", name, sorted(known))
        least = {
            "draws": 1,
            "scvi_draws": 0,
            "first": 0,
            "least": 4,
            "max_reference": 1,
            "n_genes": 2,
        }
        for key, low in least.items():
            if getattr(self, key) < low:
                raise ValueError(f"params: {key}={getattr(self, key)} must be at least {low}.")
        if not all(isinstance(n, int) and n >= 0 for n in self.sizes):
            raise ValueError(f"params: sizes={self.sizes} must be whole numbers, at least 0.")
        for n, draws in self.draws_of_size.items():
            if n not in self.sizes or not isinstance(draws, int) or draws < 1:
                raise ValueError(
                    f"params: draws_of_size={self.draws_of_size} must name numbers from 1 on for "
                    f"some of sizes={self.sizes}."
                )

    def draws_of(self, n: int, strategy: str) -> int:
        """Return how many divisions a strategy is tried on with `n` cells of the type."""
        draws: int = self.draws_of_size.get(n, self.draws)
        if STRATEGIES[strategy].needs:
            return min(draws, self.scvi_draws) if n in self.scvi_sizes else 0
        return draws


def units(config: StudyConfig, datasets: Sequence[Dataset]) -> list[dict[str, Any]]:
    """One unit for each draw, target batch, type, number of its cells, and strategy."""
    p: Parameters = config.params
    shared = {name: getattr(p, name) for name in ("max_reference", "classifiers", "n_genes")}
    return [
        {
            "dataset": data.name,
            "name": f"{data.name} {into} without {rare}, n={n}, draw {draw}, {strategy}",
            "group": group,
            "into": into,
            "rare": rare,
            "n": n,
            "draw": draw,
            "strategy": strategy,
            "sampler": p.sampler if strategy in SAMPLED else {},
            **shared,
        }
        for draw in range(p.first, p.first + max(p.draws_of(n, "pooled") for n in p.sizes))
        for data in datasets
        for group, into in _targets(data, p)
        for rare in _types(data, group, into, p.least)
        for n in p.sizes
        for strategy in p.strategies
        if _applies(strategy, n, p.classifiers) and draw < p.first + p.draws_of(n, strategy)
    ]


def _applies(strategy: str, n: int, classifiers: Sequence[str]) -> bool:
    """Whether there is something to learn the type from, and to be weighted."""
    if strategy == "pooled_weights":
        return any(name in CLASSIFIERS and CLASSIFIERS[name].weights for name in classifiers)
    return n > 0 or strategy != "target_augmented"


def _targets(data: Dataset, p: Parameters) -> list[tuple[str, str]]:
    if data.name not in p.targets:
        raise ValueError(
            f"params: targets names no target batch of {data.name!r}; it has {sorted(p.targets)}. "
            f"Add {data.name}: [annotation, batch]."
        )
    group, *wanted = map(str, p.targets[data.name])
    choose(f"annotation of {data.name!r}", group, list(data.groups))
    batches = np.unique(data.groups[group]).tolist()
    return [(group, choose(f"{group} of {data.name!r}", into, batches)) for into in wanted]


def _types(data: Dataset, group: str, into: str, least: int) -> list[str]:
    """Types with enough cells in the target batch, and cells in another."""
    inside = data.groups[group] == into
    found = [
        label
        for label in np.unique(data.y).tolist()
        if (inside & (data.y == label)).sum() >= least and (~inside & (data.y == label)).any()
    ]
    if not found:
        raise ValueError(
            f"no type has {least} cells with {group} {into!r} in {data.name!r}, and some "
            f"elsewhere. Lower least."
        )
    return found


def compute(unit: dict[str, Any], data: Dataset, seed: int) -> Output:
    """Train every classifier after a strategy, and compare the cells that it makes."""
    fold = make_fold(
        data, unit["group"], unit["into"], unit["rare"], unit["n"], unit["max_reference"],
        unit["draw"],
    )  # fmt: skip
    start = time.process_time()
    training = STRATEGIES[unit["strategy"]].build(fold, seed, with_objects(unit["sampler"]))
    shared = {key: unit[key] for key in ("into", "rare", "n", "draw", "strategy")}
    shared["seconds"] = time.process_time() - start
    classifiers = [*unit["classifiers"]]
    if unit["strategy"] == "pooled":
        classifiers.append(BALANCED_FOREST)
    scores = _scores(training, fold, classifiers, seed, data.genes.tolist())
    rows: list[dict[str, Any]] = [{**shared, "kind": "score", **found} for found in scores]
    if training.made is not None:
        rows.append({**shared, "kind": "cells", **_cells(training.made, fold, unit, seed)})
    return Output(rows)


def _scores(
    training: Training,
    fold: Fold,
    classifiers: Sequence[str],
    seed: int,
    genes: Sequence[str],
) -> Iterator[dict[str, Any]]:
    """F1 of the type, and of all types, on the test cells."""
    if training.calls is not None:
        yield {"classifier": ITSELF, **_f1(fold, training.calls)}
        return
    for name in classifiers:
        if training.embedded and name not in SPACE_FREE:
            continue
        if training.weighted and (name in TITLES or not CLASSIFIERS[name].weights):
            continue
        model = _classifier(name, training, seed, genes)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            called = model.fit(training.X, training.y).predict(training.test_X)
        yield {"classifier": name, **_f1(fold, called)}


def _f1(fold: Fold, called: NDArray) -> dict[str, float]:
    rare = f1_score(fold.test_y == fold.rare, called == fold.rare, zero_division=0)
    macro = f1_score(fold.test_y, called, average="macro", zero_division=0)
    return {"f1": float(rare), "macro_f1": float(macro)}


def _classifier(name: str, training: Training, seed: int, genes: Sequence[str]) -> Any:
    if name == LDA:
        n = len(np.unique(training.y))
        lda = LinearDiscriminantAnalysis("lsqr", shrinkage="auto", priors=np.full(n, 1 / n))
        return make_pipeline(UpToPCA(50, random_state=seed), lda)
    if name == BALANCED_FOREST:
        return BalancedRandomForestClassifier(100, random_state=seed, n_jobs=1)
    return build_classifier(name, training.weighted, seed, genes)[0]


def _cells(
    made: NDArray, fold: Fold, unit: Mapping[str, Any], seed: int
) -> dict[str, float | int | None]:
    """MMD, and R² of the genes that change most, of cells beside the test cells of the type.

    Every set has as many cells as the smallest; MMD grows as sets shrink.
    """
    real, pooled = fold.real, fold.pooled
    rng = np.random.default_rng(seed)
    n = min(len(real), len(made))
    change = np.abs(real.mean(axis=0) - pooled.mean(axis=0))
    genes = np.argsort(-change, kind="stable")[: unit["n_genes"]]
    a, b = real[:, genes].mean(axis=0), made[:, genes].mean(axis=0)
    r2 = 1 - float(((a - b) ** 2).sum() / ((a - a.mean()) ** 2).sum())
    some = made[rng.permutation(len(made))[:n]]
    near = float(mmd(real[:n], some, random_state=seed)) if n > 2 else None
    return {"n_cells": n, "mmd": near, "r2": r2}
