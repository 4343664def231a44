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
import resource
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from scdiff_bench.speed.cells import machine
from scdiff_bench.speed.tasks import TASKS

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
    name, *arguments = asked
    row = TASKS[name](*arguments, *([folder] if name == "profile" else []))
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
    from scdiff_bench.running.store import write_text
    from scdiff_bench.speed.page import write_page

    from scdiff_augment.compute.devices import device_of

    device = str(device_of(asked.device))

    file = asked.out / "rows.json"
    rows = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    wanted = tasks(asked.threads, asked.quick, device)
    todo = [name for name in wanted if asked.force or not measured(rows.get(name), wanted[name])]
    for i, name in enumerate(todo, 1):
        print(f"[{i}/{len(todo)}] {name}", flush=True)
        command = [sys.executable, "-m", "scdiff_bench.speed.run", "--out", str(asked.out)]
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
