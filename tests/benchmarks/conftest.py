"""A small data set and a config for the harness's tests."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scdiff_bench.config.study import Config, parse_config
from scdiff_bench.data.datasets import DATASETS, Dataset, from_anndata

SIZES = {"A": 60, "B": 40, "C": 24, "D": 12}


def _make_anndata(sizes: dict[str, int] | None = None, n_genes: int = 60, seed: int = 0) -> Any:
    """Counts of a few types, each with genes of its own."""
    rng = np.random.default_rng(seed)
    y = np.repeat(list(sizes or SIZES), list((sizes or SIZES).values()))
    base = rng.gamma(1.0, 2.0, n_genes)
    counts = np.empty((len(y), n_genes), dtype=np.int32)
    for name in np.unique(y):
        # Seeded by the name, so that a type looks the same in every data set of a test.
        own = np.random.default_rng(list(hashlib.md5(name.encode()).digest()[:4]))
        rates = base * own.choice([1.0, 3.0], n_genes, p=[0.8, 0.2])
        counts[y == name] = rng.poisson(rates, (int((y == name).sum()), n_genes))
    obs = pd.DataFrame({"cell_type": y}, index=[f"cell{i}" for i in range(len(y))])
    return ad.AnnData(counts, obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(n_genes)]))


@pytest.fixture(autouse=True)
def _no_garbage_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes longer than anything these tests measure."""
    monkeypatch.setattr("scdiff_bench.running.resources.gc.collect", lambda: 0)


@pytest.fixture(scope="session")
def _empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow takes seconds to set up a database; tests that start from none copy this one."""
    from mlflow import MlflowClient

    file = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{file}").search_experiments()
    return file


@pytest.fixture
def mlflow_store(_empty_store: Path, tmp_path: Path) -> Path:
    """Put an empty MLflow database into the test's folder."""
    return Path(shutil.copy(_empty_store, tmp_path / "mlflow.db"))


@pytest.fixture(scope="session")
def make_anndata() -> Callable[..., Any]:
    return _make_anndata


@pytest.fixture
def dataset() -> Dataset:
    return from_anndata(_make_anndata(), "toy", "cell_type")


@pytest.fixture
def make_config(monkeypatch: pytest.MonkeyPatch, dataset: Dataset) -> Callable[..., Config]:
    monkeypatch.setitem(DATASETS, "toy", lambda: dataset)

    def make(**changes: Any) -> Config:
        raw = {
            "name": "toy_study",
            "title": "A toy study",
            "datasets": ["toy"],
            "split": {"kind": "repeated_stratified_cv", "n_splits": 3},
            "strategies": ["none", "class_weight", "smote"],
            "classifiers": ["knn"],
        }
        return parse_config(raw | changes, Path("."))

    return make
