"""Files of a finished study: rows, tables, figures and one self-contained page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from benchmarks import figures, statistics
from benchmarks.classifiers import CLASSIFIERS
from benchmarks.config import Config
from benchmarks.datasets import Dataset
from benchmarks.runner import Results
from benchmarks.scores import SCORES
from benchmarks.store import write_text, write_with
from benchmarks.strategies import STRATEGIES
from benchmarks.versions import versions
from benchmarks.words import DASH, label, outcome, signed, spread


def write_report(
    config: Config, datasets: list[Dataset], results: Results, folder: Path
) -> list[Path]:
    """Write everything that a study leaves.

    Parameters
    ----------
    config : Config
        The study.
    datasets : list of Dataset
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
    page, rows_file = folder / "index.html", folder / "rows.parquet"
    files = [page, rows_file]
    write_with(rows_file, lambda p: rows.to_parquet(p, index=False))
    if len(results.classes):
        files.append(folder / "classes.parquet")
        write_with(files[-1], lambda p: results.classes.to_parquet(p, index=False))
    table = statistics.summarise(rows, config.scores)
    files += [folder / "table.csv", folder / "table.md"]
    write_with(files[-2], lambda p: table.to_csv(p, index=False, float_format="%.4f"))
    write_text(files[-1], markdown(table, config))
    figure_folder = folder / "figures"
    figure_folder.mkdir(exist_ok=True)
    colour = figures.colours([s.label for s in config.strategies], trivial_labels(config))
    for dataset, n, part in statistics.blocks(rows):
        stem = figure_folder / (dataset if n is None else f"{dataset}_n{n}")
        title = _block_title(dataset, n)
        files += figures.save_overview(part, config.main_score, colour, title, stem)
    write_text(page, render(config, datasets, results))
    return files


def trivial_labels(config: Config) -> list[str]:
    """Return the labels of a study's trivial strategies.

    Parameters
    ----------
    config : Config
        The study.

    Returns
    -------
    list of str
        In the config's order.
    """
    return [s.label for s in config.strategies if STRATEGIES[s.name].trivial]


def markdown(table: pd.DataFrame, config: Config) -> str:
    """Return the summary as Markdown: mean and standard deviation over folds.

    Parameters
    ----------
    table : DataFrame
        From `statistics.summarise`.
    config : Config
        The study.

    Returns
    -------
    str
        One table per data set and n.
    """
    lines = [f"# {config.title}", ""]
    for dataset, n, part in statistics.blocks(table):
        lines += [f"## {_block_title(dataset, n)}", ""]
        heads = ["strategy", "classifier", *(SCORES[s].title for s in config.scores), "folds"]
        lines += [f"| {' | '.join(heads)} |", f"|{'|'.join(['---'] * len(heads))}|"]
        for _, row in part.iterrows():
            cells = [label(row["strategy"]), CLASSIFIERS[row["classifier"]].title]
            cells += [spread(row[s], row[f"{s}_sd"]) for s in config.scores]
            lines.append(f"| {' | '.join([*cells, str(row['folds_ok'])])} |")
        lines.append("")
    return "\n".join(lines)


def render(config: Config, datasets: list[Dataset], results: Results) -> str:
    """Return the page of a study.

    Parameters
    ----------
    config : Config
        The study.
    datasets : list of Dataset
        Its data sets.
    results : Results
        Its rows.

    Returns
    -------
    str
        HTML that needs no other file.
    """
    rows = results.rows
    trivial = trivial_labels(config)
    by_name = {d.name: d for d in datasets}
    failed = rows[rows["status"] != "ok"]
    remarks = rows.loc[(rows["note"] != "") | (rows["warnings"] != "")]
    unweighted = sorted(
        {CLASSIFIERS[c].title for c in config.classifiers if not CLASSIFIERS[c].weights}
    )
    weighting = any(s.name.startswith("class_weight") for s in config.strategies)
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            config=config,
            split=_split_words(config),
            score=SCORES[config.main_score],
            scores=[SCORES[s] for s in config.scores],
            titles={name: entry.title for name, entry in CLASSIFIERS.items()},
            trivial=trivial,
            blocks=[
                _block(config, dataset, n, part, results.classes, by_name[dataset], trivial)
                for dataset, n, part in statistics.blocks(rows)
            ],
            failures=failed.groupby(["strategy", "classifier", "error"], sort=False).size().items(),
            remarks=_remarks(remarks),
            unweighted=unweighted if weighting else [],
            versions=versions(),
            total=len(rows),
            n_failed=len(failed),
        )
    )


def environment() -> Environment:
    """Return what renders the templates of this folder.

    Returns
    -------
    Environment
        With the filters that pages share.
    """
    found = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {"label": label, "signed": signed, "outcome": outcome}
    return found


def _block(
    config: Config,
    dataset: str,
    n: int | None,
    part: pd.DataFrame,
    classes: pd.DataFrame,
    data: Dataset,
    trivial: list[str],
) -> dict[str, Any]:
    """Return what the page shows of one data set and n."""
    order = [s.label for s in config.strategies]
    colour = figures.colours(order, trivial)
    title = _block_title(dataset, n)
    table = statistics.summarise(part, config.scores)
    scores = {
        c: [
            (row["strategy"], [spread(row[s], row[f"{s}_sd"]) for s in config.scores])
            for _, row in table[table["classifier"] == c].iterrows()
        ]
        for c in config.classifiers
    }
    types, counts = np.unique(data.y, return_counts=True)
    return {
        "title": title,
        "data": data,
        "types": sorted(zip(types.tolist(), counts.tolist(), strict=True), key=lambda t: t[1]),
        "rare": list(part["rare"].iloc[0]),
        "folds": part["fold"].nunique(),
        "n_train": int(part["n_train"].median()),
        "n_test": int(part["n_test"].median()),
        "verdicts": statistics.verdicts(part, config.main_score, trivial),
        "figures": [
            figures.dot_plot_svg(
                part, c, config.main_score, colour, f"{CLASSIFIERS[c].title}, {title}"
            )
            for c in config.classifiers
        ],
        "scores": scores,
        "per_class": _per_class(config, dataset, n, classes),
        "costs": statistics.costs(part).to_dict("records"),
    }


def _per_class(
    config: Config, dataset: str, n: int | None, classes: pd.DataFrame
) -> dict[str, tuple[list[str], list[tuple[str, bool, list[str]]]]]:
    """Return F1 per type, averaged over folds: classifier -> (strategies, lines)."""
    if classes.empty:
        return {}
    mine = classes[classes["dataset"] == dataset]
    mine = mine[mine["n"].isna() if n is None else mine["n"] == n]
    found = {}
    for c in config.classifiers:
        wide = mine[mine["classifier"] == c].pivot_table("f1", "type", "strategy")
        if wide.empty:
            continue
        wide = wide[[s.label for s in config.strategies if s.label in wide]]
        support = mine.groupby("type")["n_test"].mean()
        rare = set(mine.loc[mine["rare"], "type"])
        lines = [
            (str(t), t in rare, [f"{v:.2f}" if not pd.isna(v) else DASH for v in wide.loc[t]])
            for t in support.sort_values(kind="stable").index
        ]
        found[c] = (list(wide.columns), lines)
    return found


def _remarks(rows: pd.DataFrame) -> list[tuple[str, str, int]]:
    """Return notes and warnings of the rows, and in how many rows each stands."""
    texts = pd.concat([rows["note"], rows["warnings"]])
    found = pd.DataFrame({"strategy": rows["strategy"].reindex(texts.index), "text": texts.values})
    found = found[found["text"] != ""]
    counts = found.groupby(["strategy", "text"], sort=False).size()
    return [(str(s), str(t), int(count)) for (s, t), count in counts.items()]


def _block_title(dataset: str, n: int | None) -> str:
    return dataset if n is None else f"{dataset}, {n} training cells per rare type"


def _split_words(config: Config) -> str:
    given = ", ".join(f"{k} = {json.dumps(v)}" for k, v in config.split_params.items())
    return f"{label(config.split_kind)} ({given})"
