"""Send a finished study to MLflow. The only file that imports mlflow."""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.config import Config
from benchmarks.datasets import DatasetInfo
from benchmarks.scores import SCORES

DEFAULT_URI = "sqlite:///mlflow.db"
MAX_METRICS, MAX_PARAMS, MAX_VALUE = 1000, 100, 6000
MAX_DIGEST = 36
# An address that does not answer should be known within seconds, not minutes.
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}


class TrackingError(Exception):
    """MLflow could not be reached, or refused the study."""


def log_study(
    uri: str,
    config: Config,
    datasets: Sequence[DatasetInfo],
    rows: pd.DataFrame,
    artifacts: Sequence[Path],
    versions: Mapping[str, str],
) -> str:
    """Log a study: one parent run, and one child run per data set and strategy.

    Folds are the steps of a child's metrics, which are named ``<classifier>/<score>``, with
    ``/n<n>`` between them where a split sets n. Means over folds are under ``mean/``.

    Parameters
    ----------
    uri : str
        Tracking URI.
    config : Config
        The study; its name is the experiment's.
    datasets : sequence of DatasetInfo
        Its data sets.
    rows : DataFrame
        Its results.
    artifacts : sequence of Path
        Files of the parent run.
    versions : mapping of str to str
        Logged as tags.

    Returns
    -------
    str
        Id of the parent run.

    Raises
    ------
    TrackingError
        If MLflow cannot be reached or refuses; nothing on disk is touched.
    """
    for name, value in PATIENCE.items():
        os.environ.setdefault(name, value)
    from mlflow.exceptions import MlflowException

    for name in ("mlflow", "alembic"):  # after the import, which sets levels of its own
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        return _log(uri, config, datasets, rows, artifacts, versions)
    except (MlflowException, OSError) as error:
        raise TrackingError(f"{uri}: {str(error).splitlines()[0]}") from error
    except Exception as error:
        # The store's own database layer raises errors of its own kind.
        if type(error).__module__.split(".")[0] not in ("sqlalchemy", "sqlite3", "alembic"):
            raise
        raise TrackingError(f"{uri}: {str(error).splitlines()[0]}") from error


def _log(
    uri: str,
    config: Config,
    datasets: Sequence[DatasetInfo],
    rows: pd.DataFrame,
    artifacts: Sequence[Path],
    versions: Mapping[str, str],
) -> str:
    from mlflow import MlflowClient
    from mlflow.entities import RunStatus
    from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME

    client = MlflowClient(tracking_uri=uri)
    found = client.get_experiment_by_name(config.name)
    experiment = found.experiment_id if found else client.create_experiment(config.name)
    tags = {f"version.{name}": value for name, value in versions.items()}
    note = {"mlflow.note.content": f"{config.title}\n\n{config.description}"}
    parent = client.create_run(experiment, tags={**tags, **note, MLFLOW_RUN_NAME: config.name})
    parent_id: str = parent.info.run_id
    status = RunStatus.to_string(RunStatus.FAILED)
    try:
        client.log_batch(parent_id, params=_params(config_params(config)))
        _log_inputs(client, parent_id, datasets)
        for (dataset, strategy), part in rows.groupby(["dataset", "strategy"], sort=False):
            name = f"{dataset} {strategy}"
            child = client.create_run(
                experiment, tags={MLFLOW_PARENT_RUN_ID: parent_id, MLFLOW_RUN_NAME: name}
            ).info.run_id
            shown = ("dataset", "split", "strategy", "params", "sampling_strategy", "seed")
            client.log_batch(child, params=_params({k: part[k].iloc[0] for k in shown}))
            _log_inputs(client, child, [d for d in datasets if d.name == dataset])
            metrics = _metrics(part)
            for start in range(0, len(metrics), MAX_METRICS):
                client.log_batch(child, metrics=metrics[start : start + MAX_METRICS])
            failed = part[part["status"] != "ok"]
            if len(failed):
                client.set_tag(child, "error", str(failed["error"].iloc[0])[:MAX_VALUE])
            client.set_terminated(child, "FAILED" if len(failed) else "FINISHED")
        for path in artifacts:
            client.log_artifact(parent_id, str(path))
        complete = (rows["status"] == "ok").all()
        status = RunStatus.to_string(RunStatus.FINISHED if complete else RunStatus.FAILED)
    finally:
        client.set_terminated(parent_id, status)
    return parent_id


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
    flat |= {f"split.{key}": value for key, value in config.split_params.items()}
    return flat | {f"strategy.{s.label}": s.params for s in config.strategies if s.params}


def _params(values: Mapping[str, Any]) -> list[Any]:
    from mlflow.entities import Param

    texts = {k: v if isinstance(v, str) else json.dumps(v, default=str) for k, v in values.items()}
    params = [Param(key, text[:MAX_VALUE]) for key, text in texts.items()]
    if len(params) > MAX_PARAMS:
        raise TrackingError(f"{len(params)} parameters, MLflow takes {MAX_PARAMS} at a time.")
    return params


def _metrics(part: pd.DataFrame) -> list[Any]:
    """Return a strategy's scores and costs, folds as steps, and the scores' means."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    costs = ("seconds_resample", "peak_memory_mb", "n_synthetic")
    metrics = []
    for (n, classifier), mine in part.groupby(["n", "classifier"], sort=False, dropna=False):
        stem = classifier if pd.isna(n) else f"{classifier}/n{n}"
        for name in (*SCORES, "seconds_fit", "seconds_predict"):
            pairs = zip(mine["fold_index"], mine[name], strict=True)
            values = [(int(step), float(value)) for step, value in pairs if _is_number(value)]
            metrics += [Metric(f"{stem}/{name}", value, now, step) for step, value in values]
            if values and name in SCORES:
                mean = sum(value for _, value in values) / len(values)
                metrics.append(Metric(f"mean/{stem}/{name}", mean, now, 0))
    for _, unit in part.drop_duplicates("unit").iterrows():
        step = int(unit["fold_index"])
        metrics += [Metric(c, float(unit[c]), now, step) for c in costs if _is_number(unit[c])]
    return metrics


def _is_number(value: Any) -> bool:
    return not pd.isna(value) and math.isfinite(float(value))


def _log_inputs(client: Any, run_id: str, datasets: Sequence[DatasetInfo]) -> None:
    """Log data sets with a digest of their whole content, not of a sample."""
    from mlflow.entities import Dataset as LoggedDataset
    from mlflow.entities import DatasetInput, InputTag

    inputs = []
    for data in datasets:
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
