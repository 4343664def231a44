"""What `speed` measures with: cells of any number, clocks, and the machine's own numbers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from scipy import sparse

SHARES = (0.3, 0.2, 0.15, 0.1, 0.08, 0.07, 0.05, 0.03, 0.015, 0.005)
"""Of the types among all cells."""

DEPTH = 900.0
"""Median counts of a cell."""

ONE = 0.7
"""Share of the bursts that have a single molecule."""


def cells(n_cells: int, n_genes: int, seed: int = 0) -> tuple[sparse.csr_matrix, Any]:
    """Return counts of ten types, made block by block, and the types.

    A cell's molecules fall on genes by its type's proportions, in bursts of one or more, so that
    counts vary more than Poisson. Nothing is written out, whatever the number of genes.

    Parameters
    ----------
    n_cells, n_genes : int
        How many.
    seed : int, default=0
        Of the cells.

    Returns
    -------
    tuple
        CSR of int32, (n_cells, n_genes), and labels (n_cells,).
    """
    rng = np.random.default_rng(seed)
    codes = rng.choice(len(SHARES), n_cells, p=SHARES)
    codes[: 3 * len(SHARES)] = np.repeat(np.arange(len(SHARES)), 3)  # three cells of each at least
    profile = rng.gamma(0.3, 1.0, (len(SHARES), n_genes)) + 0.005
    upto = np.cumsum(profile / profile.sum(axis=1, keepdims=True), axis=1)
    blocks = []
    for start in range(0, n_cells, 4096):
        mine = codes[start : start + 4096]
        bursts = rng.poisson(rng.lognormal(np.log(DEPTH * ONE), 0.4, len(mine))) + 1
        rows = np.repeat(np.arange(len(mine)), bursts)
        genes = np.empty(len(rows), dtype=np.int32)
        for code in np.unique(mine):
            here = mine[rows] == code
            genes[here] = np.searchsorted(upto[code], rng.random(here.sum()) * upto[code, -1])
        sizes = rng.geometric(ONE, len(rows)).astype(np.int32)
        parts = (sizes, (rows, genes))
        blocks.append(sparse.csr_matrix(parts, shape=(len(mine), n_genes), dtype=np.int32))
    names = np.array([f"type{i}" for i in range(len(SHARES))])
    return sparse.vstack(blocks, format="csr"), names[codes]


def doubled(y: Any) -> dict[str, int]:
    """Return final counts under which the rare half of the types gets as many cells as there are.

    Parameters
    ----------
    y : ndarray of str
        Types.

    Returns
    -------
    dict of str to int
        Type to its number of cells in the end.
    """
    names, counts = np.unique(y, return_counts=True)
    rare = np.argsort(counts)[: len(names) // 2]
    return {str(names[i]): int(counts[i]) + len(y) // len(rare) for i in rare}


def machine(threads: int) -> dict[str, float]:
    """Measure what the machine can do: a matrix product, and a copy of memory.

    Parameters
    ----------
    threads : int
        Threads of torch.

    Returns
    -------
    dict of str to float
        ``gflops`` of single precision; ``gb_s`` read and written by a copy of 256 MB.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    a = torch.ones(1536, 1536)
    product = best(lambda: a @ a, 5)
    block = torch.zeros(64_000_000)
    copied = best(block.clone, 3)
    torch.set_num_threads(before)
    return {"gflops": 2 * 1536**3 / product / 1e9, "gb_s": 2 * 4 * len(block) / copied / 1e9}


def best(work: Callable[[], Any], times: int) -> float:
    """Return the shortest of several runs in seconds; a busy machine only ever adds."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return min(found)


@contextmanager
def timed(row: dict[str, Any], name: str) -> Iterator[None]:
    """Record wall and CPU seconds of a block."""
    wall, processor = time.perf_counter(), time.process_time()
    yield
    row[f"{name}_s"] = time.perf_counter() - wall
    row[f"{name}_cpu_s"] = time.process_time() - processor


def gflop(work: Callable[[], Any]) -> float:
    """Count the operations of the matrix products of some work, in 10^9."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops()) / 1e9
