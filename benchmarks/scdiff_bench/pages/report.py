"""Files of a finished study: rows, tables, figures and one self-contained page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd
import yaml
from scdiff_bench.classifiers.catalogue import CLASSIFIERS
from scdiff_bench.config.study import Config
from scdiff_bench.data.datasets import Dataset, describe
from scdiff_bench.evaluation.scores import SCORES
from scdiff_bench.pages import figures
from scdiff_bench.pages.sentences import sentences
from scdiff_bench.pages.study_page import MOST_PLOTS, render
from scdiff_bench.pages.words import DASH, label, spread
from scdiff_bench.results_version import results_version, versions
from scdiff_bench.running.finished_study import (
    CLASSES,
    CONFUSION_COUNTS,
    ROWS,
    Study,
    read_study,
    write_study,
)
from scdiff_bench.running.results import Results
from scdiff_bench.running.store import write_text, write_with
from scdiff_bench.statistics import contrasts as statistics
from scdiff_bench.statistics.confusion_counts import write_confusion_counts
from scdiff_bench.statistics.per_type import f1_per_type

from scdiff_augment.annotation.spreadsheets import for_spreadsheets


def write_report(
    config: Config, datasets: Sequence[Dataset], results: Results, folder: Path
) -> list[Path]:
    """Write everything that a study leaves.

    Parameters
    ----------
    config : Config
        The study.
    datasets : sequence of Dataset
        Its data sets.
    results : Results
        Its rows.
    folder : Path
        Its folder.

    Returns
    -------
    list of Path
        The files, the page first.
    """
    rows = results.rows
    page = folder / "index.html"
    files = [page]
    for name, frame in ((ROWS, rows), (CLASSES, results.classes)):
        if len(frame):
            files.append(folder / name)
            write = partial(frame.to_parquet, index=False, compression="zstd")
            write_with(files[-1], write)
    if len(results.confusion_counts):
        files.append(folder / CONFUSION_COUNTS)
        write_with(files[-1], partial(write_confusion_counts, results.confusion_counts))
    table = statistics.summarise(rows, config.scores)
    now = results_version()
    files += [folder / "table.csv", folder / "table.md"]
    stated = for_spreadsheets(table.assign(**now.columns))
    write_with(files[-2], lambda p: stated.to_csv(p, index=False, float_format="%.4f"))
    write_text(files[-1], f"{markdown(table, config, results.classes)}\n{now.sentence}\n")
    figure_folder = folder / "figures"
    figure_folder.mkdir(exist_ok=True)
    colour = figures.colours(config.compared, config.baselines)
    blocks = statistics.blocks(rows)
    for block in blocks if len(blocks) <= MOST_PLOTS else []:
        stem = figure_folder / block.stem
        files += figures.save_overview(block.rows, config.main_score, colour, block.title, stem)
    files.append(folder / "config.yaml")
    write_text(files[-1], yaml.safe_dump(config.raw, sort_keys=False, allow_unicode=True))
    infos = [describe(d) for d in datasets]
    missing, total = results.missing, results.progress[1]
    study = Study(folder, config, infos, versions(), rows, [], files, missing, total)
    study = replace(study, findings=sentences(study.summary()))
    write_study(study)
    study = read_study(folder)  # the page shows what a notebook reads
    write_text(page, render(study))
    return study.files


def markdown(table: pd.DataFrame, config: Config, classes: pd.DataFrame) -> str:
    """Return the summary as Markdown: mean and standard deviation over folds, and F1 per type.

    Parameters
    ----------
    table : DataFrame
        From `statistics.summarise`.
    config : Config
        The study.
    classes : DataFrame
        Rows of ``classes.parquet``.

    Returns
    -------
    str
        One table per block, and one per block and classifier.
    """
    lines = [f"# {config.title}", ""]
    for block in statistics.blocks(table):
        lines += [f"## {block.title}", ""]
        heads = ["strategy", "classifier", *(SCORES[s].title for s in config.scores), "folds"]
        lines += [f"| {' | '.join(heads)} |", f"|{'|'.join(['---'] * len(heads))}|"]
        for _, row in block.rows.iterrows():
            cells = [label(row["strategy"]), CLASSIFIERS[row["classifier"]].title]
            cells += [spread(row[s], row[f"{s}_sd"]) for s in config.scores]
            lines.append(f"| {' | '.join([*cells, str(row['folds_ok'])])} |")
        lines.append("")
        for c in config.classifiers:
            wide = f1_per_type(block.of(classes), c, config.compared)
            if wide is None:
                continue
            heads = ["type", *map(label, wide.columns)]
            lines += [f"F1 of each type, {CLASSIFIERS[c].title}:", "", f"| {' | '.join(heads)} |"]
            lines.append(f"|{'|'.join(['---'] * len(heads))}|")
            for name, values in zip(wide.index, wide.to_numpy(), strict=True):
                cells = [f"{v:.2f}" if v == v else DASH for v in values]
                lines.append(f"| {' | '.join([str(name).replace('|', chr(92) + '|'), *cells])} |")
            lines.append("")
    return "\n".join(lines)
