"""Run a study's grid: reuse what is there, keep every result as soon as it is there."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.process_executor import TerminatedWorkerError
from tqdm import tqdm

from benchmarks.config import Config
from benchmarks.datasets import Dataset, load_dataset
from benchmarks.files import write_text
from benchmarks.leakage import require_apart
from benchmarks.splits import make_folds
from benchmarks.strategies import require_installed
from benchmarks.units import Record, Unit, run_in_worker, run_unit


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
    return [load_dataset(d.name, d.path, d.label_key, d.layer) for d in config.datasets]


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
        key = config.split_params.get("key")
        for fold in folds:
            require_apart(data, fold, key)
        units += [Unit(config, data, fold, spec) for fold in folds for spec in config.strategies]
    return units


def prepare_folder(folder: Path) -> None:
    """Make the output folder, and find out before any work whether it can be written.

    Parameters
    ----------
    folder : Path
        The study's folder.

    Raises
    ------
    OSError
        If it cannot; the message names the folder and the way out.
    """
    try:
        (folder / "units").mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder / "units"), tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(
            f"The output folder {folder.resolve()} cannot be written "
            f"({error.strerror or error}). Make it writable, or name another one with --out."
        ) from error


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
        On Ctrl-C, when a worker process dies, or when a result cannot be written; what had been
        computed before is on disk.
    """
    keys = [unit.key for unit in units]
    results = {} if force else {k: r for k in keys if (r := _read(folder, k)) is not None}
    reused = len(results)
    todo = [unit for unit, key in zip(units, keys, strict=True) if key not in results]
    bar = tqdm(total=len(units), initial=reused, desc=config.name, unit="unit", dynamic_ncols=True)
    try:
        with bar:
            for result in _compute(todo, min(jobs, len(todo))):
                if result["unit"] not in keys:
                    raise CodeChangedError
                write_text(_path(folder, result["unit"]), json.dumps(result, indent=1))
                results[result["unit"]] = result
                bar.update()
    except (KeyboardInterrupt, TerminatedWorkerError, CodeChangedError, OSError) as stop:
        if jobs > 1:
            get_reusable_executor().shutdown(wait=False, kill_workers=True)
        kept = sum(_read(folder, key) is not None for key in keys)
        raise Interrupted(kept, len(units), _reason(stop)) from None
    ordered = [results[key] for key in keys]
    return Results(
        rows=_frame([row for r in ordered for row in r["rows"]]),
        classes=_frame([record for r in ordered for record in r["classes"]]),
        computed=len(todo),
        reused=reused,
        tallies=_frame([record for r in ordered for record in r["tallies"]]),
    )


def _compute(units: list[Unit], jobs: int) -> Iterator[Record]:
    """Yield the units' results as they end."""
    if jobs <= 1:
        yield from map(run_unit, units)
        return
    with parallel_config(backend="loky", inner_max_num_threads=1):
        parallel = Parallel(n_jobs=jobs, return_as="generator_unordered", pre_dispatch=jobs)
        yield from parallel(delayed(run_in_worker)(unit) for unit in units)


class CodeChangedError(RuntimeError):
    """A worker that started late read other code than the study began with."""


def _reason(stop: BaseException) -> str:
    if isinstance(stop, CodeChangedError):
        return "The code was edited while the study ran; the results of the new code are dropped."
    if isinstance(stop, TerminatedWorkerError):
        return "A worker process died, most often for want of memory: try fewer --jobs."
    return f"A result could not be written ({stop})." if isinstance(stop, OSError) else ""


def _path(folder: Path, key: str) -> Path:
    return folder / "units" / f"{key}.json"


def _read(folder: Path, key: str) -> Record | None:
    """Return a unit's stored result; a failed one, or half a file, counts as missing."""
    try:
        result: Record = json.loads(_path(folder, key).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return result if all(row["status"] == "ok" for row in result["rows"]) else None


def _frame(records: list[Record]) -> pd.DataFrame:
    frame = pd.DataFrame(records)
    for name in ("n", "n_synthetic"):
        if name in frame:
            frame[name] = frame[name].astype("Int64")
    for name in frame.columns:
        if frame[name].dtype.kind == "O" and frame[name].isna().all():
            frame[name] = frame[name].astype(float)
    return frame
