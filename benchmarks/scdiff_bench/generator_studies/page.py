"""Files of a finished study: rows, tables, figures and one self-contained page."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from scdiff_bench.data.datasets import Dataset
from scdiff_bench.generator_studies.parts import Arrays, Finding, Picture, StudyConfig, Table
from scdiff_bench.generator_studies.registry import STUDIES, Study
from scdiff_bench.pages.figures import inline_svg, save_figure
from scdiff_bench.pages.study_page import environment
from scdiff_bench.pages.words import label
from scdiff_bench.results_version import results_version, versions
from scdiff_bench.running.store import write_text, write_with

MISSING = Finding("No findings", "Every unit failed, so there are no results.", "", "warning")


def write_study(
    config: StudyConfig,
    datasets: Sequence[Dataset],
    rows: pd.DataFrame,
    arrays: Mapping[str, Arrays],
    folder: Path,
) -> list[Path]:
    """Write everything that a study leaves.

    Parameters
    ----------
    config : StudyConfig
        The study.
    datasets : sequence of Dataset
        Its data sets.
    rows : DataFrame
        Its rows, failed ones among them.
    arrays : mapping of str to dict of str to ndarray
        Arrays of the units that gave some, under the unit's name.
    folder : Path
        Its folder.

    Returns
    -------
    list of Path
        The files, the page first.
    """
    study = STUDIES[config.study]
    good = rows[rows["status"] == "ok"].reset_index(drop=True)
    files = [folder / "index.html", folder / "rows.parquet", folder / "table.md"]
    write_with(files[1], lambda p: rows.to_parquet(p, index=False))
    write_text(files[2], markdown(config, study, good))
    figures = folder / "figures"
    figures.mkdir(exist_ok=True)
    shown = []
    for picture in study.pictures(good, arrays) if len(good) else []:
        saved = save_figure(picture.size, picture.paint, figures / picture.name)
        files += saved
        shown.append((_inline(picture, saved), picture.caption))
    write_text(files[0], render(config, datasets, rows, shown))
    return files


def render(
    config: StudyConfig,
    datasets: Sequence[Dataset],
    rows: pd.DataFrame,
    pictures: Sequence[tuple[str, str]],
) -> str:
    """Return the page of a study.

    Parameters
    ----------
    config : StudyConfig
        The study.
    datasets : sequence of Dataset
        Its data sets.
    rows : DataFrame
        Its rows, failed ones among them.
    pictures : sequence of tuple of str
        Inlined pictures with their captions.

    Returns
    -------
    str
        HTML that needs no other file.
    """
    study = STUDIES[config.study]
    failed = rows[rows["status"] != "ok"]
    good = rows[rows["status"] == "ok"].reset_index(drop=True)
    said = rows.loc[rows["warnings"] != "", ["unit_name", "warnings"]].drop_duplicates()
    return (
        environment()
        .get_template("generator_study.html.j2")
        .render(
            config=config,
            params=config.flat(),
            datasets=datasets,
            findings=verdict(study, good),
            tables=tables(study, good),
            pictures=pictures,
            notes=study.notes,
            warned=said.groupby("warnings", sort=False).size().items(),
            failures=list(zip(failed["unit_name"], failed["error"], strict=True)),
            seconds=rows.drop_duplicates("unit").get("unit_seconds"),
            versions=versions(),
            results=results_version(),
            total=rows["unit"].nunique(),
            counted="units",
            n_failed=len(failed),
        )
    )


def verdict(study: Study, good: pd.DataFrame) -> list[Finding]:
    """Return a study's findings, or that there is none.

    Examples
    --------
    >>> rows = pd.read_parquet("reports/fidelity/rows.parquet")  # doctest: +SKIP
    >>> verdict(STUDIES["fidelity"], rows[rows["status"] == "ok"])[0].outcome  # doctest: +SKIP
    'missed'
    """
    return study.verdict(good) if len(good) else [MISSING]


def tables(study: Study, good: pd.DataFrame) -> list[Table]:
    """Return a study's tables, none where every unit failed."""
    return study.tables(good) if len(good) else []


def markdown(config: StudyConfig, study: Study, good: pd.DataFrame) -> str:
    """Return verdict and tables as Markdown."""
    lines = [f"# {config.title}", ""]
    lines += [f"- {sentence(finding)}" for finding in verdict(study, good)]
    for table in tables(study, good):
        lines += ["", f"## {table.title}", "", f"| {' | '.join(table.heads)} |"]
        lines.append(f"|{'|'.join(['---'] * len(table.heads))}|")
        lines += [f"| {' | '.join(cells)} |" for cells in table.lines()]
        lines += ["", table.caption] if table.caption else []
    return "\n".join([*lines, "", results_version().sentence, ""])


def sentence(finding: Finding) -> str:
    """Return a finding as one line of text."""
    target = f" Target: {finding.target}" if finding.target else ""
    outcome = f" ({finding.outcome})" if finding.outcome else ""
    return f"{finding.title}: {finding.text}{target}{outcome}"


def text(study: Study, good: pd.DataFrame) -> str:
    """Return what a run ends with on the command line."""
    lines: list[Any] = []
    for table in tables(study, good):
        shown = pd.DataFrame(table.lines(), columns=[label(h) for h in table.heads])
        lines += ["", table.title, shown.to_string(index=False)]
    lines += ["", *(sentence(finding) for finding in verdict(study, good)), ""]
    return "\n".join(lines)


def _inline(picture: Picture, saved: Sequence[Path]) -> str:
    if not picture.raster:
        return inline_svg(picture.size, picture.paint, picture.name)
    (png,) = (p for p in saved if p.suffix == ".png")
    data = base64.b64encode(png.read_bytes()).decode()
    return f'<img alt="{label(picture.name)}" src="data:image/png;base64,{data}">'
