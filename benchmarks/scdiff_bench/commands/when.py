"""``scdiff-bench when``: when a strategy is worth choosing, from several learning curves."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from scdiff_bench.commands import BAD_INPUT
from scdiff_bench.pages.index_page import write_index
from scdiff_bench.pages.when_page import render
from scdiff_bench.running.finished_study import read_study
from scdiff_bench.running.store import require_writable, write_text

from scdiff_augment.annotation.spreadsheets import for_spreadsheets


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    found = argparse.ArgumentParser(
        prog="scdiff-bench when",
        description="Show when a strategy is worth choosing, from the learning curves of several "
        "studies: by classifier, by number of training cells and by how well separated the rare "
        "types are. No model is refit.",
    )
    found.add_argument("folders", type=Path, nargs="+", help="folders of finished studies")
    found.add_argument(
        "--strategy",
        "--arm",
        dest="strategy",
        default="diffusion",
        metavar="NAME",
        help="strategy whose lead is shown (%(default)s)",
    )
    found.add_argument(
        "--out",
        type=Path,
        default=Path("reports"),
        help="folder that when_to_use/ is written to (%(default)s)",
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
    folder = given.out / "when_to_use"
    try:
        page, table = render([read_study(f) for f in given.folders], given.strategy)
        require_writable(folder)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    write_text(folder / "index.html", page)
    leads = for_spreadsheets(table)
    write_text(folder / "leads.csv", leads.to_csv(index=False, float_format="%.6g"))
    write_index(given.out)
    print(f"Page:   {folder / 'index.html'}\nTable:  {folder / 'leads.csv'}")
    return 0
