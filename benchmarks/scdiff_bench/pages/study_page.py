"""The page of a study: its summary put into the template."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from scdiff_bench.classifiers.catalogue import CLASSIFIERS
from scdiff_bench.config.study import Config
from scdiff_bench.data.datasets import DatasetInfo
from scdiff_bench.evaluation.scores import SCORES
from scdiff_bench.pages import curves, figures, verdict
from scdiff_bench.pages.words import DASH, label, outcome, percent, share, signed, spread
from scdiff_bench.running.finished_study import Study
from scdiff_bench.statistics import contrasts as statistics
from scdiff_bench.statistics.comparisons import BEST_BASELINE, Comparison
from scdiff_bench.statistics.contrasts import Block
from scdiff_bench.statistics.per_type import f1_per_type
from scdiff_bench.statistics.summary import Summary
from scdiff_bench.strategies.catalogue import STRATEGIES

MOST_PLOTS = 3
"""Blocks up to which every one has its dot plots; beyond, learning curves tell more."""

SHOWN = 5
"""Generative methods in one figure."""


def environment() -> Environment:
    """Return the templates with the filters that they use."""
    found = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {
        "label": label, "signed": signed, "outcome": outcome, "percent": percent, "share": share
    }  # fmt: skip
    return found


def render(study: Study) -> str:
    """Return the page of a study.

    Parameters
    ----------
    study : Study
        As `read_study` reads it.

    Returns
    -------
    str
        HTML that needs no other file.
    """
    config, summary = study.config, study.summary()
    rows = summary.rows
    failed = rows[rows["status"] != "ok"]
    remarks = rows.loc[(rows["note"] != "") | (rows["warnings"] != "")]
    unweighted = sorted(
        {CLASSIFIERS[c].title for c in config.classifiers if not CLASSIFIERS[c].weights}
    )
    weighting = any(s.name.startswith("class_weight") for s in config.strategies)
    balancing = any(s.name == "balance_cell_type" for s in config.strategies)
    by_name = {d.name: d for d in study.datasets}
    return environment().get_template("report.html.j2").render(
        config=config,
        split=_split_words(config),
        score=SCORES[config.main_score],
        scores=[SCORES[s] for s in config.scores],
        titles={name: entry.title for name, entry in CLASSIFIERS.items()},
        verdicts=_verdicts(summary),
        sentences=study.findings,
        grid=_grid(summary),
        curves=_curves(summary),
        critical=_critical(summary),
        reliability=_reliability(summary),
        calibration=_calibration(summary),
        majority=summary.majority_cost(),
        best_baseline=BEST_BASELINE,
        blocks=[
            _block(summary, b, v, by_name[b.dataset])
            for b, v in zip(summary.blocks, summary.comparisons, strict=True)
        ],
        failures=failed.groupby(["strategy", "classifier", "error"], sort=False).size().items(),
        remarks=_remarks(remarks),
        unweighted=unweighted if weighting else [],
        balancing=balancing,
        versions=study.versions,
        results=study.results,
        total=len(rows),
        n_failed=len(failed),
        progress=summary.progress,
        unfinished=[a for a in config.compared if a not in set(rows["strategy"])],
        folds=len(rows.drop_duplicates(["dataset", "fold"])),
    )  # fmt: skip


def _verdicts(summary: Summary) -> list[dict[str, str | bool]]:
    """Return what the page opens with."""
    score, several = summary.config.main_score, len(summary.verdicts) > 1
    return [
        {
            "setting": verdict.setting(v, several),
            "winner": verdict.winner(v, score),
            "explanation": verdict.explanation(v, score),
            "pending": v.pending,
        }
        for v in summary.verdicts
    ]


def hues(summary: Summary) -> dict[str, str]:
    """Return what figures show, with its colour: five generative methods and the controls.

    Strategies under their own names, which have their defaults, come before variants.
    """
    config = summary.config
    colour = figures.colours(config.compared, config.baselines)
    plain = [a for a in summary.generative if not a.endswith("_thresholds")]
    plain.sort(key=lambda strategy: strategy not in STRATEGIES)
    shown = [*plain[:SHOWN], *config.controls]
    return {BEST_BASELINE: figures.INK, **{a: colour[a] for a in shown}}


def _grid(summary: Summary) -> list[tuple[str, list[tuple[str, dict[str, Any]]]]]:
    """Return each generative method's contrasts: (strategy, [(block, {classifier: contrast})])."""
    found = []
    for strategy in sorted(
        summary.generative, key=lambda strategy: strategy != "diffusion"
    ):  # the first is open
        lines: dict[str, dict[str, Any]] = {}
        for block, _, contrast in summary.against_baseline():
            if contrast.strategy == strategy:
                lines.setdefault(block.title, {})[contrast.classifier] = contrast
        if lines:
            found.append((strategy, list(lines.items())))
    return found


def _curves(summary: Summary) -> list[tuple[str, list[str]]]:
    """Return the learning curves: (data set and rare types, figures)."""
    config, found = summary.config, []
    places = dict.fromkeys((b.dataset, b.rare_set) for b in summary.blocks)
    for dataset, rare_set in places:
        title = ", ".join(filter(None, [dataset, rare_set]))
        drawn = []
        for c in config.classifiers:
            curve = summary.curve(dataset, rare_set, c)
            if len(curve):
                name = CLASSIFIERS[c].title
                figure = curves.learning_curve_svg(
                    curve, config.main_score, hues(summary), name, f"{name}, {title}"
                )
                drawn.append(figure)
        if drawn:
            found.append((title, drawn))
    return found


def _critical(summary: Summary) -> list[dict[str, Any]]:
    """Return the ranks of each classifier, with their picture."""
    config, found = summary.config, []
    colour = figures.colours(config.compared, config.baselines)
    for c in config.classifiers:
        ranked = summary.ranks(c)
        if ranked is None:
            continue
        title = f"{CLASSIFIERS[c].title}: mean rank over {ranked.blocks} comparisons"
        picture = curves.critical_difference_svg(ranked, colour, title)
        found.append({"figure": picture, "p": ranked.p_value, "critical": ranked.critical})
    return found


def _reliability(summary: Summary) -> list[str]:
    """Return a reliability curve per classifier."""
    found = []
    colour = {"none": figures.QUIET, **hues(summary)}
    for c in summary.config.classifiers:
        bins = {a: b for a, b in summary.reliability(c).items() if a in colour}
        if bins:
            title = f"{CLASSIFIERS[c].title}, calibration"
            found.append(curves.reliability_svg(bins, colour, title))
    return found


def _calibration(summary: Summary) -> list[tuple[str, list[tuple[str, list[str]]]]]:
    """Return log-loss, Brier score and calibration error: (strategy, [(classifier, figures)])."""
    names = ["log_loss", "brier", "ece"]
    done = summary.rows[summary.rows["status"] == "ok"]
    done = done[~done["thresholds_tuned"].astype(bool)]
    means = done.groupby(["classifier", "strategy"], sort=False)[names].mean()
    return [
        (
            CLASSIFIERS[c].title,
            [
                (str(a), [f"{means.loc[(c, a), s]:.3f}" for s in names])
                for a in summary.config.compared
                if (c, a) in means.index
            ],
        )
        for c in summary.config.classifiers
    ]


def _block(
    summary: Summary, block: Block, found: list[Comparison], data: DatasetInfo
) -> dict[str, Any]:
    """Return what the page shows of one block."""
    config, part = summary.config, block.rows
    colour = figures.colours(config.compared, config.baselines)
    table = statistics.summarise(part, config.scores)
    scores = {
        c: [
            (row["strategy"], [spread(row[s], row[f"{s}_sd"]) for s in config.scores])
            for _, row in table[table["classifier"] == c].iterrows()
        ]
        for c in config.classifiers
    }
    plots = config.classifiers if len(summary.blocks) <= MOST_PLOTS else ()
    return {
        "title": block.title,
        "data": data,
        "types": sorted(data.types.items(), key=lambda t: t[1]),
        "rare": list(part["rare"].iloc[0]),
        "folds": part["fold"].nunique(),
        "n_train": int(part["n_train"].median()),
        "n_test": int(part["n_test"].median()),
        "comparisons": found,
        "figures": [
            figures.dot_plot_svg(
                part, c, config.main_score, colour, f"{CLASSIFIERS[c].title}, {block.title}"
            )
            for c in plots
        ],
        "scores": scores,
        "per_class": _per_class(config, block.of(summary.classes)),
        "costs": statistics.costs(part).to_dict("records"),
    }


def _per_class(
    config: Config, classes: pd.DataFrame
) -> dict[str, tuple[list[str], list[tuple[str, bool, list[str]]]]]:
    """Return F1 per type, averaged over folds: classifier -> (strategies, lines)."""
    found: dict[str, Any] = {}
    for c in config.classifiers:
        wide = f1_per_type(classes, c, config.compared)
        if wide is None:
            continue
        rare = set(classes.loc[classes["rare"], "type"])
        lines = [
            (str(t), t in rare, [f"{v:.2f}" if not np.isnan(v) else DASH for v in wide.loc[t]])
            for t in wide.index
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


def _split_words(config: Config) -> str:
    given = ", ".join(f"{k} = {json.dumps(v)}" for k, v in config.split_params.items())
    return f"{label(config.split_kind)} ({given})"
