"""``scdiff-bench run``: run a study, and write its page."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from scdiff_bench.commands import BAD_INPUT, FAILED, STOPPED
from scdiff_bench.commands.plans import Plan, make_plan
from scdiff_bench.running.backends import BACKENDS, connected
from scdiff_bench.running.runner import Interrupted
from scdiff_bench.running.store import pack, prepare_folder, unasked
from scdiff_bench.tracking.runs import DEFAULT_URI, TrackingError, address


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    found = argparse.ArgumentParser(
        prog="scdiff-bench run",
        description="Run a study: data sets x strategies x classifiers x folds, or a study of "
        "the generator where the config has the key 'study'. What an earlier run has computed is "
        "not computed again.",
    )
    found.add_argument("config", type=Path, help="a YAML file, for example in benchmarks/configs/")
    found.add_argument(
        "--jobs", type=int, default=_cores(), help="processes, one thread each (default: cores)"
    )
    found.add_argument(
        "--out",
        type=Path,
        default=Path("reports"),
        help="folder that the study's own folder goes to (%(default)s)",
    )
    add_tracking_uri(found)
    found.add_argument(
        "--backend",
        choices=BACKENDS,
        default="loky",
        help="where to compute: processes of this machine, or a cluster (%(default)s)",
    )
    found.add_argument("--scheduler", help="address of the cluster, for example tcp://HOST:8786")
    found.add_argument("--force", action="store_true", help="compute everything again")
    found.add_argument(
        "--minutes",
        type=float,
        help="start nothing new after so many minutes, and make the page of the folds that are "
        "complete; the same command resumes",
    )
    found.add_argument(
        "--report-only",
        action="store_true",
        help="compute nothing: make the page of the folds that are complete on disk",
    )
    return found


def add_tracking_uri(found: argparse.ArgumentParser) -> None:
    """Add the address of MLflow, which several commands take."""
    found.add_argument(
        "--tracking-uri", default=DEFAULT_URI, help="address of MLflow (%(default)s)"
    )


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def main(argv: Sequence[str]) -> int:
    """Run a study.

    Parameters
    ----------
    argv : sequence of str
        Arguments of the command.

    Returns
    -------
    int
        0; 1 if rows failed; 2 on bad input; 130 if it was stopped.
    """
    again = [a for a in argv if a not in ("--force", "--report-only")]
    return run_study(parser().parse_args(list(argv)), f"scdiff-bench run {shlex.join(again)}")


def run_study(
    arguments: argparse.Namespace,
    again: str,
    before: Callable[[Plan, Path], None] | None = None,
    after: Callable[[Plan, Any, Path], None] | None = None,
) -> int:
    """Run a study, and write its page, also where it is stopped.

    Parameters
    ----------
    arguments : Namespace
        Of `parser`.
    again : str
        The command that resumes it.
    before, after : callable, optional
        Called with the plan and its folder before anything is computed, and with the plan, its
        results and its folder at the end.

    Returns
    -------
    int
        As `main`.
    """
    folder, start = arguments.out, time.monotonic()
    try:
        plan = _checked_plan(arguments)
        folder = arguments.out / plan.config.name
        prepare_folder(folder)
        plan.load()
        _note_unasked(folder, [unit.key for unit in plan.units])
        if before is not None:
            before(plan, folder)
        results = _results(plan, folder, arguments, time.monotonic() - start)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    except Interrupted as stop:
        print(
            f"\nStopped. {stop} They are in {folder / 'units'}; this command resumes:\n  {again}",
            file=sys.stderr,
        )
        if stop.kept and plan.in_parts:
            try:
                found = plan.stored(folder)
                _finish(plan, found, folder, arguments.tracking_uri, after=after, stopped=True)
            except OSError as error:  # the disk that stopped it, say
                print(f"error: There is no page of it ({error}).", file=sys.stderr)
        return FAILED if stop.reason else STOPPED
    return _finish(plan, results, folder, arguments.tracking_uri, again, after)


def _finish(
    plan: Plan,
    results: Any,
    folder: Path,
    uri: str,
    again: str = "",
    after: Callable[[Plan, Any, Path], None] | None = None,
    stopped: bool = False,
) -> int:
    """Write the page, send the study to MLflow if it is complete, and say what came out."""
    files = plan.write(results, folder)
    packed = pack(folder, [unit.key for unit in plan.units])
    failed = results.rows[results.rows["status"] != "ok"]
    done = (
        f"{results.reused} done"
        if stopped
        else f"{results.computed} computed, {results.reused} from earlier runs"
    )
    print(f"\n{len(plan.units)} units: {done}; {len(results.rows)} rows, {len(failed)} failed.")
    print(plan.summary(results))
    sent = warning = ""
    if results.missing:
        print(
            f"Not complete: {results.missing} of {len(plan.units)} units are missing. The page is "
            f"made of what is complete, and nothing was sent to MLflow"
            + (f"; this command resumes:\n  {again}" if again else ".")
        )
    else:
        sent, warning = _log(plan, uri, results, files, folder)
    if after is not None:
        after(plan, results, folder)
    for line in plan.verdict(results):
        print(line)
    print(f"Units:  {packed}\nTable:  {folder / 'table.md'}\nPage:   {folder / 'index.html'}")
    if sent:
        print(sent)
        print(f"Runs:   mlflow ui --backend-store-uri {uri}")
    if warning:
        print(warning, file=sys.stderr)
    for line, count in (failed[plan.culprit] + ": " + failed["error"]).value_counts().items():
        print(f"failed: {count} rows of {line}", file=sys.stderr)
    return FAILED if len(failed) else 0


def _checked_plan(arguments: argparse.Namespace) -> Plan:
    if arguments.jobs < 1:
        raise ValueError(f"--jobs {arguments.jobs}: needs at least 1 process.")
    if arguments.minutes is not None and not arguments.minutes > 0:
        raise ValueError(f"--minutes {arguments.minutes:g}: needs more than 0 minutes.")
    plan = make_plan(arguments.config)
    if (arguments.report_only or arguments.minutes is not None) and not plan.in_parts:
        raise ValueError(
            f"--report-only and --minutes are for comparisons of strategies; "
            f"{plan.config.name!r} is a study of the generator, whose page needs all its units. "
            f"Leave them out; what is on disk is used anyway."
        )
    return plan


def _note_unasked(folder: Path, keys: Sequence[str]) -> None:
    if other := unasked(folder, keys):
        print(
            f"note: {other} units packed in {folder} belong to another config, to other results "
            "versions or to other versions of the libraries; they are not used, and are dropped "
            "when the page is made.",
            file=sys.stderr,
        )


def _results(plan: Plan, folder: Path, arguments: argparse.Namespace, spent: float) -> Any:
    """Compute what is missing, in the minutes that loading the data has left."""
    if arguments.report_only:
        return plan.stored(folder)
    minutes = None if arguments.minutes is None else max(arguments.minutes - spent / 60, 0.0)
    with connected(arguments.backend, arguments.scheduler):
        return plan.run(folder, arguments.jobs, arguments.force, minutes)


def _log(plan: Plan, uri: str, results: Any, files: list[Path], folder: Path) -> tuple[str, str]:
    """Send the study to MLflow; return where it is, and a warning if that was not possible."""
    try:
        run_id = plan.log(uri, results, files, folder)
        where = address(uri, plan.config.name)
    except TrackingError as error:
        return "", (
            f"warning: MLflow could not be reached or refused the study ({error}). All rows are "
            f"on disk in {folder}; send them later with: scdiff-bench sync {folder}"
        )
    said = f"MLflow: experiment {plan.config.name!r}, run {run_id}, in {uri}\n        {where}"
    return said, ""
