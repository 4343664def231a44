"""``scdiff-bench show``: what finished studies say, without computing or writing anything."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from scdiff_bench.commands import BAD_INPUT, console
from scdiff_bench.running.finished_study import FILE, read_study


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    found = argparse.ArgumentParser(
        prog="scdiff-bench show",
        description="Print what finished comparisons of strategies say, and where their pages are. "
        "Nothing is computed or written.",
    )
    found.add_argument(
        "folders", type=Path, nargs="*", help="folders of studies (default: all in reports/)"
    )
    return found


def main(argv: Sequence[str]) -> int:
    """Print studies: one with its tables, several with their verdicts.

    Parameters
    ----------
    argv : sequence of str
        Arguments of the command.

    Returns
    -------
    int
        0; 2 on bad input.
    """
    given = parser().parse_args(list(argv)).folders
    folders = given or sorted(p.parent for p in Path("reports").glob(f"*/{FILE}"))
    if not folders:
        print(
            "error: There is no finished study in reports/. Name a folder: "
            "scdiff-bench show FOLDER",
            file=sys.stderr,
        )
        return BAD_INPUT
    for folder in folders:
        try:
            study = read_study(folder)
        except (OSError, ValueError) as error:
            print(f"error: {error}", file=sys.stderr)
            return BAD_INPUT
        print(f"{study.config.title}\n{study.results.sentence}")
        if len(folders) == 1:
            print(console.summary(study.config, study.rows))
        for line in console.winners(study.config, study.rows):
            print(line)
        print(f"Page:   {folder / 'index.html'}\n")
    return 0
