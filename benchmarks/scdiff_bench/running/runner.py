"""Run a study's grid: reuse stored results, and store every new one at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.process_executor import TerminatedWorkerError
from scdiff_bench.classifiers.catalogue import require_classifier
from scdiff_bench.config.study import Config
from scdiff_bench.data.datasets import Dataset, load_dataset
from scdiff_bench.evaluation.leakage import require_apart
from scdiff_bench.evaluation.splits import make_folds
from scdiff_bench.messages import duration
from scdiff_bench.running import backends
from scdiff_bench.running.backends import ClusterLostError
from scdiff_bench.running.results import Computed, Results, gathered
from scdiff_bench.running.store import keep, read
from scdiff_bench.running.units import Record, Unit, run_unit
from scdiff_bench.strategies.catalogue import require_installed
from tqdm import tqdm


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
        super().__init__(f"{reason} {kept} of {total} units are stored.".strip())
        self.kept, self.total, self.reason = kept, total, reason


class Keyed(Protocol):
    """A unit of work: whatever has a key, a content hash over all that its result depends on."""

    @property
    def key(self) -> str: ...


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
    """Return the grid of a study: repeat by repeat, so that a part of it is a smaller study.

    Parameters
    ----------
    config : Config
        The study.
    datasets : list of Dataset
        Its data sets.

    Returns
    -------
    list of Unit
        Folds x strategies; the first repeat of every data set comes before the second of any.

    Raises
    ------
    ValueError
        If the split does not fit a data set, or ``sampling_strategy`` names an unknown type.
    """
    for spec in config.strategies:
        require_installed(spec.name)
    for name in config.classifiers:
        require_classifier(name)
    pairs = []
    for data in datasets:
        try:
            folds = make_folds(
                data.y, config.seed, config.split_kind, config.split_params, data.groups
            )
        except ValueError as error:
            raise ValueError(f"Data set {data.name!r}: {error}") from error
        for fold in folds:
            require_apart(data, fold, config.split_params.get("key"))
        pairs += [(data, fold) for fold in folds]
    pairs.sort(key=lambda pair: pair[1].repeat)
    return [
        Unit(config, data, fold, spec)
        for data, fold in pairs
        for spec in config.strategies
        if spec.draws is None or fold.repeat < spec.draws
    ]


def run(
    config: Config,
    units: list[Unit],
    folder: Path,
    jobs: int = 1,
    force: bool = False,
    minutes: float | None = None,
    expected: Mapping[str, float] | None = None,
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
        Recompute every unit.
    minutes : float, optional
        No unit is started after so many minutes.
    expected : mapping of str to float, optional
        Seconds that units will take, by key; what is left of them is shown beside the bar,
        corrected by how long those that ended did take.

    Returns
    -------
    Results
        In the grid's order, whatever order the units ended in.

    Raises
    ------
    Interrupted
        As `compute`.
    ValueError
        If there was no time for a single unit.
    """
    done = compute(config.name, units, folder, run_unit, jobs, force, minutes, expected)
    return gathered(units, done)


def compute(
    name: str,
    units: Sequence[Keyed],
    folder: Path,
    work: Callable[[Any], Record],
    jobs: int = 1,
    force: bool = False,
    minutes: float | None = None,
    expected: Mapping[str, float] | None = None,
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
        Recompute every unit.
    minutes : float, optional
        No unit is started after so many minutes.
    expected : mapping of str to float, optional
        Seconds that units will take, by key; what is left of them is shown beside the bar,
        corrected by how long those that ended did take.

    Returns
    -------
    Computed
        Results of all units, or of those that there was time for.

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
    end = time.monotonic() + 60 * minutes if minutes is not None else None
    left = _TimeLeft(expected or {}, [k for k in keys if k not in results], min(jobs, len(todo)))
    bar = tqdm(total=len(units), initial=reused, desc=name, unit="unit", dynamic_ncols=True)
    try:
        with bar:
            for result in backends.results(todo, work, min(jobs, len(todo)), end):
                if result["unit"] not in keys:
                    raise VersionsChangedError
                keep(folder, result)
                results[result["unit"]] = result
                bar.set_postfix_str(left.after(result["unit"]), refresh=False)
                bar.update()
    except (KeyboardInterrupt, OSError, *LOST) as stop:
        if jobs > 1:
            get_reusable_executor().shutdown(wait=False, kill_workers=True)
        kept = sum(read(folder, key) is not None for key in keys)
        raise Interrupted(kept, len(units), _reason(stop)) from None
    there = [results[key] for key in keys if key in results]
    return Computed(there, len(there) - reused, reused, len(keys) - len(there))


class _TimeLeft:
    """What is left of the expected time, corrected by how long it has taken so far.

    The expectation itself counts as a quarter of the work, so that the first units, in which
    processes start, do not decide.
    """

    def __init__(self, expected: Mapping[str, float], todo: Sequence[str], jobs: int) -> None:
        self.expected = {key: expected[key] for key in todo if key in expected}
        self.total, self.jobs = sum(self.expected.values()), max(1, jobs)
        self.start = time.perf_counter()

    def after(self, key: str) -> str:
        """Return the time that is left in words, empty where nothing was expected."""
        self.expected.pop(key, None)
        left = sum(self.expected.values())
        if not self.total or not left:
            return ""
        passed = time.perf_counter() - self.start
        known = passed + self.total / self.jobs / 4
        return f"about {duration(left * known / (self.total - left + self.total / 4))} left"


class VersionsChangedError(RuntimeError):
    """A worker that started late has other versions than the study began with."""


LOST = (TerminatedWorkerError, VersionsChangedError, ClusterLostError)


def _reason(stop: BaseException) -> str:
    if isinstance(stop, VersionsChangedError):
        return "Versions changed while the study ran; results of the new ones are dropped."
    if isinstance(stop, TerminatedWorkerError):
        return "A worker process died, most often for lack of memory: try fewer --jobs."
    if isinstance(stop, ClusterLostError):
        return f"The cluster could not go on ({stop})."
    return f"A result could not be written ({stop})." if isinstance(stop, OSError) else ""
