"""Configs, rows and data sets as MLflow's parameters, metrics and inputs."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from scdiff_bench.config.study import Config
from scdiff_bench.data.datasets import Dataset, DatasetInfo, describe
from scdiff_bench.evaluation.scores import SCORES

MAX_PARAMS, MAX_VALUE = 100, 6000
MAX_DIGEST = 36


def config_params(config: Config) -> dict[str, Any]:
    """Return a config as flat parameters.

    Parameters
    ----------
    config : Config
        The study.

    Returns
    -------
    dict of str to object
        One entry per key, and one per strategy with parameters of its own.
    """
    flat: dict[str, Any] = {
        "title": config.title,
        "seed": config.seed,
        "datasets": [d.name for d in config.datasets],
        "split.kind": config.split_kind,
        "sampling_strategy": config.sampling_strategy,
        "strategies": [s.label for s in config.strategies],
        "classifiers": list(config.classifiers),
        "scores": list(config.scores),
    }
    if config.n_genes is not None:
        flat["n_genes"] = config.n_genes
    flat |= {f"split.{key}": value for key, value in config.split_params.items()}
    return flat | {f"strategy.{s.label}": s.params for s in config.strategies if s.params}


def to_params(values: Mapping[str, Any]) -> list[Any]:
    """Return values as parameters of a run.

    Parameters
    ----------
    values : mapping
        At most 100 of them.

    Returns
    -------
    list of Param
        Texts, cut to what MLflow takes.
    """
    from mlflow.entities import Param

    texts = {k: v if isinstance(v, str) else json.dumps(v, default=str) for k, v in values.items()}
    params = [Param(key, text[:MAX_VALUE]) for key, text in texts.items()]
    if len(params) > MAX_PARAMS:
        raise ValueError(f"{len(params)} parameters, MLflow takes {MAX_PARAMS} at a time.")
    return params


def to_metrics(part: pd.DataFrame) -> list[Any]:
    """Return a strategy's scores and costs, folds as steps, and the scores' means.

    Parameters
    ----------
    part : DataFrame
        Rows of one data set and strategy.

    Returns
    -------
    list of Metric
        As `scdiff_bench.tracking.tracking.log_study` names them.
    """
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    costs = ("seconds_resample", "peak_memory_mb", "n_synthetic", "detector_auc")
    metrics = []
    keys = ["rare_set", "n", "classifier"]
    for (rare_set, n, classifier), mine in part.groupby(keys, sort=False, dropna=False):
        place = [re.sub(r"[^\w\-.]+", "-", rare_set), "" if pd.isna(n) else f"n{n}"]
        stem = "/".join(filter(None, [classifier, *place]))
        for name in (*SCORES, "seconds_fit", "seconds_predict"):
            pairs = zip(mine["fold_index"], mine[name], strict=True)
            values = [(int(step), float(value)) for step, value in pairs if is_number(value)]
            metrics += [Metric(f"{stem}/{name}", value, now, step) for step, value in values]
            if values and name in SCORES:
                mean = sum(value for _, value in values) / len(values)
                metrics.append(Metric(f"mean/{stem}/{name}", mean, now, 0))
    for _, unit in part.drop_duplicates(["unit", "strategy"]).iterrows():
        step = int(unit["fold_index"])
        metrics += [Metric(c, float(unit[c]), now, step) for c in costs if is_number(unit[c])]
    return metrics


def is_number(value: Any) -> bool:
    """Return whether a value can be logged as a metric.

    Parameters
    ----------
    value : object
        Anything.

    Returns
    -------
    bool
        False for what is missing or infinite.
    """
    return not pd.isna(value) and math.isfinite(float(value))


def log_inputs(client: Any, run_id: str, datasets: Sequence[Dataset | DatasetInfo]) -> None:
    """Log data sets with a digest of their whole content, not of a sample.

    Parameters
    ----------
    client : MlflowClient
        Of the store.
    run_id : str
        The run.
    datasets : sequence of Dataset or DatasetInfo
        Its inputs.
    """
    from mlflow.entities import Dataset as LoggedDataset
    from mlflow.entities import DatasetInput, InputTag

    inputs = []
    for given in datasets:
        data = describe(given) if isinstance(given, Dataset) else given
        profile = {
            "cells": data.cells,
            "genes": data.genes,
            "types": len(data.types),
            "sha256": data.digest,
        }
        source = json.dumps(data.provenance)
        logged = LoggedDataset(
            data.name, data.digest[:MAX_DIGEST], "local", source, profile=json.dumps(profile)
        )
        inputs.append(DatasetInput(logged, [InputTag("mlflow.data.context", "evaluation")]))
    client.log_inputs(run_id, inputs)
