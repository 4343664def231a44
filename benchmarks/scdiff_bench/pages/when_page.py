"""The page that says when a strategy is worth choosing, from several learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scdiff_bench.classifiers.catalogue import CLASSIFIERS
from scdiff_bench.evaluation.scores import SCORES
from scdiff_bench.pages.ranks_page import together
from scdiff_bench.pages.study_page import environment
from scdiff_bench.pages.words import label, signed
from scdiff_bench.results_version import ResultsVersion, versions
from scdiff_bench.running.finished_study import Study
from scdiff_bench.statistics import leads as when
from scdiff_bench.statistics.comparisons import BEST_BASELINE, ROPE
from scdiff_bench.statistics.leads import Lead

JUDGED_BY = ("macro_f1", "rare_pr_auc")


def render(studies: Sequence[Study], strategy: str) -> tuple[str, pd.DataFrame]:
    """Return the page, and the leads that it is made of.

    Parameters
    ----------
    studies : sequence of Study
        Learning curves.
    strategy : str
        The strategy whose lead it is.

    Returns
    -------
    tuple of str and DataFrame
        HTML that needs no other file; the rows of `leads.leads` for each score.

    Raises
    ------
    ValueError
        If the studies have no such strategy, no baseline, or no numbers of training cells.
    """
    rows, strategies, baselines = together(studies, 2)
    if strategy not in strategies:
        raise ValueError(
            f"--strategy {strategy}: not all of these studies have it. They share "
            f"{', '.join(strategies)}."
        )
    rows = rows[rows["n"].notna()]
    if rows.empty or not baselines:
        raise ValueError(
            "None of these studies is a learning curve with baselines. Name studies whose split "
            "has several n, such as rare_cell_draw."
        )
    kept = rows[rows["strategy"].isin([*strategies, "oracle"])]
    tables = {s: when.leads(kept, strategy, baselines, ["oracle"], s) for s in JUDGED_BY}
    if any(t.empty for t in tables.values()):
        raise ValueError(
            f"{strategy!r} and the baselines have no finished fold in common, or only one. Finish "
            "the studies: scdiff-bench run CONFIG"
        )
    others = [
        a
        for a in strategies
        if a not in baselines and a != strategy and not a.endswith("_thresholds")
    ]
    sections = [_section(SCORES[s].title, table, others) for s, table in tables.items()]
    results = ResultsVersion.oldest(study.results for study in studies)
    page = environment().get_template("when.html.j2").render(
        config={
            "title": f"When to use it: {label(strategy)}",
            "description": "Its lead over the best baseline, which is chosen on other folds, on "
            "learning curves of rare types.",
        },
        strategy=strategy,
        studies=studies,
        baselines=[label(a) for a in baselines],
        sections=sections,
        sentences=sentences(tables, others),
        titles={c: entry.title for c, entry in CLASSIFIERS.items()},
        few=when.FEW,
        versions=versions(),
        results=results,
        n_failed=0,
    )  # fmt: skip
    found = pd.concat([t.assign(score=s) for s, t in tables.items()], ignore_index=True)
    return page, found.assign(**results.columns)


def _section(title: str, table: pd.DataFrame, others: Sequence[str]) -> dict[str, Any]:
    references = [r for r in (BEST_BASELINE, *others) if r in set(table["reference"])]
    return {
        "title": title,
        "sizes": sorted(int(n) for n in table["n"].unique()),
        "grids": [(r, when.by_n(table, r), when.with_few(table, r)) for r in references],
        "separation": when.by_separation(table).to_dict("records"),
    }


def sentences(tables: Mapping[str, pd.DataFrame], others: Sequence[str]) -> list[str]:
    """Return the findings of the leads, positive and negative.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        Leads by score.
    others : sequence of str
        The other generative methods.

    Returns
    -------
    list of str
        For each score: with few cells, then at any n where it is behind, then against the others.
    """
    found = []
    for score, table in tables.items():
        name = SCORES[score].title
        few = when.with_few(table, BEST_BASELINE)
        if few:
            words = [
                ("clearly better", "better"),
                ("ahead, though not clearly,", "ahead"),
                ("about equal", "level"),
                ("behind, though not clearly,", "behind"),
                ("clearly worse", "worse"),
            ]
            parts = [_listed(few.values(), what, word) for what, word in words]
            told = "; ".join(filter(None, parts))
            found.append(f"{name}, up to {when.FEW} cells of a type: {told}.")
        behind = [
            f"{_title(c)} at n = {', '.join(str(n) for n, lead in by.items() if _loses(lead))}"
            for c, by in when.by_n(table, BEST_BASELINE).items()
            if any(map(_loses, by.values()))
        ]
        if behind:
            found.append(
                f"{name}: behind the best baseline by more than .01 for " + "; ".join(behind) + "."
            )
        for other in others:
            by = [lead for c in when.by_n(table, other).values() for lead in c.values()]
            means = [lead.difference.mean for lead in by]
            if means:
                found.append(
                    f"{name}, against {label(other)}: from {signed(min(means))} to "
                    f"{signed(max(means))}, mean {signed(float(np.mean(means)))}."
                )
    return found


def _loses(lead: Lead) -> bool:
    return lead.difference.mean < -ROPE


def _listed(leads: Any, what: str, word: str) -> str:
    mine = [lead for lead in leads if lead.word == word]
    named = ", ".join(f"{_title(x.classifier)} ({signed(x.difference.mean)})" for x in mine)
    return f"{what} for {named}" if mine else ""


def _title(classifier: str) -> str:
    return CLASSIFIERS[classifier].title
