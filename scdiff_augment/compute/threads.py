"""How many threads torch and BLAS may use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from joblib import cpu_count, effective_n_jobs
from threadpoolctl import threadpool_limits


def n_threads(n_jobs: int | None) -> int:
    """Return how many threads that is: None means 1, -1 all cores; no more than there are cores.

    Many small matrix products on oversubscribed cores run ten times slower than on one.
    """
    return int(min(effective_n_jobs(n_jobs), cpu_count()))


@contextmanager
def bounded_threads(n_jobs: int | None) -> Iterator[None]:
    """Run with this many threads in torch and BLAS, then restore what was set before."""
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads(n_jobs))
    try:
        with threadpool_limits(n_threads(n_jobs)):
            yield
    finally:
        torch.set_num_threads(before)
