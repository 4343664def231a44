"""Blocks on a Dask cluster: the store of one process, also when a worker is killed."""

import os
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
from dask_work import named, slowly, wrong
from distributed import Client, LocalCluster
from stored_files import digests
from tiny import make_model, reseed

from scdiff_augment.sampling import sample_to_store as block_sampling
from scdiff_augment.sampling.one_block import annotated_block
from scdiff_augment.streaming.dask_cluster import ClusterLostError, _sent, in_order


@pytest.fixture(scope="module")
def client():
    """Two worker processes on this machine, which import what the tests import."""
    here = Path(__file__).parent
    patch = pytest.MonkeyPatch()
    patch.setenv("PYTHONPATH", f"{here.parent}{os.pathsep}{here}")
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        patch.undo()
        yield client


def kill_one(client):
    pid = next(iter(client.run(os.getpid).values()))
    os.kill(pid, signal.SIGKILL)
    return pid


def test_results_come_in_order(client):
    tasks = ((number, (number,)) for number in range(20))
    assert list(in_order(client, named, "x", tasks)) == [(i, f"x{i}") for i in range(20)]


def test_an_error_of_the_work_is_an_error(client):
    with pytest.raises(ValueError, match="no 0"):
        list(in_order(client, wrong, None, iter([(0, (0,))])))


def test_few_blocks_are_on_their_way(client):
    asked = []

    def tasks():
        for number in range(50):
            asked.append(number)
            yield number, (number,)

    results = in_order(client, named, "x", tasks())
    next(results)
    assert len(asked) <= 6
    results.close()


@pytest.mark.filterwarnings("ignore")  # of distributed, about the worker that is killed
@pytest.mark.parametrize("killed", [False, True])
def test_the_store_is_that_of_one_process(client, counts, tmp_path, monkeypatch, killed):
    X, labels = counts
    monkeypatch.setattr(block_sampling, "cells_per_block", lambda n_genes: 16)
    monkeypatch.setattr(block_sampling, "annotated_block", slowly if killed else annotated_block)
    model = make_model(encoder="pca").fit(X).add_condition("type", labels)
    wanted = {"type": np.repeat(["rare", "middle"], 80)}
    alone = model.sample_adata(wanted, out=tmp_path / "alone.zarr")
    reseed(model)
    model.fit(X).add_condition("type", labels)  # the same seed is drawn again
    before = set(client.run(os.getpid).values())
    if killed:
        killer = threading.Timer(0.3, kill_one, [client])
        killer.start()
    shared = model.sample_adata(wanted, out=tmp_path / "shared.zarr", client=client)
    if killed:
        killer.join()
        client.wait_for_workers(2, timeout=60)
        assert set(client.run(os.getpid).values()) != before
    assert digests(shared) == digests(alone)


class KilledWorker(Exception):
    """As the scheduler names it."""


KilledWorker.__module__ = "distributed.scheduler"


class LosingClient:
    """A client whose cluster loses every block; its own future."""

    status = "error"

    def scatter(self, shared, **_):
        return shared

    def nthreads(self):
        return {"worker": 1}

    def submit(self, make, *_, **__):
        return self

    def done(self):
        return True

    def result(self):
        raise KilledWorker("gone")


def test_a_cluster_that_loses_everything_is_given_up():
    with pytest.raises(ClusterLostError, match="block 7 was lost 4 times"):
        list(in_order(LosingClient(), named, None, iter([(7, (7,))])))


class BreakingClient:
    """A client whose worker is killed while it receives, so many times."""

    def __init__(self, times):
        self.times = times

    def scatter(self, shared, **_):
        self.times -= 1
        if self.times >= 0:
            raise ConnectionResetError("reset by peer")
        return shared


def test_what_all_need_is_sent_again_where_a_worker_is_killed_meanwhile():
    assert _sent(BreakingClient(3), "model") == "model"
    with pytest.raises(ConnectionResetError):
        _sent(BreakingClient(4), "model")
