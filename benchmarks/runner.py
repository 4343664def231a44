"""Run a study's grid: reuse what is there, keep every result as soon as it is there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.process_executor import TerminatedWorkerError
from tqdm import tqdm

from benchmarks import backends
from benchmarks.backends import ClusterLostError
from benchmarks.config import Config
from benchmarks.datasets import Dataset, load_dataset
from benchmarks.leakage import require_apart
from benchmarks.splits import make_folds
from benchmarks.store import keep, read
from benchmarks.strategies import require_installed
from benchmarks.units import Record, Unit, run_unit


class Interrupted(Exception):
    """A run ended early; ``kept`` of ``total`` units are on disk.

    Attributes
    ----------
    kept, total : int
        Units on disk, and units of the study.
    reason : str
        Empty if the user stopped it.
    """

    def __init__(self, kept: int, total: int, reason: str = "") -> None:
        super().__init__(f"{reason} {kept} of {total} units are kept.".strip())
        self.kept, self.total, self.reason = kept, total, reason


@dataclass(frozen=True)
class Results:
    """What a run leaves.

    Attributes
    ----------
    rows : DataFrame
        One line per data set, fold, strategy and classifier.
    classes : DataFrame
        One line per row and type.
    tallies : DataFrame
        One line per row and donor of the test part: calls against true types.
    computed, reused : int
        Units computed in this run and taken from an earlier one.
    """

    rows: pd.DataFrame
    classes: pd.DataFrame
    computed: int
    reused: int
    tallies: pd.DataFrame = field(default_factory=pd.DataFrame)


class Keyed(Protocol):
    """A unit of work: whatever has a key, a content hash over all that its result depends on."""

    @property
    def key(self) -> str: ...


@dataclass(frozen=True)
class Computed:
    """Results of a list of units.

    Attributes
    ----------
    results : list of dict
        One per unit, in the units' order, whatever order they ended in.
    computed, reused : int
        Units computed in this run and taken from an earlier one.
    """

    results: list[Record]
    computed: int
    reused: int


def load_datasets(config: Config) -> list[Dataset]:
    """Load every data set of a study.

    Parameters
    ----------
    config : Config
        The study.

    Returns
    -------
    list of Dataset
        In the config's order.
    """
    return [
        load_dataset(d.name, d.path, d.label_key, d.layer, d.group_key) for d in config.datasets
    ]


def make_units(config: Config, datasets: list[Dataset]) -> list[Unit]:
    """Return the grid of a study, in the order of the config.

    Parameters
    ----------
    config : Config
        The study.
    datasets : list of Dataset
        Its data sets.

    Returns
    -------
    list of Unit
        Data sets x folds x strategies.

    Raises
    ------
    ValueError
        If the split does not fit a data set, or ``sampling_strategy`` names an unknown type.
    """
    for spec in config.strategies:
        require_installed(spec.name)
    units = []
    for data in datasets:
        try:
            folds = make_folds(
                data.y, config.seed, config.split_kind, config.split_params, data.groups
            )
        except ValueError as error:
            raise ValueError(f"Data set {data.name!r}: {error}") from error
        for fold in folds:
            require_apart(data, fold, config.split_params.get("key"))
        units += [Unit(config, data, fold, spec) for fold in folds for spec in config.strategies]
    return units


def run(
    config: Config, units: list[Unit], folder: Path, jobs: int = 1, force: bool = False
) -> Results:
    """Compute the units that are missing, and return the rows of all.

    Parameters
    ----------
    config : Config
        The study.
    units : list of Unit
        Its grid.
    folder : Path
        The study's folder; results of units go to ``units/`` in it.
    jobs : int, default=1
        Processes; each is bounded to one thread.
    force : bool, default=False
        Compute every unit again.

    Returns
    -------
    Results
        Sorted as the grid is, whatever order the units ended in.

    Raises
    ------
    Interrupted
        As `compute`.
    """
    done = compute(config.name, units, folder, run_unit, jobs, force)
    return Results(
        rows=frame([row for r in done.results for row in r["rows"]]),
        classes=frame([record for r in done.results for record in r["classes"]]),
        computed=done.computed,
        reused=done.reused,
        tallies=frame([record for r in done.results for record in r["tallies"]]),
    )


def compute(
    name: str,
    units: Sequence[Keyed],
    folder: Path,
    work: Callable[[Any], Record],
    jobs: int = 1,
    force: bool = False,
) -> Computed:
    """Compute the units that are missing, and keep every result as soon as it is there.

    Parameters
    ----------
    name : str
        Shown beside the progress bar.
    units : sequence of Keyed
        What is to be computed.
    folder : Path
        The study's folder; results of units go to ``units/`` in it.
    work : callable
        Takes a unit, gives a dict with its key as ``unit``, its ``rows`` (each with a ``status``)
        and anything else that JSON holds; NumPy arrays may stand under ``arrays``.
    jobs : int, default=1
        Processes; each is bounded to one thread.
    force : bool, default=False
        Compute every unit again.

    Returns
    -------
    Computed
        Results of all units.

    Raises
    ------
    Interrupted
        On Ctrl-C, when a worker process dies, or when a result cannot be written; what had been
        computed before is on disk.
    """
    keys = [unit.key for unit in units]
    results = {} if force else {k: r for k in keys if (r := read(folder, k)) is not None}
    reused = len(results)
    todo = [unit for unit, key in zip(units, keys, strict=True) if key not in results]
    bar = tqdm(total=len(units), initial=reused, desc=name, unit="unit", dynamic_ncols=True)
    try:
        with bar:
            for result in backends.results(todo, work, min(jobs, len(todo))):
                if result["unit"] not in keys:
                    raise CodeChangedError
                keep(folder, result)
                results[result["unit"]] = result
                bar.update()
    except (KeyboardInterrupt, OSError, *LOST) as stop:
        if jobs > 1:
            get_reusable_executor().shutdown(wait=False, kill_workers=True)
        kept = sum(read(folder, key) is not None for key in keys)
        raise Interrupted(kept, len(units), _reason(stop)) from None
    return Computed([results[key] for key in keys], len(todo), reused)


class CodeChangedError(RuntimeError):
    """A worker that started late read other code than the study began with."""


LOST = (TerminatedWorkerError, CodeChangedError, ClusterLostError)


def _reason(stop: BaseException) -> str:
    if isinstance(stop, CodeChangedError):
        return "The code was edited while the study ran; the results of the new code are dropped."
    if isinstance(stop, TerminatedWorkerError):
        return "A worker process died, most often for want of memory: try fewer --jobs."
    if isinstance(stop, ClusterLostError):
        return f"The cluster could not go on ({stop})."
    return f"A result could not be written ({stop})." if isinstance(stop, OSError) else ""


def frame(records: list[Record]) -> pd.DataFrame:
    """Return records as a table that parquet takes.

    Parameters
    ----------
    records : list of dict
        One per row.

    Returns
    -------
    DataFrame
        Columns without any value are floating.
    """
    found = pd.DataFrame(records)
    for name in ("n", "n_synthetic"):
        if name in found:
            found[name] = found[name].astype("Int64")
    for name in found.columns:
        if found[name].dtype.kind == "O" and found[name].isna().all():
            found[name] = found[name].astype(float)
    return found
