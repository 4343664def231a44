"""Blocks made by the workers of a Dask cluster, given back in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

CONNECT_SECONDS = 10

RETRIES = 3
"""How often a block is tried again after its workers were lost."""


class ClusterLostError(RuntimeError):
    """The cluster gave up on a block again and again."""


@contextmanager
def connected(scheduler: str) -> Iterator[Any]:
    """Connect to a Dask cluster.

    Raises
    ------
    ValueError
        If Dask is not installed, nobody answers at the address, or there are no workers.
    """
    if find_spec("distributed") is None:
        raise ValueError(
            "a Dask cluster needs a package that is not installed. Install it with: "
            "pip install 'scdiff-augment[dask]'."
        )
    from distributed import Client

    try:
        client = Client(scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(
            f"no Dask scheduler answers at {scheduler} ({error or type(error).__name__}). Start "
            f"one with `dask scheduler`, workers with `dask worker ADDRESS --nthreads 1`."
        ) from error
    with client:
        if not client.nthreads():
            raise ValueError(
                f"the Dask scheduler at {scheduler} has no workers. Start some with: dask worker "
                f"{scheduler} --nthreads 1"
            )
        yield client


def in_order(
    client: Any,
    make: Callable[..., Any],
    shared: Any,
    tasks: Iterator[tuple[int, tuple]],
) -> Iterator[tuple[int, Any]]:
    """Yield (number, ``make(shared, *arguments)``) of each (number, arguments).

    At most two blocks a worker are on their way, so that neither the cluster nor this process
    holds many. What a killed worker was making is made again by another one; that includes a
    copy of `shared` that was lost with the last worker that held it.

    Parameters
    ----------
    client : distributed.Client
    make : callable
        What a worker does; the same arguments must give the same result anywhere.
    shared : object
        Sent to every worker once.
    tasks : iterator of (int, tuple)

    Raises
    ------
    ClusterLostError
        If a block was lost more than `RETRIES` times.
    """
    held = _sent(client, shared)
    on_the_way: deque[list[Any]] = deque()  # number, arguments, future, how often it was lost

    def send(arguments: tuple) -> Any:
        return client.submit(make, held, *arguments, pure=False, retries=RETRIES)

    def fill() -> None:
        room = 2 * max(1, len(client.nthreads()))
        while len(on_the_way) < room:
            task = next(tasks, None)
            if task is None:
                return
            on_the_way.append([*task, send(task[1]), 0])

    fill()
    while on_the_way:
        number, _, future, _ = on_the_way[0]
        try:
            result = future.result()
        except Exception as error:
            if not _lost(error):
                raise
            on_the_way[0][3] += 1
            if on_the_way[0][3] > RETRIES:
                raise ClusterLostError(
                    f"block {number} was lost {RETRIES + 1} times, last by {error!r:.200}. What "
                    f"was written is kept: run the same again when the cluster is well."
                ) from error
            try:
                held = _sent(client, shared)
            except TimeoutError as gone:
                raise ClusterLostError(
                    f"no worker is left at block {number}. What was written is kept: run the same "
                    f"again when there are workers."
                ) from gone
            for waiting in on_the_way:
                if not waiting[2].done() or waiting[2].status != "finished":
                    waiting[2] = send(waiting[1])
            continue
        on_the_way.popleft()
        future.release()
        fill()
        yield number, result


def _sent(client: Any, shared: Any) -> Any:
    """Send to every worker, again where one is killed while it receives."""
    for _ in range(RETRIES):
        try:
            return client.scatter(shared, broadcast=True, hash=False)
        except TimeoutError:  # no worker is there
            raise
        except OSError:  # how distributed says that a connection broke
            continue
    return client.scatter(shared, broadcast=True, hash=False)


def _lost(error: Exception) -> bool:
    """Whether the cluster failed, not the work."""
    return type(error).__module__.split(".")[0] == "distributed" or (
        type(error).__name__ == "CancelledError"
    )
