"""Which results versions a page states, and how to renew it."""

from __future__ import annotations

import html
import re
import shlex
from pathlib import Path

from scdiff_bench.results_version import ResultsVersion

CONFIGS = Path("benchmarks/configs")
_META = re.compile(r'<meta name="results-version" content="([^"]*)">')


def stated_version(page: Path) -> ResultsVersion | None:
    """Return the results versions that a page states.

    Parameters
    ----------
    page : Path
        An HTML file.

    Returns
    -------
    ResultsVersion or None
        None where it states none.
    """
    found = _META.search(page.read_text(encoding="utf-8"))
    return ResultsVersion.read(found[1]) if found else None


def out_of_date(page: Path, now: ResultsVersion) -> bool:
    """Return whether a page shows older results than ``now``, or states no version."""
    stated = stated_version(page)
    return stated is None or stated.older_than(now)


def renewal(page: Path) -> str:
    """Return the command that renews a page.

    Parameters
    ----------
    page : Path
        An HTML file.

    Returns
    -------
    str
        For the shell.
    """
    folder = page.parent
    if (folder / "ranks.csv").is_file():
        return f"scdiff-bench ranks {_studies(page)}"
    if (folder / "leads.csv").is_file():
        return f"scdiff-bench when {_studies(page)}"
    if (folder / "rows.json").is_file():
        return f"scdiff-bench speed --out {shlex.quote(str(folder))}"
    configs = [
        CONFIGS / f"{folder.name}.yaml",
        folder / "compare.yaml",
        folder / "config.yaml",
    ]
    for config in configs:
        if config.is_file():
            where = "" if folder.parent == Path("reports") else f" --out {folder.parent}"
            return f"scdiff-bench run {shlex.quote(str(config))}{where}"
    if list(folder.glob("*/index.html")):
        return "any command that writes one of the pages that it lists"
    return f"scdiff-bench run CONFIG, with the config whose name is {folder.name!r}"


def _studies(page: Path) -> str:
    """Return the folders of the studies that a page is taken from."""
    names = re.findall(r'href="\.\./([^/"]+)/index\.html"', page.read_text(encoding="utf-8"))
    folders = [str(page.parent.parent / html.unescape(name)) for name in names]
    return shlex.join(dict.fromkeys(folders))
