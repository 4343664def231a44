"""Clusters: a Dask cluster of two workers on loopback, one of which dies in the middle."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from joblib import parallel_config
from scdiff_bench.running import backends, runner
from scdiff_bench.running.backends import connected
from scdiff_bench.running.runner import Interrupted, load_datasets, make_units, run
from scdiff_bench.running.store import prepare_folder

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start(*command, folder):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "distributed.cli." + command[0], *command[1:]],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@pytest.fixture
def cluster(tmp_path):
    """Address of a scheduler, and its two workers' processes."""
    address = f"tcp://127.0.0.1:{free_port()}"
    scheduler = ["dask_scheduler", "--host", "127.0.0.1", "--port", address.split(":")[-1]]
    running = [start(*scheduler, "--dashboard-address", "127.0.0.1:0", folder=tmp_path)]
    worker = ["dask_worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard"]
    running += [start(*worker, folder=tmp_path) for _ in range(2)]
    from distributed import Client

    try:
        with Client(address, timeout=30, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=60)
        yield address, running[1:]
    finally:
        for process in running[::-1]:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait()


def test_a_worker_that_dies_costs_nothing_but_time(cluster, make_config, tmp_path, monkeypatch):
    address, workers = cluster
    config = make_config(
        split={"kind": "repeated_stratified_cv", "n_splits": 4},
        strategies=["none", "class_weight", "smote"],
        classifiers=["knn", "random_forest"],
    )
    units = make_units(config, load_datasets(config))
    kept = []

    def keep_and_kill(folder, result):
        keep(folder, result)
        kept.append(result["unit"])
        if len(kept) == 3:
            workers[0].send_signal(signal.SIGKILL)

    keep = runner.keep
    monkeypatch.setattr(runner, "keep", keep_and_kill)
    prepare_folder(tmp_path / "cluster")
    with connected("dask", address):
        found = run(config, units, tmp_path / "cluster")
    assert workers[0].wait(10) == -signal.SIGKILL
    assert workers[1].poll() is None
    assert len(kept) == len(set(kept)) == len(units) == 12
    rows = found.rows
    assert not rows.duplicated(["dataset", "fold", "strategy", "classifier"]).any()
    assert len(rows) == 24
    assert (rows["status"] == "ok").all(), rows.loc[rows["status"] != "ok", "error"].tolist()
    # The rows are those of one process, whoever computed them.
    monkeypatch.setattr(runner, "keep", keep)
    prepare_folder(tmp_path / "local")
    expected = run(config, units, tmp_path / "local").rows
    drop = rows.filter(regex="seconds|memory").columns
    pd.testing.assert_frame_equal(rows.drop(columns=drop), expected.drop(columns=drop))
    with connected("dask", address):
        assert run(config, units, tmp_path / "cluster").computed == 0


def test_cells_are_sent_once_and_not_with_every_unit(make_config):
    import cloudpickle

    config = make_config()
    units = make_units(config, load_datasets(config))
    sent = []

    @contextlib.contextmanager
    def here(scatter):
        sent.append(scatter)
        with parallel_config("sequential"):
            yield

    def look(work, unit, data):
        assert unit.dataset.X.size == 0
        assert len(cloudpickle.dumps(unit)) < 20_000
        return {"unit": unit.key, "cells": len(data.y)}

    original, backends.run_with_data = backends.run_with_data, look
    try:
        found = list(backends._on_cluster(here, units, lambda unit: True, None))
    finally:
        backends.run_with_data = original
    assert [f["unit"] for f in found] == [u.key for u in units]
    (scattered,) = sent
    assert scattered == [units[0].dataset]


def test_lost_units_are_not_sent_again_when_time_is_over(make_config):
    from distributed.client import FutureCancelledError

    config = make_config()
    units = make_units(config, load_datasets(config))
    assert len(units) > 2
    asked, turns = [], []

    @contextlib.contextmanager
    def here(scatter):
        turns.append(len(asked))
        yield
        if len(turns) == 1:
            raise FutureCancelledError("lost", None)

    def in_time(unit):
        asked.append(unit.key)
        return len(asked) <= 1

    original, backends._in_parallel = (
        backends._in_parallel,
        lambda calls: iter([{"unit": "none"} for _ in calls]),
    )
    try:
        found = list(backends._on_cluster(here, units, in_time, None))
    finally:
        backends._in_parallel = original
    assert len(found) == 1  # of the first turn
    assert len(turns) == 2
    assert asked == [units[0].key, units[1].key, units[0].key]


def test_a_cluster_that_goes_away_keeps_what_is_there(make_config, tmp_path, monkeypatch):
    from distributed import KilledWorker

    config = make_config()
    units = make_units(config, load_datasets(config))

    @contextlib.contextmanager
    def here(scatter):
        with parallel_config("sequential"):
            yield

    done = []

    def dies(work, unit, data):
        if len(done) == 2:
            raise KilledWorker("unit", SimpleNamespace(address="tcp://x"), 3)
        done.append(unit)
        return run_with_data(work, unit, data)

    run_with_data = backends.run_with_data
    monkeypatch.setattr(backends, "run_with_data", dies)
    token = backends._cluster.set(here)
    prepare_folder(tmp_path)
    try:
        with pytest.raises(Interrupted, match=r"cluster could not go on.* 2 of 9 units are stored"):
            run(config, units, tmp_path)
    finally:
        backends._cluster.reset(token)


def test_units_that_a_cluster_forgets_are_sent_again(make_config, tmp_path, monkeypatch):
    from distributed.client import FutureCancelledError

    config = make_config()
    units = make_units(config, load_datasets(config))

    @contextlib.contextmanager
    def here(scatter):
        with parallel_config("sequential"):
            yield

    sent = []

    def forgets(work, unit, data):
        sent.append(unit.key)
        if len(sent) == 4:
            raise FutureCancelledError(unit.key, "already forgotten")
        return run_with_data(work, unit, data)

    run_with_data = backends.run_with_data
    monkeypatch.setattr(backends, "run_with_data", forgets)
    prepare_folder(tmp_path)
    token = backends._cluster.set(here)
    try:
        found = run(config, units, tmp_path)
    finally:
        backends._cluster.reset(token)
    assert (found.computed, found.missing) == (len(units), 0)
    keys = [unit.key for unit in units]
    assert sent == [*keys[:4], *keys[3:]]  # the one that was lost, then those after it
    assert found.rows["unit"].drop_duplicates().tolist() == keys


@pytest.mark.parametrize(
    ("backend", "scheduler", "message"),
    [
        ("dask", None, "needs --scheduler"),
        ("loky", "tcp://127.0.0.1:1", "needs --backend dask"),
        ("dask", "nonsense://x", "No Dask scheduler answers at nonsense://x"),
    ],
)
def test_an_address_that_cannot_be(backend, scheduler, message):
    with pytest.raises(ValueError, match=message), connected(backend, scheduler):
        pass


def test_an_address_where_nobody_answers(monkeypatch):
    monkeypatch.setattr(backends, "CONNECT_SECONDS", 1)
    begun = time.monotonic()
    address = f"tcp://127.0.0.1:{free_port()}"
    silence = pytest.raises(ValueError, match=r"No Dask scheduler.*dask scheduler")
    with silence, connected("dask", address):
        pass
    assert time.monotonic() - begun < 15
    assert threading.active_count() < 20


def test_a_missing_package_is_said_with_what_installs_it(monkeypatch):
    monkeypatch.setattr(backends, "find_spec", lambda name: None)
    hint = pytest.raises(ValueError, match=r"pip install 'scdiff-augment\[ray\]'")
    with hint, connected("ray", None):
        pass


def test_a_unit_keeps_its_own_parallel_work_to_itself():
    from joblib import Parallel, parallel_config
    from joblib.parallel import SequentialBackend
    from scdiff_bench.running.units import one_thread

    with parallel_config(backend="threading", n_jobs=2), one_thread():
        assert isinstance(Parallel()._backend, SequentialBackend)
