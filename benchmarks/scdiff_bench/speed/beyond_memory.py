"""A million cells made, learnt, drawn and augmented, from file to file: seconds and peak memory.

``python -m scdiff_bench.speed.beyond_memory --cells 1000000 --folder /tmp/million`` runs each step
as a process of its own, through the command line, and measures it. The two steps that write cells
are killed in the middle and started again. Cells are counts of a mixture of types, a few of them
rare, sampled block by block from a seed: no file is needed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import zarr
from scipy import sparse

from scdiff_augment.streaming.block_readers import as_blocks
from scdiff_augment.streaming.block_sizes import as_csr
from scdiff_augment.streaming.zarr_store import CellStore, Layout, partial_folder

N_TYPES = 20
RARE = {"type18": 0.001, "type19": 0.0005}
"""Share of the rarest types."""

MEMORY = 3.0
"""GB that no step may exceed."""


def profiles(n_genes: int) -> np.ndarray:
    """Proportions of the genes in each type, (types, genes): programmes of genes over a base."""
    rng = np.random.default_rng(7)
    base = rng.gamma(0.3, 1.0, n_genes) + 0.005
    programmes = np.exp(0.8 * rng.standard_normal((6, n_genes)) * (rng.random((6, n_genes)) < 0.2))
    loads = rng.gamma(1.0, 1.0, (N_TYPES, 6))
    found = base * np.exp(loads @ np.log(programmes))
    return found / found.sum(axis=1, keepdims=True)


def make(path: Path, n_cells: int, n_genes: int, seed: int = 0, block: int = 4096) -> None:
    """Write the cells: a batch of them has its own seed and is held alone."""
    share = np.full(N_TYPES, (1 - sum(RARE.values())) / (N_TYPES - len(RARE)))
    names = np.array([f"type{i:02d}" for i in range(N_TYPES)])
    for name, value in RARE.items():
        share[names == name] = value
    codes = np.random.default_rng(seed).choice(N_TYPES, n_cells, p=share)
    rates = profiles(n_genes)
    sizes = [min(block, n_cells - i) for i in range(0, n_cells, block)]
    layout = Layout(sizes, n_genes, {"X": np.dtype(np.float32)}, True)
    with CellStore(path, layout, {"cells": n_cells, "genes": n_genes}, seed) as store:

        def header(root: zarr.Group) -> None:
            types = pd.Categorical.from_codes(codes, categories=names)
            index = [f"cell{i}" for i in range(n_cells)]
            ad.io.write_elem(root, "obs", pd.DataFrame({"cell_type": types}, index=index))
            var = pd.DataFrame(index=[f"gene{i}" for i in range(n_genes)])
            ad.io.write_elem(root, "var", var)
            ad.io.write_elem(root, "uns", {})

        store.begin(header)
        for number in store.todo:
            rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))
            rows = codes[layout.span(number)]
            library = rng.lognormal(7.2, 0.4, (len(rows), 1))
            noise = rng.standard_gamma(5.0, (len(rows), n_genes)) / 5.0
            counts = rng.poisson(rates[rows] * library * noise).astype(np.float32)
            store.append(number, {"X": as_csr(counts)})
        store.finish()


def measured(name: str, command: list[str], kill_at: tuple[Path, int] | None = None) -> dict:
    """Run a process; with `kill_at` (store, block), kill it there and run it again."""
    row: dict[str, Any] = {"step": name}
    if kill_at is not None:
        row |= {f"killed_{k}": v for k, v in _run(command, kill_at).items()}
    return row | _run(command, None)


def _run(command: list[str], kill_at: tuple[Path, int] | None) -> dict[str, float]:
    begun = time.monotonic()
    process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        if kill_at is not None and _blocks(kill_at[0]) >= kill_at[1]:
            os.kill(process.pid, signal.SIGKILL)
            kill_at = None
            _, status, usage = os.wait4(process.pid, 0)
            break
        time.sleep(0.05)
    code = os.waitstatus_to_exitcode(status)
    process.returncode = code
    if code not in (0, -signal.SIGKILL):
        raise SystemExit(f"{' '.join(command)} ended with exit code {code}.")
    return {
        "seconds": round(time.monotonic() - begun, 1),
        "processor_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_gb": round(usage.ru_maxrss / 1024**2, 2),
    }


def _blocks(store: Path) -> int:
    """Blocks of a store in the making that are noted as done."""
    file = partial_folder(store) / "progress.json"
    try:
        return int(json.loads(file.read_text(encoding="utf-8")).get("blocks", 0))
    except (OSError, ValueError):
        return 0


def check(store: Path, n_cells: int, same_as: Path | None = None) -> dict[str, Any]:
    """Count the cells, and look for any that is there twice; `same_as` must be its beginning."""
    blocks, hashes, n_counts = as_blocks(store), [], 0
    weights = np.random.default_rng(0).integers(1, 2**62, blocks.shape[1], dtype=np.uint64)
    first = iter(as_blocks(same_as)) if same_as is not None else iter(())
    for block in blocks:
        other = next(first, None)
        if other is not None and other.shape == block.shape and (block != other).nnz:
            raise SystemExit(f"{store} does not begin with the cells of {same_as}.")
        bits = sparse.csr_matrix(
            (
                block.data.astype(np.float32).view(np.uint32).astype(np.uint64),
                block.indices,
                block.indptr,
            ),
            block.shape,
        )
        hashes.append(bits @ weights)
        n_counts += block.nnz
    found = np.concatenate(hashes)
    if len(found) != n_cells or len(blocks.obs) != n_cells or not blocks.obs.index.is_unique:
        raise SystemExit(f"{store} has {len(found)} cells instead of {n_cells}.")
    return {
        "cells": n_cells,
        "repeated": int(n_cells - len(np.unique(found))),
        "values_per_cell": round(n_counts / n_cells, 1),
    }


def main() -> None:
    """Run all steps and print what they took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=50_000)
    parser.add_argument("--genes", type=int, default=2000)
    parser.add_argument("--folder", type=Path, required=True, help="emptied at the end")
    parser.add_argument("--out", type=Path, help="file for the rows, as JSON")
    parser.add_argument("--make", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    folder, n = asked.folder, asked.cells
    real, model, new, more = (folder / x for x in ("real.zarr", "model", "new.zarr", "more.zarr"))
    if asked.make:
        make(real, n, asked.genes)
        return
    folder.mkdir(parents=True)
    cli = [sys.executable, "-m", "scdiff_augment"]
    label = ["--label-key", "cell_type", "--seed", "0", "--quiet"]
    own = [
        sys.executable,
        "-m",
        "scdiff_bench.speed.beyond_memory",
        "--make",
        "--folder",
        str(folder),
    ]
    wanted = n // 100
    strategy = [x for name in RARE for x in ("--strategy", f"{name}={wanted}")]
    half = max(1, n // 4096 // 2)
    rows = [
        measured("make", [*own, "--cells", str(n), "--genes", str(asked.genes)]),
        measured(
            "fit",
            [*cli, "fit", str(real), str(model), *label, "--stream", "--weight-key", "cell_type"],
        ),
        measured(
            "sample",
            [
                *cli,
                "sample",
                str(model),
                str(new),
                "--n",
                str(n),
                "--seed",
                "0",
                "--quiet",
                "--stream",
            ],
            (new, half),
        ),
        measured(
            "oversample",
            [*cli, "oversample", str(real), str(more), *label, "--stream", *strategy],
            (more, half),
        ),
    ]
    rare = ad.io.read_elem(zarr.open_group(str(real), mode="r")["obs"])["cell_type"].value_counts()
    added = sum(wanted - int(rare[name]) for name in RARE)
    for row, (store, n_cells, begin) in zip(
        (rows[0], rows[2], rows[3]),
        ((real, n, None), (new, n, None), (more, n + added, real)),
        strict=True,
    ):
        row |= check(store, n_cells, begin)
    print(pd.DataFrame(rows).to_string(index=False))
    highest = max(row.get(k, 0) for row in rows for k in ("peak_gb", "killed_peak_gb"))
    print(f"highest peak: {highest:.2f} GB; wanted: at most {MEMORY:g} GB")
    if asked.out is not None:
        found = {"cells": n, "genes": asked.genes, "processors": os.cpu_count(), "rows": rows}
        asked.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    shutil.rmtree(folder)
    if highest > MEMORY:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
