"""``reports/index.html``: the studies of a folder, each with its findings."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

from scdiff_bench.pages.stated_versions import stated_version
from scdiff_bench.pages.study_page import environment
from scdiff_bench.results_version import ResultsVersion, results_version
from scdiff_bench.running.finished_study import read_study
from scdiff_bench.running.store import write_text


def write_index(reports: Path) -> Path:
    """Write the page that lists all studies of a folder."""
    pages = sorted(reports.glob("*/index.html"))
    entries = [_entry(page) for page in pages]
    stated = [version for page in pages if (version := stated_version(page)) is not None]
    results = ResultsVersion.oldest(stated) if stated else results_version()
    write_text(
        reports / "index.html",
        environment().get_template("index.html.j2").render(entries=entries, results=results),
    )
    return reports / "index.html"


def _entry(page: Path) -> dict[str, Any]:
    """Return what is known of a study; an old or foreign page still has its title."""
    entry: dict[str, Any] = {"link": f"{page.parent.name}/index.html", "facts": "", "findings": []}
    try:
        study = read_study(page.parent)
    except (OSError, ValueError, KeyError, TypeError):
        found = re.search(r"<title>(.*?)</title>", page.read_text(encoding="utf-8"), re.S)
        title = html.unescape(found.group(1)).strip() if found else page.parent.name
        return entry | {"title": title}
    rows = study.rows
    failed = int((rows["status"] != "ok").sum())
    facts = (
        f"{', '.join(d.name for d in study.datasets)}; {rows['strategy'].nunique()} strategies, "
        f"{rows['classifier'].nunique()} classifiers, {rows['fold'].nunique()} folds, "
        f"{len(rows):,} rows"
        + (f", {failed:,} of them failed" if failed else "")
        + (f"; {study.missing:,} units still to be computed" if study.missing else "")
    )
    return entry | {"title": study.config.title, "facts": facts, "findings": study.findings}
