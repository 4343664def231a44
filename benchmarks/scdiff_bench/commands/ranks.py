"""``scdiff-bench ranks``: mean ranks of the strategies over several studies."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from scdiff_bench.commands import BAD_INPUT
from scdiff_bench.evaluation.scores import SCORES
from scdiff_bench.pages.index_page import write_index
from scdiff_bench.pages.ranks_page import render
from scdiff_bench.running.finished_study import read_study
from scdiff_bench.running.store import require_writable, write_text

from scdiff_augment.annotation.spreadsheets import for_spreadsheets


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    found = argparse.ArgumentParser(
        prog="scdiff-bench ranks",
        description="Rank the strategies that several studies have in common, over data sets, "
        "sets of rare types and numbers of training cells. No model is refit.",
    )
    found.add_argument("folders", type=Path, nargs="+", help="folders of finished studies")
    found.add_argument(
        "--score",
        choices=list(SCORES),
        default="macro_f1",
        help="score to rank by (%(default)s)",
    )
    found.add_argument(
        "--out",
        type=Path,
        default=Path("reports"),
        help="folder that ranks/ is written to (%(default)s)",
    )
    return found


def main(argv: Sequence[str]) -> int:
    """Write the page.

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
    folder = given.out / "ranks"
    try:
        page, table = render([read_study(f) for f in given.folders], given.score)
        require_writable(folder)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    write_text(folder / "index.html", page)
    ranks = for_spreadsheets(table)
    write_text(folder / "ranks.csv", ranks.to_csv(index=False, float_format="%.3f"))
    write_index(given.out)
    print(f"Page:   {folder / 'index.html'}\nTable:  {folder / 'ranks.csv'}")
    return 0
