"""The page with the mean ranks of the strategies over several studies."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from scdiff_bench.classifiers.catalogue import CLASSIFIERS
from scdiff_bench.evaluation.scores import SCORES
from scdiff_bench.pages import curves, figures
from scdiff_bench.pages.study_page import environment
from scdiff_bench.results_version import ResultsVersion, versions
from scdiff_bench.running.finished_study import Study
from scdiff_bench.statistics.ranks import ranks


def together(studies: Sequence[Study], least: int = 3) -> tuple[pd.DataFrame, list[str], list[str]]:
    """Return the rows of several studies, the strategies that they share, and the baselines.

    Parameters
    ----------
    studies : sequence of Study
        Each with its rows.
    least : int, default=3
        Strategies that they must share.

    Returns
    -------
    tuple
        Rows, whose data sets are named after the study too where two studies share one;
        strategies without controls in the first study's order; those that are baselines.

    Raises
    ------
    ValueError
        If the studies share fewer strategies.
    """
    first = studies[0].config
    strategies = [a for a in first.compared if a not in first.controls]
    strategies = [a for a in strategies if all(a in s.config.compared for s in studies)]
    if len(strategies) < least:
        names = ", ".join(s.config.name for s in studies)
        raise ValueError(
            f"The studies {names} share {len(strategies)} strategies "
            f"({', '.join(strategies) or 'none'}); at least {least} are needed. Name studies of "
            "the same strategies."
        )
    named = [s.rows["dataset"].unique() for s in studies]
    every = pd.Series([name for names in named for name in names])
    twice = set(every[every.duplicated()])
    parts = []
    for study in studies:
        rows = study.rows.copy()
        shared = rows["dataset"].isin(twice)
        rows.loc[shared, "dataset"] += f" ({study.config.name})"
        parts.append(rows)
    baselines = [a for a in strategies if a in first.baselines]
    return pd.concat(parts, ignore_index=True), strategies, baselines


def render(studies: Sequence[Study], score: str) -> tuple[str, pd.DataFrame]:
    """Return the page and the table of mean ranks.

    Parameters
    ----------
    studies : sequence of Study
        At least one.
    score : str
        What to rank by.

    Returns
    -------
    tuple of str and DataFrame
        HTML that needs no other file; columns ``classifier``, ``strategy``, ``rank``, ``blocks``,
        ``p_value``, ``critical`` and the oldest results versions of the studies.

    Raises
    ------
    ValueError
        If no classifier has three comparisons.
    """
    rows, strategies, baselines = together(studies)
    colour = figures.colours(strategies, baselines)
    pictures, records = [], []
    for c, entry in CLASSIFIERS.items():
        ranked = ranks(rows, c, score, strategies)
        if ranked is None:
            continue
        title = f"{entry.title}: mean rank over {ranked.blocks} comparisons"
        picture = curves.critical_difference_svg(ranked, colour, title)
        pictures.append({"figure": picture, "p": ranked.p_value, "critical": ranked.critical})
        shared = {"blocks": ranked.blocks, "p_value": ranked.p_value, "critical": ranked.critical}
        records += [
            {"classifier": c, "strategy": a, "rank": rank, **shared}
            for a, rank in ranked.means.items()
        ]
    if not pictures:
        raise ValueError("No classifier has three comparisons to rank in. Name more studies.")
    results = ResultsVersion.oldest(study.results for study in studies)
    template = environment().get_template("ranks.html.j2")
    page = template.render(
        config={
            "title": "Ranks of the strategies over all studies",
            "description": f"{SCORES[score].title}, Friedman's test with Nemenyi's pairs over data "
            "set, set of rare types and number of training cells.",
        },
        studies=studies,
        critical=pictures,
        versions=versions(),
        results=results,
        n_failed=0,
    )
    return page, pd.DataFrame(records).assign(**results.columns)
