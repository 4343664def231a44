"""``scdiff-bench reports``: pages and the versions of the results that they show."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from scdiff_bench.commands import BAD_INPUT, FAILED
from scdiff_bench.pages.stated_versions import out_of_date, renewal, stated_version
from scdiff_bench.results_version import results_version


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    found = argparse.ArgumentParser(
        prog="scdiff-bench reports",
        description="List the pages of a folder with the versions of the results that they show. "
        "A results version is raised when the same data gives other cells or other scores.",
    )
    found.add_argument(
        "folder",
        type=Path,
        nargs="?",
        default=Path("reports"),
        help="folder with pages (%(default)s)",
    )
    found.add_argument(
        "--check",
        action="store_true",
        help="list only pages that show older results or state no version, each with the command "
        "that renews it; exit code 1 if there are any",
    )
    return found


def main(argv: Sequence[str]) -> int:
    """List pages, or check them.

    Parameters
    ----------
    argv : sequence of str
        Arguments of the command.

    Returns
    -------
    int
        0; with ``--check`` 1 if a page is out of date; 2 if there is no such folder.
    """
    given = parser().parse_args(list(argv))
    if not given.folder.is_dir():
        print(
            f"error: There is no folder {str(given.folder)!r} in {Path.cwd()}. Name one that has "
            "pages: scdiff-bench reports FOLDER",
            file=sys.stderr,
        )
        return BAD_INPUT
    pages = sorted(given.folder.rglob("*.html"))
    if not given.check:
        for page in pages:
            stated = stated_version(page)
            print(f"{page}: {stated or 'states no version'}")
        return 0
    now = results_version()
    old = [page for page in pages if out_of_date(page, now)]
    for page in old:
        stated = stated_version(page)
        shows = "states no results version" if stated is None else f"shows results of {stated}"
        print(f"{page}: {shows}, the current version is {now}; renew it with: {renewal(page)}")
    return FAILED if old else 0
