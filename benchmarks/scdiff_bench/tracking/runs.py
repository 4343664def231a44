"""Send a finished study to MLflow: its config, rows, data sets, files and models."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
from scdiff_bench.classifiers.catalogue import CLASSIFIERS
from scdiff_bench.config.study import Config
from scdiff_bench.data.datasets import Dataset, DatasetInfo, describe
from scdiff_bench.evaluation.scores import SCORES
from scdiff_bench.tracking.logged_generator import log_generator

DEFAULT_URI = "sqlite:///mlflow.db"
MAX_METRICS = 1000
MAX_PARAMS, MAX_VALUE = 100, 6000
MAX_DIGEST = 36
DIGEST, STUDY_RUN, NOTE = "study.rows", "study.run", "mlflow.note.content"
VIEW, VIEW_TAG = "ranking", "mlflow.sharedViewState."
"""A view that MLflow's page opens with where its address names it: which columns the table has."""

PIPELINE = ("strategy", "classifier", "n", "dataset")
COSTS = (
    "seconds_resample",
    "seconds_fit",
    "seconds_predict",
    "peak_memory_mb",
    "n_synthetic",
    "detector_auc",
)
# An address that does not answer should be known within seconds, not minutes.
PATIENCE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # a line for each of dozens of runs
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


class Headed(Protocol):
    """What every kind of config has."""

    @property
    def name(self) -> str: ...

    @property
    def title(self) -> str: ...

    @property
    def description(self) -> str: ...


class TrackingError(Exception):
    """MLflow could not be reached, or refused the study."""


def log_study(
    uri: str,
    config: Config,
    datasets: Sequence[Dataset | DatasetInfo],
    rows: pd.DataFrame,
    artifacts: Sequence[Path],
    versions: Mapping[str, str],
    generators: Mapping[str, Path] | None = None,
) -> str:
    """Log a study: a run for each pipeline, and one for the study with its files.

    A pipeline is a strategy with a classifier, on one data set and number of training cells. Its
    metrics are the means over folds, under the scores' own names, and ``seconds`` to resample and
    to fit; folds are the steps of ``fold/<score>``. No run hides another: none is nested, and the
    pipelines that are better by the study's first score come later, so that MLflow, which shows the
    latest runs first, opens on a ranking. The tag ``study.run`` names the run of the study.

    Parameters
    ----------
    uri : str
        Tracking URI.
    config : Config
        The study; its name is the experiment's.
    datasets : sequence of Dataset or DatasetInfo
        Its data sets.
    rows : DataFrame
        Its results.
    artifacts : sequence of Path
        Files of the study's run.
    versions : mapping of str to str
        Logged as tags.
    generators : mapping of str to Path, optional
        Saved generators by data set; each becomes a pyfunc model of the study's run.

    Returns
    -------
    str
        Id of the study's run.

    Raises
    ------
    TrackingError
        If MLflow cannot be reached or refuses; nothing on disk is touched.
    """
    complete = bool((rows["status"] == "ok").all())
    params = config_params(config)
    with _study_run(
        uri, config, params, datasets, artifacts, versions, complete, _how_to_read(config)
    ) as study:
        client, shown = study.client, ("dataset", "split", "strategy", "classifier", "params")
        for part in ranked(rows, config.main_score):
            first = part.iloc[0]
            where = {k: first[k] for k in (*shown, "sampling_strategy", "seed")}
            where |= {} if pd.isna(first["n"]) else {"n": int(first["n"])}
            run = study.result(pipeline_name(first, rows), where, to_metrics(part))
            log_inputs(client, run, [d for d in datasets if d.name == first["dataset"]])
            failed = part[part["status"] != "ok"]
            if len(failed):
                client.set_tag(run, "error", str(failed["error"].iloc[0])[:MAX_VALUE])
            client.set_terminated(run, "FAILED" if len(failed) else "FINISHED")
        for name, path in (generators or {}).items():
            log_generator(client, study.experiment, study.run_id, name, path)
        client.set_tag(study.run_id, DIGEST, rows_digest(rows))
        client.set_experiment_tag(study.experiment, VIEW_TAG + VIEW, _view(config))
    return study.run_id


def _view(config: Config) -> str:
    """Return the table's columns as MLflow's page keeps them: pipeline, scores and cost."""
    scores = dict.fromkeys([config.main_score, "macro_f1", "rare_f1", "seconds"])
    columns = [f"metrics.`{name}`" for name in scores]
    return json.dumps({"selectedColumns": columns + [f"params.`{p}`" for p in PIPELINE]})


def address(uri: str, name: str) -> str:
    """Return where a browser finds an experiment's table.

    Parameters
    ----------
    uri : str
        Tracking URI.
    name : str
        Of the experiment.

    Returns
    -------
    str
        On the server itself, or on the port that ``mlflow ui`` opens by default.

    Raises
    ------
    TrackingError
        As `log_study`.
    """
    with _reachable(uri):
        from mlflow import MlflowClient

        found = MlflowClient(tracking_uri=uri).get_experiment_by_name(name)
    view = f"&viewStateShareKey={VIEW}" if found and VIEW_TAG + VIEW in found.tags else ""
    where = uri.rstrip("/") if uri.startswith("http") else "http://127.0.0.1:5000"
    place = f"#/experiments/{found.experiment_id}/runs" if found else "#/experiments"
    return f"{where}/{place}?workflowType=machine_learning{view}"


def ranked(rows: pd.DataFrame, score: str) -> list[pd.DataFrame]:
    """Return the rows of each pipeline, the best of each data set and n last.

    Parameters
    ----------
    rows : DataFrame
        Results of a study.
    score : str
        What they are ranked by.

    Returns
    -------
    list of DataFrame
        Data sets and numbers of cells in reverse order, so that the latest are the first.
    """
    sign = 1 if SCORES[score].higher_is_better else -1

    def rank(part: pd.DataFrame) -> float:
        mean = part[score].astype(float).mean()
        return sign * mean if is_number(mean) else -math.inf

    found: list[pd.DataFrame] = []
    settings = [part for _, part in rows.groupby(["dataset", "n"], sort=False, dropna=False)]
    for setting in reversed(settings):
        parts = [part for _, part in setting.groupby(["strategy", "classifier"], sort=False)]
        found += sorted(parts, key=rank)
    return found


def pipeline_name(row: pd.Series, rows: pd.DataFrame) -> str:
    """Return what a run is called: the pipeline, and where a study has several, data set and n.

    Parameters
    ----------
    row : Series
        Of the pipeline.
    rows : DataFrame
        Of the study.

    Returns
    -------
    str
        Short.
    """
    name = f"{row['strategy']} + {CLASSIFIERS[row['classifier']].title}".replace("_", " ")
    where = [row["dataset"]] if rows["dataset"].nunique() > 1 else []
    if rows["n"].nunique(dropna=False) > 1:
        where.append("natural proportions" if pd.isna(row["n"]) else f"n = {int(row['n'])}")
    return f"{name} ({', '.join(where)})" if where else name


def _how_to_read(config: Config) -> str:
    shown = ", ".join(f"`{s}` ({SCORES[s].title})" for s in config.scores)
    return (
        f"Each run is a pipeline, a strategy with a classifier; the best by `{config.main_score}` "
        f"stands first. Metrics are means over folds: {shown}, `seconds` to resample and to fit; "
        "`fold/...` are the folds. The run of the study has the page, `index.html`, as an artifact."
    )


def is_logged(uri: str, config: Headed, rows: pd.DataFrame) -> bool:
    """Return whether a store has these rows already.

    Parameters
    ----------
    uri : str
        Tracking URI.
    config : Headed
        The study.
    rows : DataFrame
        Its results.

    Returns
    -------
    bool
        True if a run of the study carries their digest.

    Raises
    ------
    TrackingError
        As `log_study`.
    """
    with _reachable(uri):
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=uri)
        found = client.get_experiment_by_name(config.name)
        if found is None:
            return False
        same = f"tags.`{DIGEST}` = '{rows_digest(rows)}'"
        return bool(client.search_runs([found.experiment_id], same, max_results=1))


def rows_digest(rows: pd.DataFrame) -> str:
    """Return a hash over all rows."""
    text = rows.to_json(orient="split", double_precision=12)
    return hashlib.sha256(str(text).encode()).hexdigest()[:32]


def log_metrics(
    uri: str,
    config: Headed,
    params: Mapping[str, Any],
    datasets: Sequence[Dataset | DatasetInfo],
    metrics: Mapping[str, float],
    artifacts: Sequence[Path],
    versions: Mapping[str, str],
    complete: bool,
) -> str:
    """Log a study of the generator, whose result is a list of numbers: one run.

    Parameters
    ----------
    uri : str
        Tracking URI.
    config : Headed
        The study; its name is the experiment's.
    params : mapping of str to object
        What the study was asked.
    datasets : sequence of Dataset or DatasetInfo
        Its data sets.
    metrics : mapping of str to float
        What came out. In their names a plus becomes ``p``, and whatever else MLflow does not
        take there ``_``.
    artifacts : sequence of Path
        Files of the run.
    versions : mapping of str to str
        Logged as tags.
    complete : bool
        Whether nothing failed.

    Returns
    -------
    str
        Id of the run.

    Raises
    ------
    TrackingError
        As `log_study`.
    """
    with _study_run(uri, config, params, datasets, artifacts, versions, complete) as run:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        named = {re.sub(r"[^\w\-. /]", "_", k.replace("+", "p")): v for k, v in metrics.items()}
        logged = [Metric(k, float(v), now, 0) for k, v in named.items() if is_number(v)]
        _log_all(run.client, run.run_id, logged)
    return run.run_id


@dataclass(frozen=True)
class _Run:
    """An open run of a study."""

    client: Any
    experiment: str
    run_id: str

    def result(self, name: str, params: Mapping[str, Any], metrics: Sequence[Any]) -> str:
        """Open a run beside that of the study, and return its id."""
        from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME

        tags = {STUDY_RUN: self.run_id, MLFLOW_RUN_NAME: name}
        run_id: str = self.client.create_run(self.experiment, tags=tags).info.run_id
        self.client.log_batch(run_id, metrics=metrics[:MAX_METRICS], params=to_params(params))
        _log_all(self.client, run_id, metrics[MAX_METRICS:])
        return run_id


@contextmanager
def _study_run(
    uri: str,
    config: Headed,
    params: Mapping[str, Any],
    datasets: Sequence[Dataset | DatasetInfo],
    artifacts: Sequence[Path],
    versions: Mapping[str, str],
    complete: bool,
    how_to_read: str = "",
) -> Iterator[_Run]:
    """Open a study's run with its parameters and inputs; add its files and close it."""
    with _reachable(uri):
        from mlflow import MlflowClient
        from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME

        client = MlflowClient(tracking_uri=uri)
        found = client.get_experiment_by_name(config.name)
        experiment = found.experiment_id if found else client.create_experiment(config.name)
        about = f"{config.title}\n\n{config.description}\n\n{how_to_read}".strip()
        client.set_experiment_tag(experiment, NOTE, about)
        tags = {f"version.{name}": value for name, value in versions.items()} | {NOTE: about}
        name = f"study {config.name}: page, tables, models"
        run = client.create_run(experiment, tags={**tags, MLFLOW_RUN_NAME: name})
        run_id: str = run.info.run_id
        status = "FAILED"
        try:
            client.log_batch(run_id, params=to_params(params))
            log_inputs(client, run_id, datasets)
            yield _Run(client, experiment, run_id)
            for path in artifacts:
                client.log_artifact(run_id, str(path))
            status = "FINISHED" if complete else "FAILED"
        finally:
            client.set_terminated(run_id, status)


@contextmanager
def _reachable(uri: str) -> Iterator[None]:
    """Turn what MLflow or its store raises into a `TrackingError`."""
    for name, value in PATIENCE.items():
        os.environ.setdefault(name, value)
    from mlflow.exceptions import MlflowException

    for name in ("mlflow", "alembic"):  # after the import, which sets levels of its own
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        yield
    except (MlflowException, OSError) as error:
        raise TrackingError(f"{uri}: {str(error).splitlines()[0]}") from error
    except Exception as error:
        # The store's own database layer raises errors of its own kind.
        if type(error).__module__.split(".")[0] not in ("sqlalchemy", "sqlite3", "alembic"):
            raise
        raise TrackingError(f"{uri}: {str(error).splitlines()[0]}") from error


def _log_all(client: Any, run_id: str, metrics: Sequence[Any]) -> None:
    for start in range(0, len(metrics), MAX_METRICS):
        client.log_batch(run_id, metrics=metrics[start : start + MAX_METRICS])


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
    """Return values as parameters of a run."""
    from mlflow.entities import Param

    texts = {k: v if isinstance(v, str) else json.dumps(v, default=str) for k, v in values.items()}
    params = [Param(key, text[:MAX_VALUE]) for key, text in texts.items()]
    if len(params) > MAX_PARAMS:
        raise ValueError(f"{len(params)} parameters, MLflow takes {MAX_PARAMS} at a time.")
    return params


def to_metrics(part: pd.DataFrame) -> list[Any]:
    """Return a pipeline's scores and costs: means, and each fold as a step.

    Parameters
    ----------
    part : DataFrame
        Rows of one data set, number of training cells, strategy and classifier.

    Returns
    -------
    list of Metric
        As `log_study` names them.
    """
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    values = part[[*SCORES, *COSTS]].astype(float)
    values["seconds"] = values[["seconds_resample", "seconds_fit"]].sum(axis=1, min_count=2)
    metrics = []
    for name in values:
        known = [
            (int(step), float(value))
            for step, value in zip(part["fold_index"], values[name], strict=True)
            if is_number(value)
        ]
        metrics += [Metric(f"fold/{name}", value, now, step) for step, value in known]
        if known:
            mean = sum(v for _, v in known) / len(known)
            metrics.append(Metric(name, round(mean, 4), now, 0))  # as columns have room for
    return metrics


def is_number(value: Any) -> bool:
    """Return whether a value can be logged as a metric."""
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
