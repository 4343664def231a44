"""How real are the cells: figures of fidelity beside their null, on cells never seen."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.datasets import Dataset
from benchmarks.generation.models import check_model, make_model
from benchmarks.generation.parts import Output, StudyConfig
from scdiff_augment.metrics import evaluate, telling_genes

DRAWN = 1000
"""Cells of each side that the pictures show."""

N_MARKERS = 2
"""Markers of each class in the dot plot."""


@dataclass(frozen=True)
class Parameters:
    """Parameters of the study.

    Attributes
    ----------
    draws : int
        Splits of each data set, each with models of its own.
    n_train, n_score : int
        Cells that the model learns from, at most half of all; synthetic cells, and real cells in
        each of the two parts they are compared with, at most half of the rest.
    n_estimators : int
        Trees of the forests. Figures of forests of different sizes must not be compared.
    variants : dict of str to dict
        Parameters of the generator by the name of the variant; the first is the one pictured.
    """

    draws: int = 2
    n_train: int = 4000
    n_score: int = 1500
    n_estimators: int = 200
    variants: dict[str, dict[str, Any]] = field(default_factory=lambda: {"default": {}})

    def __post_init__(self) -> None:
        if not self.variants:
            raise ValueError("params: variants must name at least one, for example {default: {}}.")
        for params in self.variants.values():
            check_model(params or {})
        for key in ("draws", "n_train", "n_score", "n_estimators"):
            if getattr(self, key) < 1:
                raise ValueError(f"params: {key}={getattr(self, key)} must be at least 1.")


def units(config: StudyConfig, datasets: Sequence[Dataset]) -> list[dict[str, Any]]:
    """One unit per data set, draw and variant; variants of a draw share its cells."""
    p: Parameters = config.params
    return [
        {
            "dataset": data.name,
            "name": f"{data.name} {variant} draw {draw}",
            "draw": draw,
            "variant": variant,
            "model": params or {},
            "n_train": p.n_train,
            "n_score": p.n_score,
            "n_estimators": p.n_estimators,
            "pictured": draw == 0 and variant == next(iter(p.variants)),
            "split": config.seed + draw,
        }
        for data in datasets
        for draw in range(p.draws)
        for variant, params in p.variants.items()
    ]


def compute(unit: dict[str, Any], data: Dataset, seed: int) -> Output:
    """Fit a model on one part, compare its cells with a second, and a third with the second."""
    X, y = data.X, data.y
    n_train = min(unit["n_train"], len(X) // 2)
    n = min(unit["n_score"], (len(X) - n_train) // 2)
    order = np.random.default_rng([unit["split"], len(X)]).permutation(len(X))
    train, real, null = np.split(order[: n_train + 2 * n], [n_train, n_train + n])
    start = time.process_time()
    model = make_model(unit["model"], seed).fit(X[train])
    new = model.sample(n=n)
    seconds = time.process_time() - start
    named = np.isin(y[real], np.unique(y[train]))
    model.add_condition("label", y[train])
    by_name = model.sample({"label": y[real][named]})
    shared = {"random_state": seed, "n_estimators": unit["n_estimators"], "training": X[train]}
    free = evaluate(X[real], new, null=X[null], **shared)
    classes = evaluate(
        X[real][named],
        by_name,
        null=X[null],
        labels=y[real][named],
        synthetic_labels=y[real][named],
        null_labels=y[null],
        training_labels=y[train],
        **shared,
    )
    classes = classes[classes["class"] != "all cells"]
    base = {"draw": unit["draw"], "variant": unit["variant"], "n": n, "n_train": n_train}
    base["seconds"] = seconds
    rows = [
        {**base, "conditions": asked, **row}
        for asked, table in (("none", free), ("label", classes))
        for row in table.drop(columns="n").to_dict("records")
    ]
    if not unit["pictured"]:
        return Output(rows)
    drawn, named_rows = slice(0, DRAWN), real[named][:DRAWN]
    trees = {"n_estimators": unit["n_estimators"], "random_state": seed}
    telling = telling_genes(X[real], new, genes=data.genes, **trees).head(15)
    arrays = {
        "real": X[real][drawn],
        "synthetic": new[drawn],
        "real_named": X[named_rows],
        "labels": y[named_rows],
        "synthetic_named": by_name[drawn],
        "genes": data.genes,
        "markers": _markers(X[train], y[train]),
        "telling_gene": telling.index.to_numpy(dtype=str),
        **{f"telling_{c}": telling[c].to_numpy() for c in telling},
    }
    return Output(rows, arrays)


def _markers(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Columns of the genes that stand out in each class of the training cells, (classes, n)."""
    found = []
    for label in np.unique(y):
        inside = y == label
        gap = X[inside].mean(axis=0) - X[~inside].mean(axis=0)
        found.append(np.argsort(-gap)[:N_MARKERS])
    return np.array(found)
