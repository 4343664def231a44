"""What the harness's canary computes: one small unit for each strategy and each classifier.

Every case gives numbers: scores of the rows that a unit leaves, or the figures of `evaluate`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from canary_cells import CELLS, SHORT, counts
from scdiff_bench.classifiers.catalogue import CLASSIFIERS
from scdiff_bench.config.study import parse_config
from scdiff_bench.data.datasets import DATASETS, Dataset, from_anndata
from scdiff_bench.evaluation.scores import SCORES
from scdiff_bench.running.runner import make_units
from scdiff_bench.running.units import run_unit
from scdiff_bench.strategies.catalogue import STRATEGIES
from scdiff_bench.strategies.latent_gaussian import LatentGaussianOversampler

from scdiff_augment.metrics import evaluate

SIZES = {"A": 90, "B": 60, "C": 50, "D": 40}
COLUMNS = (*SCORES, "detector_auc", "separation", "n_synthetic")
INSTALLED = [name for name, entry in CLASSIFIERS.items() if not entry.needs]
QUICK = ["knn", "logistic_regression"]


def _dataset() -> Dataset:
    """Counts of four types, each with some genes of its own."""
    rng = np.random.default_rng(5)
    y = np.repeat(list(SIZES), list(SIZES.values()))
    base = rng.gamma(1.0, 1.5, 60)
    X = np.empty((len(y), 60), dtype=np.int32)
    for k, name in enumerate(SIZES):
        rates = base * np.random.default_rng(k).choice([1.0, 2.2], 60, p=[0.8, 0.2])
        X[y == name] = rng.poisson(rates, (SIZES[name], 60))
    obs = pd.DataFrame({"cell_type": y}, index=[f"cell{i}" for i in range(len(y))])
    var = pd.DataFrame(index=[f"g{i}" for i in range(60)])
    return from_anndata(ad.AnnData(X, obs=obs, var=var), "canary", "cell_type")


def _unit(strategy: str, classifiers: list[str]) -> list[float]:
    data = _dataset()
    DATASETS["canary"] = lambda: data
    try:
        config = parse_config(
            {
                "name": "canary",
                "title": "Canary",
                "datasets": ["canary"],
                "split": {
                    "kind": "rare_cell_draw",
                    "rare": ["D"],
                    "n": [8],
                    "draws": 1,
                    "n_other": None,
                },
                "strategies": [strategy],
                "classifiers": classifiers,
            },
            Path(),
        )
        (unit,) = make_units(config, [data])
    finally:
        del DATASETS["canary"]
    record = run_unit(unit)
    failed = [row["error"] for row in record["rows"] if row["status"] != "ok"]
    assert not failed, failed
    return [number(row[column]) for row in record["rows"] for column in COLUMNS]


def _figures() -> list[float]:
    X, labels = counts()
    real, new, more = X[::3], X[1::3], X[2::3]
    table = evaluate(
        real,
        new,
        null=more,
        training=more,
        labels=labels[::3],
        synthetic_labels=labels[1::3],
        null_labels=labels[2::3],
        training_labels=labels[2::3],
        n_estimators=25,
    )
    return [number(v) for v in table[["synthetic", "null"]].to_numpy().ravel()]


def number(value: Any) -> float:
    """Missing values as a number that no score has."""
    return -1.0 if value is None or pd.isna(value) else float(value)


def _gaussian() -> tuple[np.ndarray, np.ndarray]:
    X, labels = counts()
    sampler = LatentGaussianOversampler(random_state=0, decoder_steps=SHORT["decoder_steps"])
    more, y = sampler.fit_resample(X, labels)
    return more[len(labels) :], y[len(labels) :]


CELLS["Gaussian arm, counts"] = _gaussian

OPTIONAL = ("scvi", "scanvi")
"""Strategies of packages that tests do without."""

HARNESS: dict[str, Callable[[], list[float]]] = {
    **{
        f"strategy, {name}": partial(_unit, name, QUICK)
        for name, entry in STRATEGIES.items()
        if not entry.package and name not in OPTIONAL
    },
    "every classifier": partial(_unit, "none", INSTALLED),
    "every classifier, weighted": partial(_unit, "class_weight", INSTALLED),
    "metrics": _figures,
}
"""Name to a function that computes numbers."""
