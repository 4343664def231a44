"""``scdiff-bench sync``: send studies that are on disk to MLflow."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from scdiff_bench.commands import BAD_INPUT, FAILED
from scdiff_bench.commands.run import add_tracking_uri
from scdiff_bench.running.finished_study import FILE, read_study
from scdiff_bench.tracking.models import saved_generators
from scdiff_bench.tracking.runs import TrackingError, is_logged, log_study


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    found = argparse.ArgumentParser(
        prog="scdiff-bench sync",
        description="Send finished comparisons of strategies to MLflow, for example after a server "
        "was away. Nothing is computed; what the server has already is left out.",
    )
    found.add_argument(
        "folders", type=Path, nargs="*", help="folders of studies (default: all in reports/)"
    )
    add_tracking_uri(found)
    found.add_argument("--force", action="store_true", help="send again what is there already")
    return found


def main(argv: Sequence[str]) -> int:
    """Send studies.

    Parameters
    ----------
    argv : sequence of str
        Arguments of the command.

    Returns
    -------
    int
        0; 1 if MLflow refused or cannot be reached; 2 on bad input.
    """
    arguments = parser().parse_args(list(argv))
    folders = arguments.folders or sorted(p.parent for p in Path("reports").glob(f"*/{FILE}"))
    try:
        studies = [(folder, read_study(folder)) for folder in folders]
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    if not studies:
        print("There is no finished study in reports/. Name a folder: scdiff-bench sync FOLDER")
    uri = arguments.tracking_uri
    for folder, study in studies:
        try:
            if not arguments.force and is_logged(uri, study.config, study.rows):
                print(f"{folder}: {uri} has it already")
                continue
            run_id = log_study(
                uri,
                study.config,
                study.datasets,
                study.rows,
                study.files,
                study.versions,
                saved_generators(folder),
            )
        except TrackingError as error:
            print(f"error: {error}", file=sys.stderr)
            return FAILED
        print(f"{folder}: experiment {study.config.name!r}, run {run_id}, in {uri}")
    return 0
