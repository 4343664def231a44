"""One measurement of speed and memory, in a process of its own.

``scdiff-bench speed`` measures a grid of cells × genes, the targets, and other samplers beside
ours. Cells are counts of ten types, drawn here from a seed; no file is needed. Seconds of one
machine say little, so a matrix product and a copy of memory are timed in every process: ``gflops``
and ``gb_s``.
"""

from __future__ import annotations

import argparse
import json
import resource
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from scdiff_bench.results_version import FIRST, ResultsVersion
from scdiff_bench.speed.cells import machine
from scdiff_bench.speed.on_device import PRECISIONS, SIZES
from scdiff_bench.speed.tasks import GENERATORS, TASKS

CELLS, GENES = (1_000, 10_000, 100_000), (1_000, 5_000, 20_000)

NEW = (5_000, 20_000, 80_000)
"""Numbers of cells to draw, for the cost of each."""


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
    if device != "cpu":
        return device_tasks(threads, device)
    sizes = [(n, g) for n in CELLS for g in GENES if not quick or (n < 100_000 and g < 20_000)]
    found: dict[str, list[Any]] = {}
    for n, g in sizes:
        found[f"parts_{n}x{g}"] = ["parts", n, g, threads]
        found[f"resample_{n}x{g}"] = ["resample", n, g, threads]
    found["parts_10000x2000"] = ["parts", 10_000, 2_000, threads]
    for n in NEW if not quick else NEW[:2]:
        found[f"drawing_{n}x2000"] = ["drawing", n, 2_000, threads]
    if not quick:
        found["resample_100000x2000"] = ["resample", 100_000, 2_000, threads]
    found["training_2530x1287"] = ["training", threads]
    names = ["diffusion", *GENERATORS, "random_oversampler", "smote", "ddpm"]
    if find_spec("scvi") is not None:
        names.append("scvi")
    n, g = (1_000, 1_000) if quick else (3_000, 2_000)
    found |= {f"other_{name}": ["other", name, n, g] for name in names}
    found["profile"] = ["profile", threads]
    return found


def device_tasks(threads: int, device: str) -> dict[str, list[Any]]:
    """Return what is measured of a GPU, and of the CPU beside it; what matters most comes first.

    Parameters
    ----------
    threads : int
        Of torch, on the CPU.
    device : str
        The GPU.

    Returns
    -------
    dict of str to list
        As `tasks`.
    """
    found: dict[str, list[Any]] = {}
    for n, g in SIZES:
        for precision in PRECISIONS:
            task = ["on_device", n, g, threads, device, precision]
            found[f"on_device_{n}x{g}_{device}_{precision}"] = task
    for n, g in SIZES:
        found[f"on_device_{n}x{g}_cpu_fp32"] = ["on_device", n, g, threads, "cpu", "fp32"]
    return found


def measured(row: Mapping[str, Any] | None, task: list[Any], now: ResultsVersion) -> bool:
    """Return whether a row need not be measured again.

    Parameters
    ----------
    row : mapping or None
        Of an earlier run.
    task : list
        As in `tasks`.
    now : ResultsVersion
        Results versions of this code.

    Returns
    -------
    bool
        Whether it did not fail, and is of the same sizes, threads and results versions.
    """
    if row is None or "error" in row or row["task"] != task:
        return False
    return not version_of(row).older_than(now)


def version_of(row: Mapping[str, Any]) -> ResultsVersion:
    """Return the results versions under which a row was measured."""
    return ResultsVersion(*(int(row.get(k, v)) for k, v in FIRST.columns.items()))


def measure(asked: list[Any], folder: Path, threads: int) -> dict[str, Any]:
    """Run one task in this process."""
    name, *arguments = asked
    row = TASKS[name](*arguments, *([folder] if name == "profile" else []))
    row.pop("new", None)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    return row | machine(threads) | {"peak_gb": peak}


def main(arguments: list[str] | None = None) -> None:
    """Run one task, and print its row as JSON: what ``scdiff-bench speed`` starts for each.

    Parameters
    ----------
    arguments : list of str, optional
        Those of the process by default.
    """
    parser = argparse.ArgumentParser(prog="python -m scdiff_bench.speed.measure")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--task", required=True)
    asked = parser.parse_args(arguments)
    print(json.dumps(measure(json.loads(asked.task), asked.out, asked.threads)))


if __name__ == "__main__":
    main()
