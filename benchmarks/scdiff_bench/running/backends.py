"""Where units run, through joblib: processes of this machine, a Dask or a Ray cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from importlib.util import find_spec
from itertools import chain, islice, takewhile
from typing import Any

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs, parallel_config
from scdiff_bench.data.datasets import Dataset
from scdiff_bench.running.units import Record, run_in_worker

BACKENDS = ("loky", "dask", "ray")
CONNECT_SECONDS = 10
RETRIES = 3
TURNS = 3
"""How often units that a cluster lost are sent."""

FORGOTTEN = ("FutureCancelledError", "CancelledError")
"""Errors by which Dask says so; anything else is the end of the study's run."""

_cluster: ContextVar[Callable[..., Any] | None] = ContextVar("cluster", default=None)


class ClusterLostError(RuntimeError):
    """The cluster gave up on a unit, or was lost."""


@contextmanager
def connected(backend: str, scheduler: str | None) -> Iterator[None]:
    """Let everything that is computed within run on a cluster.

    Parameters
    ----------
    backend : {"loky", "dask", "ray"}
        "loky" is this machine and needs no cluster.
    scheduler : str or None
        Address of the cluster; Ray starts one of its own without it.

    Raises
    ------
    ValueError
        If the package is not installed, or nobody answers at the address.
    """
    if backend == "loky":
        if scheduler is not None:
            raise ValueError(f"--scheduler {scheduler} needs --backend dask or --backend ray.")
        yield
        return
    if find_spec("distributed" if backend == "dask" else "ray") is None:
        raise ValueError(
            f"--backend {backend} needs a package that is not installed. Install it with: "
            f"pip install 'scdiff-augment[{backend}]'."
        )
    with (_dask if backend == "dask" else _ray)(scheduler) as config:
        token = _cluster.set(config)
        try:
            yield
        finally:
            _cluster.reset(token)


@contextmanager
def _dask(scheduler: str | None) -> Iterator[Callable[..., Any]]:
    from distributed import Client

    if scheduler is None:
        raise ValueError("--backend dask needs --scheduler, for example tcp://127.0.0.1:8786.")
    try:
        client = Client(scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(
            f"No Dask scheduler answers at {scheduler} ({error or type(error).__name__}). Start "
            "one with `dask scheduler`, workers with `dask worker ADDRESS --nthreads 1`."
        ) from error
    with client:
        threads = client.nthreads()
        if not threads:
            raise ValueError(
                f"The Dask scheduler at {scheduler} has no workers. Start some with: "
                f"dask worker {scheduler} --nthreads 1"
            )
        if many := [address for address, n in threads.items() if n != 1]:
            raise ValueError(
                f"Dask worker {many[0]} has {threads[many[0]]} threads; a unit measures its own "
                "time and memory and needs a process of its own. Start workers with --nthreads 1."
            )

        def config(scatter: list[Any]) -> Any:
            # Copies on all workers, so that the data outlives any one of them.
            return parallel_config(
                "dask", client=client, scatter=scatter, retries=RETRIES, pure=False
            )

        yield config


@contextmanager
def _ray(scheduler: str | None) -> Iterator[Callable[..., Any]]:
    import ray
    from ray.util.joblib import register_ray

    try:
        ray.init(address=scheduler, include_dashboard=False, log_to_driver=False)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ValueError(f"No Ray cluster answers at {scheduler} ({error}).") from error
    try:
        register_ray()
        yield lambda scatter: parallel_config("ray")
    finally:
        ray.shutdown()


def results(
    units: Sequence[Any], work: Callable[[Any], Record], jobs: int, end: float | None = None
) -> Iterator[Record]:
    """Yield the units' results as they end.

    Parameters
    ----------
    units : sequence
        What is to be computed.
    work : callable
        Takes a unit.
    jobs : int
        Processes on this machine; a cluster has as many as it has.
    end : float, optional
        Time of the monotonic clock after which no unit is started.

    Yields
    ------
    dict
        What ``work`` gave.

    Raises
    ------
    ClusterLostError
        If a cluster could not finish a unit.
    """
    cluster = _cluster.get()

    def in_time(unit: Any) -> bool:
        return end is None or time.monotonic() < end

    due = takewhile(in_time, units)
    if cluster is not None and units:
        yield from _on_cluster(cluster, units, in_time, work)
    elif jobs <= 1:
        yield from map(work, due)
    else:
        with parallel_config(backend="loky", inner_max_num_threads=1):
            parallel = Parallel(n_jobs=jobs, return_as="generator_unordered", pre_dispatch=jobs)
            yield from parallel(delayed(run_in_worker)(work, unit) for unit in due)


def _on_cluster(
    cluster: Callable[..., Any],
    units: Sequence[Any],
    in_time: Callable[[Any], bool],
    work: Callable[[Any], Record],
) -> Iterator[Record]:
    """Send each data set of the units once, and the units, while there is time, without their data.

    Where a worker dies, Dask runs its units again by itself, but now and then forgets one and says
    so; those that have given no result are then sent once more.
    """
    data = {id(u.dataset): u.dataset for u in units}
    stubs = {key: _without_cells(d) for key, d in data.items()}
    waiting: dict[str, Any] = {}
    due = iter(units)

    def calls() -> Iterator[Any]:
        lost = list(waiting.values())
        for unit in takewhile(in_time, chain(lost, due)):
            waiting[unit.key] = unit
            sent = replace(unit, dataset=stubs[id(unit.dataset)])
            yield delayed(run_with_data)(work, sent, unit.dataset)

    for turn in range(1, TURNS + 1):
        try:
            with cluster(list(data.values())):
                for result in _in_parallel(calls()):
                    waiting.pop(result["unit"], None)
                    yield result
            return
        except Exception as error:
            theirs = type(error).__module__.split(".")[0] in ("distributed", "ray", "concurrent")
            if not theirs and not (turn > 1 and isinstance(error, TimeoutError)):
                raise
            if turn == TURNS or type(error).__name__ not in FORGOTTEN:
                raise ClusterLostError(f"{type(error).__name__}: {error}") from error


def _in_parallel(calls: Iterator[Any]) -> Iterator[Record]:
    """Yield results as they end, on the backend that is in force."""
    try:
        parallel = Parallel(
            n_jobs=-1, batch_size=1, pre_dispatch="2 * n_jobs", return_as="generator_unordered"
        )
    except ValueError:  # Ray's backend gives lists alone: a few units at a time
        parallel = Parallel(n_jobs=-1, batch_size=1)
        few = 2 * effective_n_jobs(-1)
        while chunk := list(islice(calls, few)):
            yield from parallel(chunk)
    else:
        yield from parallel(calls)


def _without_cells(data: Dataset) -> Dataset:
    nothing = np.empty(0, dtype=data.y.dtype)
    return replace(data, X=np.empty((0, 0), dtype=np.float32), y=nothing, groups={})


def run_with_data(work: Callable[[Any], Record], unit: Any, data: Dataset) -> Record:
    """Run a unit on a cluster's worker."""
    return run_in_worker(work, replace(unit, dataset=data))
