"""How fast, and with how much memory: fit, condition, sample, decode, and the whole sampler.

``make speed`` measures a grid of cells × genes, the targets, and other samplers beside ours, each
as a process of its own, so that peak memory is its own too. What is there is not measured again,
so that an interrupted run goes on. Cells are counts of ten types, drawn here from a seed; no file
is needed. Seconds of one machine say little, so a matrix product and a copy of memory are timed in
every process: ``gflops`` and ``gb_s``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from benchmarks.resources import Measure

CELLS, GENES = (1_000, 10_000, 100_000), (1_000, 5_000, 20_000)
SHARES = (0.3, 0.2, 0.15, 0.1, 0.08, 0.07, 0.05, 0.03, 0.015, 0.005)
"""Of the types among all cells."""

DEPTH = 900.0
"""Median counts of a cell."""

ONE = 0.7
"""Share of the bursts that have a single molecule."""

NEW = (5_000, 20_000, 80_000)
"""Numbers of cells to draw, for the cost of each."""

COUNTED = 2_000
"""Genes of the measurement whose matrix products are counted, too."""

DRAWN = 10_000
"""New cells by which sampling and decoding are timed."""


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


def machine(threads: int) -> dict[str, float]:
    """Measure what the processor can do: its matrix product, and its memory.

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
    """Return the shortest of several runs in seconds; a busy machine only ever adds.

    Parameters
    ----------
    work : callable
        What is timed.
    times : int
        How often.

    Returns
    -------
    float
        Seconds.
    """
    found = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return min(found)


@contextmanager
def timed(row: dict[str, Any], name: str) -> Iterator[None]:
    """Note wall and processor seconds of what happens within.

    Parameters
    ----------
    row : dict
        Where they go, as ``NAME_s`` and ``NAME_cpu_s``.
    name : str
        Of the step.

    Yields
    ------
    None
        Once.
    """
    wall, processor = time.perf_counter(), time.process_time()
    yield
    row[f"{name}_s"] = time.perf_counter() - wall
    row[f"{name}_cpu_s"] = time.process_time() - processor


# --- what is measured -----------------------------------------------------------------------------


def parts(n_cells: int, n_genes: int, threads: int, device: str = "cpu") -> dict[str, Any]:
    """Time the steps of the generator one by one.

    Parameters
    ----------
    n_cells, n_genes, threads : int
        Of the training set; threads of torch.
    device : str, default="cpu"
        Where it runs.

    Returns
    -------
    dict
        Seconds of fit, condition, and, for 10,000 cells, of latents, decoding, and both.
    """
    from scdiff_augment import LatentDiffusion, as_blocks
    from scdiff_augment.blocking import cells_per_block
    from scdiff_augment.drawers import drawer
    from scdiff_augment.training import bounded_threads

    X, y = cells(n_cells, n_genes)
    row: dict[str, Any] = {}
    model = LatentDiffusion(random_state=0, n_jobs=threads, device=device)
    with timed(row, "fit"):
        model.fit(as_blocks(X), groups=y)
    with timed(row, "condition"):
        model.add_condition("type", y)
    wanted = np.random.default_rng(1).choice(np.unique(y), DRAWN)
    options = {"guidance_scale": 1.0, "guidance_interval": None, "start": None, "strength": 1.0}
    drawing, _, _ = model._drawing({"type": wanted}, DRAWN, **options)
    size = cells_per_block(n_genes)
    blocks = [slice(i, min(i + size, DRAWN)) for i in range(0, DRAWN, size)]
    ours = drawer(model, drawing)
    with bounded_threads(threads):
        for _ in range(2):  # the first round wakes threads and memory
            with timed(row, "latents"):
                for block in blocks:
                    ours._latents(block, model._torch)
            with timed(row, "sample_and_decode"):
                for block in blocks:
                    ours.stored(block, model._torch, model._rng)
    row["cells_per_s"] = DRAWN / row["sample_and_decode_s"]
    if n_genes == COUNTED or n_genes < GENES[0]:
        row["sample_gflop"] = gflop(
            lambda: [ours.stored(block, model._torch, model._rng) for block in blocks]
        )
        row["fit_gflop"] = gflop(lambda: model.fit(as_blocks(X), groups=y))
    return row


def gflop(work: Callable[[], Any]) -> float:
    """Count the operations of the matrix products of some work, in 10^9.

    Parameters
    ----------
    work : callable
        What is counted; it takes longer than without.

    Returns
    -------
    float
        Two operations for each product and sum.
    """
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops()) / 1e9


def drawing(n_new: int, n_genes: int, threads: int, device: str = "cpu") -> dict[str, Any]:
    """Time the drawing of so many cells from a small model, block by block.

    Parameters
    ----------
    n_new : int
        Cells to draw.
    n_genes, threads, device
        As in `parts`.

    Returns
    -------
    dict
        Seconds.
    """
    from scdiff_augment import LatentDiffusion
    from scdiff_augment.oversampling import in_blocks

    X, y = cells(2_000, n_genes)
    model = LatentDiffusion(random_state=0, n_jobs=threads, device=device)
    model.fit(X.toarray(), groups=y).add_condition("type", y)
    wanted = np.random.default_rng(1).choice(np.unique(y), n_new)
    row: dict[str, Any] = {}
    model.sample({"type": wanted[:1000]}, min(n_new, 1000))
    with timed(row, "drawing"):
        in_blocks(lambda rows: model.sample({"type": wanted[rows]}, len(rows)), n_new, n_genes)
    return row


def resample(n_cells: int, n_genes: int, threads: int, device: str = "cpu") -> dict[str, Any]:
    """Time `DiffusionOversampler.fit_resample`, which makes as many cells as there are.

    Parameters
    ----------
    n_cells, n_genes, threads, device
        As in `parts`.

    Returns
    -------
    dict
        Seconds, and how many cells are new.
    """
    from scdiff_augment import DiffusionOversampler

    X, y = cells(n_cells, n_genes)
    return _resampled(
        DiffusionOversampler(
            sampling_strategy=doubled(y), random_state=0, n_jobs=threads, device=device
        ),
        X,
        y,
    )


def other(name: str, n_cells: int, n_genes: int) -> dict[str, Any]:
    """Time another sampler on the same cells; matrices are dense, as all of them want it.

    Parameters
    ----------
    name : str
        "diffusion", "random_oversampler", "smote", "scvi" or "ddpm" (ours by 1,000 steps).
    n_cells, n_genes : int
        Of the cells.

    Returns
    -------
    dict
        Seconds, how many cells are new, and their MMD to as many other real cells of their types;
        of ours also the seconds of drawing alone.
    """
    from benchmarks.strategies import build_strategy
    from scdiff_augment.expression import depth_normalised
    from scdiff_augment.metrics import mmd

    X, y = cells(2 * n_cells, n_genes)
    X = depth_normalised(X.toarray().astype(np.float32))
    held, held_y, X, y = X[n_cells:], y[n_cells:], X[:n_cells], y[:n_cells]
    strategy, params = name, {}
    if name in ("diffusion", "ddpm"):
        strategy, params = "diffusion", {"overdispersion": 1.0}
    if name == "ddpm":
        params |= {"sampler": "ddpm", "n_steps": 1000}
    sampler = build_strategy(strategy, doubled(y), 0, params).sampler
    row = _resampled(sampler, X, y)
    new, new_y = row.pop("new")
    ours, real = [], []
    for kind in np.unique(new_y):
        mine, theirs = np.flatnonzero(new_y == kind), np.flatnonzero(held_y == kind)
        size = min(len(mine), len(theirs))
        ours.append(mine[:size])
        real.append(theirs[:size])
    row["mmd"] = float(mmd(held[np.concatenate(real)], new[np.concatenate(ours)]))
    if hasattr(sampler, "generator_"):
        with timed(row, "drawing"):
            sampler.generator_.sample({"y": new_y}, len(new_y))
    return row


def _resampled(sampler: Any, X: Any, y: Any) -> dict[str, Any]:
    row: dict[str, Any] = {}
    with Measure() as cost, timed(row, "fit_resample"):
        X_all, y_all = sampler.fit_resample(X, y)
    row |= {"n_new": len(y_all) - len(y), "sampler_added_gb": cost.added_mb / 1000}
    if not sparse.issparse(X_all):
        row["new"] = X_all[len(y) :], y_all[len(y) :]
    return row


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


def training(threads: int) -> dict[str, Any]:
    """Time the training of the default model on 2,530 cells × 1,287 genes.

    Parameters
    ----------
    threads : int
        Of torch.

    Returns
    -------
    dict
        Seconds of fit and condition.
    """
    from scdiff_augment import LatentDiffusion

    X, y = cells(2530, 1287)
    dense = X.toarray()
    row: dict[str, Any] = {}
    model = LatentDiffusion(random_state=0, n_jobs=threads)
    with timed(row, "training"):
        model.fit(dense, groups=y).add_condition("type", y)
    return row


def profile(threads: int, folder: Path) -> dict[str, Any]:
    """Write where the time of fit and of drawing goes, function by function.

    Parameters
    ----------
    threads : int
        Of torch.
    folder : Path
        Where ``profile_fit.txt`` and ``profile_sample.txt`` go.

    Returns
    -------
    dict
        Nothing to note.
    """
    import cProfile
    import io
    import pstats

    from scdiff_augment import LatentDiffusion

    X, y = cells(2530, 2000)
    model = LatentDiffusion(random_state=0, n_jobs=threads)
    wanted = np.random.default_rng(1).choice(np.unique(y), DRAWN)
    work: dict[str, Callable[[], Any]] = {
        "fit": lambda: model.fit(X.toarray(), groups=y).add_condition("type", y),
        "sample": lambda: model.sample({"type": wanted}, DRAWN),
    }
    for name, run in work.items():
        if name == "sample":
            run()
        watch = cProfile.Profile()
        watch.runcall(run)
        text = io.StringIO()
        stats = pstats.Stats(watch, stream=text)
        stats.strip_dirs().sort_stats("tottime").print_stats(20)
        (folder / f"profile_{name}.txt").write_text(text.getvalue(), encoding="utf-8")
    return {}


# --- the run --------------------------------------------------------------------------------------


def tasks(threads: int, quick: bool, device: str) -> dict[str, list[Any]]:
    """Return what is to be measured, by name: a function of this file and its arguments.

    Parameters
    ----------
    threads : int
        Of torch.
    quick : bool
        Whether the small sizes suffice.
    device : str
        "cpu", or a GPU.

    Returns
    -------
    dict of str to list
        ``[function, *arguments]``.
    """
    sizes = [(n, g) for n in CELLS for g in GENES if not quick or (n < 100_000 and g < 20_000)]
    found: dict[str, list[Any]] = {}
    where = [] if device == "cpu" else [device]
    mark = "" if device == "cpu" else f"_{device}"
    for n, g in sizes:
        found[f"parts_{n}x{g}{mark}"] = ["parts", n, g, threads, *where]
        found[f"resample_{n}x{g}{mark}"] = ["resample", n, g, threads, *where]
    found[f"parts_10000x2000{mark}"] = ["parts", 10_000, 2_000, threads, *where]
    for n in NEW if not quick else NEW[:2]:
        found[f"drawing_{n}x2000{mark}"] = ["drawing", n, 2_000, threads, *where]
    if device == "cpu":
        if not quick:
            found["resample_100000x2000"] = ["resample", 100_000, 2_000, threads]
        found["training_2530x1287"] = ["training", threads]
        names = ["diffusion", "random_oversampler", "smote", "ddpm"]
        if find_spec("scvi") is not None:
            names.append("scvi")
        n, g = (1_000, 1_000) if quick else (3_000, 2_000)
        found |= {f"other_{name}": ["other", name, n, g] for name in names}
        found["profile"] = ["profile", threads]
    return found


def measured(row: dict[str, Any] | None, task: list[Any]) -> bool:
    """Return whether a row is there, did not fail, and is of the same sizes and threads.

    Parameters
    ----------
    row : dict or None
        Of an earlier run.
    task : list
        As in `tasks`.

    Returns
    -------
    bool
        Whether it need not be measured again.
    """
    return row is not None and "error" not in row and row["task"] == task


def measure(asked: list[Any], folder: Path, threads: int) -> dict[str, Any]:
    """Run one task in this process.

    Parameters
    ----------
    asked : list
        As in `tasks`.
    folder : Path
        For the profiles.
    threads : int
        Of torch.

    Returns
    -------
    dict
        Its row, with the machine's numbers and this process's peak memory.
    """
    import resource

    name, *arguments = asked
    row = profile(*arguments, folder) if name == "profile" else globals()[name](*arguments)
    row.pop("new", None)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    return row | machine(threads) | {"peak_gb": peak}


def main(arguments: list[str] | None = None) -> None:
    """Measure what is missing, then write the page.

    Parameters
    ----------
    arguments : list of str, optional
        Of the command line.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed", description="Measure speed and memory."
    )
    parser.add_argument("--out", type=Path, default=Path("reports/speed"))
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda or auto")
    parser.add_argument("--quick", action="store_true", help="small sizes only: a minute or two")
    parser.add_argument("--force", action="store_true", help="measure everything again")
    parser.add_argument("--task", help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    asked.out.mkdir(parents=True, exist_ok=True)
    if asked.task:
        print(json.dumps(measure(json.loads(asked.task), asked.out, asked.threads)))
        return
    from benchmarks.speed_page import write_page
    from benchmarks.store import write_text
    from scdiff_augment.devices import device_of

    device = str(device_of(asked.device))

    file = asked.out / "rows.json"
    rows = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    wanted = tasks(asked.threads, asked.quick, device)
    todo = [name for name in wanted if asked.force or not measured(rows.get(name), wanted[name])]
    for i, name in enumerate(todo, 1):
        print(f"[{i}/{len(todo)}] {name}", flush=True)
        command = [sys.executable, "-m", "benchmarks.speed", "--out", str(asked.out)]
        command += ["--threads", str(asked.threads), "--task", json.dumps(wanted[name])]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1:] or ["no message"]
            rows[name] = {"error": last[0], "exit_code": done.returncode}
        else:
            rows[name] = json.loads(done.stdout.splitlines()[-1])
        rows[name] |= {"task": wanted[name], "threads": asked.threads, "device": device}
        write_text(file, json.dumps(rows, indent=1) + "\n")
    print(f"page: {write_page(rows, asked.out)}")


if __name__ == "__main__":
    main()
