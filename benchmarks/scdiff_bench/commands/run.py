"""Command line: ``python -m benchmarks benchmarks/configs/NAME.yaml``."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from scdiff_bench.commands import compare, sync
from scdiff_bench.config.study import Config, load_config, read_yaml
from scdiff_bench.evaluation.scores import SCORES
from scdiff_bench.pages import ranks_page as across
from scdiff_bench.pages import report, when_page
from scdiff_bench.pages.index_page import write_index
from scdiff_bench.pages.words import label
from scdiff_bench.running.backends import BACKENDS, connected
from scdiff_bench.running.results import Results, stored
from scdiff_bench.running.runner import Interrupted, load_datasets, make_units, run
from scdiff_bench.running.store import pack, prepare_folder, unasked
from scdiff_bench.statistics import contrasts as statistics
from scdiff_bench.tracking.models import save_generators
from scdiff_bench.tracking.tracking import DEFAULT_URI, TrackingError, log_study
from scdiff_bench.versions import versions

FAILED, BAD_INPUT, STOPPED = 1, 2, 130


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser.

    Returns
    -------
    ArgumentParser
        With one positional argument, the config.
    """
    found = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Run a study: data sets x strategies x classifiers x folds, or a study of "
        "the generator where the config has the key 'study'. What an earlier run has computed is "
        "not computed again. `sync --help`, `compare --help`, `ranks --help` and `when --help` "
        "tell of four more commands.",
    )
    found.add_argument("config", type=Path, help="a YAML file, for example in benchmarks/configs/")
    found.add_argument(
        "--jobs", type=int, default=_cores(), help="processes, one thread each (default: cores)"
    )
    found.add_argument(
        "--out", type=Path, default=Path("reports"), help="where the study's folder goes"
    )
    found.add_argument("--tracking-uri", default=DEFAULT_URI, help="of MLflow (%(default)s)")
    found.add_argument(
        "--backend",
        choices=BACKENDS,
        default="loky",
        help="where units run: processes of this machine, or a cluster (%(default)s)",
    )
    found.add_argument("--scheduler", help="address of the cluster, for example tcp://HOST:8786")
    found.add_argument("--force", action="store_true", help="compute everything again")
    found.add_argument(
        "--minutes",
        type=float,
        help="begin no unit after so long, and make the page of what is there; run again to go on",
    )
    found.add_argument(
        "--report-only",
        action="store_true",
        help="compute nothing: make the page of the folds that are complete on disk",
    )
    return found


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run a study from the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; those of the process by default.

    Returns
    -------
    int
        0; 1 if rows failed; 2 on bad input; 130 if it was stopped.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    if given[:1] == ["sync"]:
        return sync.main(given[1:])
    if given[:1] == ["ranks"]:
        return across.main(given[1:])
    if given[:1] == ["when"]:
        return when_page.main(given[1:])
    if given[:1] == ["compare"]:
        return main(compare.main(given[1:]))
    arguments = parser().parse_args(given)
    try:
        if arguments.jobs < 1:
            raise ValueError(f"--jobs {arguments.jobs}: needs at least 1 process.")
        if arguments.minutes is not None and not arguments.minutes > 0:
            raise ValueError(f"--minutes {arguments.minutes:g}: needs more than 0 minutes.")
        plan = make_plan(arguments.config)
        partly = arguments.report_only or arguments.minutes is not None
        if partly and not isinstance(plan, Comparison):
            raise ValueError(
                "--report-only and --minutes are for comparisons of strategies; a study of the "
                "generator needs all its units. Leave them out; what is on disk is used anyway."
            )
        folder = arguments.out / plan.config.name
        prepare_folder(folder)
        plan.load()
        keys = [unit.key for unit in plan.units]
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    if other := unasked(folder, keys):
        print(
            f"note: {other} units packed in {folder} are of another config, of other code "
            "or of other versions of the libraries; they are not used, and are dropped when the "
            "page is made.",
            file=sys.stderr,
        )
    try:
        if arguments.report_only:
            results = plan.stored(folder)
        else:
            limit = {"minutes": arguments.minutes} if partly else {}
            with connected(arguments.backend, arguments.scheduler):
                results = plan.run(folder, arguments.jobs, arguments.force, **limit)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    except Interrupted as stop:
        again = shlex.join(a for a in given if a != "--force")
        print(
            f"\nStopped. {stop} They are in {folder / 'units'}; "
            f"go on with:\n  python -m benchmarks {again}",
            file=sys.stderr,
        )
        return FAILED if stop.reason else STOPPED
    files = plan.write(results, folder)
    packed = pack(folder, keys)
    failed = results.rows[results.rows["status"] != "ok"]
    print(
        f"\n{len(plan.units)} units: {results.computed} computed, {results.reused} from earlier "
        f"runs; {len(results.rows)} rows, {len(failed)} failed."
    )
    print(plan.summary(results))
    if partly and results.missing:
        print(
            f"Not complete: {results.missing} of {len(plan.units)} units are missing. The page is "
            f"that of the complete folds, and MLflow is left alone; go on with:\n"
            f"  python -m benchmarks {shlex.join(a for a in given if a != '--report-only')}"
        )
    warning = ""
    try:
        if not (partly and results.missing):
            run_id = plan.log(arguments.tracking_uri, results, files)
            name = plan.config.name
            print(f"MLflow: experiment {name!r}, run {run_id}, in {arguments.tracking_uri}")
    except TrackingError as error:
        warning = (
            f"warning: MLflow could not be reached or refused the study ({error}). All rows are "
            f"on disk in {folder}; send them later with: python -m benchmarks sync {folder}"
        )
    print(f"Page:   {folder / 'index.html'}\nTable:  {folder / 'table.md'}")
    print(f"Units:  {packed}")
    print("Runs:   make ui")
    if warning:
        print(warning, file=sys.stderr)
    for line, count in (failed[plan.culprit] + ": " + failed["error"]).value_counts().items():
        print(f"failed: {count} rows of {line}", file=sys.stderr)
    return FAILED if len(failed) else 0


class Comparison:
    """A study of strategies: data sets x strategies x classifiers x folds.

    Parameters
    ----------
    config : Config
        The study.
    """

    culprit = "strategy"

    def __init__(self, config: Config) -> None:
        self.config = config

    def load(self) -> None:
        self.datasets = load_datasets(self.config)
        self.units = make_units(self.config, self.datasets)

    def run(self, folder: Path, jobs: int, force: bool, minutes: float | None = None) -> Results:
        return run(self.config, self.units, folder, jobs, force, minutes)

    def stored(self, folder: Path) -> Results:
        return stored(self.units, folder)

    def write(self, results: Results, folder: Path) -> list[Path]:
        self.generators = {} if results.missing else save_generators(self.units, folder)
        files = report.write_report(self.config, self.datasets, results, folder)
        write_index(folder.parent)
        return files

    def summary(self, results: Results) -> str:
        return summary(self.config, results.rows)

    def log(self, uri: str, results: Results, files: list[Path]) -> str:
        return log_study(
            uri, self.config, self.datasets, results.rows, files, versions(), self.generators
        )


def make_plan(path: Path) -> Any:
    """Return what a config asks for.

    Parameters
    ----------
    path : Path
        A YAML file.

    Returns
    -------
    Comparison or scdiff_bench.generator_studies.plan.GeneratorStudy
        The second where the config has the key ``study``.
    """
    raw = read_yaml(path)
    if isinstance(raw, Mapping) and "study" in raw:
        from scdiff_bench.generator_studies.plan import GeneratorStudy, load_study_config

        return GeneratorStudy(load_study_config(path))
    return Comparison(load_config(path))


def summary(config: Config, rows: pd.DataFrame) -> str:
    """Return the tables that a run ends with.

    Parameters
    ----------
    config : Config
        The study.
    rows : DataFrame
        Its results.

    Returns
    -------
    str
        Means of the main score, and the cost of each strategy.
    """
    name, lines = config.main_score, []
    for block in statistics.blocks(rows):
        part = block.rows
        means = statistics.summarise(part, [name]).pivot(
            index="strategy", columns="classifier", values=name
        )
        means = means.reindex(index=list(config.arms), columns=list(config.classifiers))
        where = f"{part['fold'].nunique()} folds ({block.title})"
        lines += [f"\n{SCORES[name].title}, mean over {where}"]
        lines += [_text(means.map(lambda v: "-" if pd.isna(v) else f"{v:.3f}"))]
        cost = statistics.costs(part).set_index("strategy")
        if cost.empty:  # every strategy failed
            continue
        shown = pd.DataFrame(
            {
                "cells made": cost["cells_made"].map("{:.0f}".format),
                "seconds": _pair(cost["seconds"], cost["seconds_max"], 2),
                "processor seconds": _pair(cost["cpu_seconds"], cost["cpu_seconds_max"], 2),
                "peak memory, MB": _pair(cost["peak_mb"], cost["peak_mb_max"], 0),
                "of it added, MB": _pair(cost["added_mb"], cost["added_mb_max"], 0),
            }
        )
        lines += ["\nResampling a fold on one thread, median / largest", _text(shown)]
    return "\n".join([*lines, ""])


def _pair(median: pd.Series, largest: pd.Series, digits: int) -> pd.Series:
    return median.map(f"{{:.{digits}f}}".format) + " / " + largest.map(f"{{:.{digits}f}}".format)


def _text(table: pd.DataFrame) -> str:
    table = table.rename(index=label, columns=label).rename_axis(index=None, columns=None)
    return table.to_string()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nStopped. Finished units are kept; run the same command again.", file=sys.stderr)
        sys.exit(STOPPED)
