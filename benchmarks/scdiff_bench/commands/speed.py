"""``scdiff-bench speed``: seconds and memory of fit, condition, sample, decode and resampling."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from scdiff_bench.commands import BAD_INPUT
from scdiff_bench.results_version import results_version
from scdiff_bench.running.store import require_writable, write_text
from scdiff_bench.speed.measure import measured, tasks
from scdiff_bench.speed.page import write_page

from scdiff_augment.compute.devices import device_of

ON_GPU = 8.0
"""Minutes on a GPU, which may be lent for few."""


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    found = argparse.ArgumentParser(
        prog="scdiff-bench speed",
        description="Measure seconds and memory of the generator, beside other samplers, from "
        "1,000 to 100,000 cells; about 20 minutes. Each measurement is kept as soon as it is "
        "there, and the same command resumes.",
    )
    found.add_argument(
        "--out", type=Path, default=Path("reports/speed"), help="folder of the page (%(default)s)"
    )
    found.add_argument(
        "--threads", type=int, default=os.cpu_count(), help="threads of torch (default: cores)"
    )
    found.add_argument("--device", default="cpu", help="cpu, cuda or auto (%(default)s)")
    found.add_argument(
        "--minutes", type=float, help="stop then, at the latest (default: 8 on a GPU, else none)"
    )
    found.add_argument("--quick", action="store_true", help="small sizes only: a minute or two")
    found.add_argument("--force", action="store_true", help="measure everything again")
    return found


def main(argv: Sequence[str]) -> int:
    """Measure what is missing, then write the page.

    Parameters
    ----------
    argv : sequence of str
        Arguments of the command.

    Returns
    -------
    int
        0; 2 on bad input.
    """
    given = parser().parse_args(list(argv))
    try:
        if given.threads < 1:
            raise ValueError(f"--threads {given.threads}: needs at least 1 thread.")
        device = str(device_of(given.device))
        require_writable(given.out)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    file, now = given.out / "rows.json", results_version()
    rows = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    wanted = tasks(given.threads, given.quick, device)
    todo = [n for n, task in wanted.items() if given.force or not measured(rows.get(n), task, now)]
    minutes = given.minutes if given.minutes is not None or device == "cpu" else ON_GPU
    until = None if minutes is None else time.monotonic() + 60 * minutes
    for i, name in enumerate(todo, 1):
        left = None if until is None else until - time.monotonic()
        if left is not None and left <= 0:
            print(
                f"{minutes:g} minutes are over: {len(todo) - i + 1} left; the same command resumes."
            )
            break
        print(f"[{i}/{len(todo)}] {name}", flush=True)
        command = [sys.executable, "-m", "scdiff_bench.speed.measure", "--out", str(given.out)]
        command += ["--threads", str(given.threads), "--task", json.dumps(wanted[name])]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=left
            )
        except subprocess.TimeoutExpired:
            print(f"{minutes:g} minutes are over: {name} was stopped.")
            break
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1:] or ["no message"]
            rows[name] = {"error": last[0], "exit_code": done.returncode}
        else:
            rows[name] = json.loads(done.stdout.splitlines()[-1])
        where = "cpu" if name.endswith("_cpu_fp32") else device
        rows[name] |= {"task": wanted[name], "threads": given.threads, "device": where}
        rows[name] |= now.columns
        write_text(file, json.dumps(rows, indent=1) + "\n")
    print(f"Page:   {write_page(rows, given.out)}")
    return 0
