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
from scdiff_bench.running.finished_study import Study
from scdiff_bench.statistics import leads as when
from scdiff_bench.statistics.leads import Lead
from scdiff_bench.statistics.verdicts import BEST_TRIVIAL, ROPE
from scdiff_bench.versions import ResultsVersion, versions

JUDGED_BY = ("macro_f1", "rare_pr_auc")


def render(studies: Sequence[Study], arm: str) -> tuple[str, pd.DataFrame]:
    """Return the page, and the leads that it is made of.

    Parameters
    ----------
    studies : sequence of Study
        Learning curves.
    arm : str
        Who is judged.

    Returns
    -------
    tuple of str and DataFrame
        HTML that needs no other file; the rows of `leads.leads` for each score.

    Raises
    ------
    ValueError
        If the studies have no such arm, no trivial one, or no numbers of training cells.
    """
    rows, arms, trivial = together(studies, 2)
    if arm not in arms:
        raise ValueError(
            f"'{arm}' is no arm that all these studies have; those are {', '.join(arms)}."
        )
    rows = rows[rows["n"].notna()]
    if rows.empty or not trivial:
        raise ValueError(
            "Needs learning curves with trivial arms: studies whose split is rare_cell_draw."
        )
    kept = rows[rows["strategy"].isin([*arms, "oracle"])]
    tables = {s: when.leads(kept, arm, trivial, ["oracle"], s) for s in JUDGED_BY}
    if any(t.empty for t in tables.values()):
        raise ValueError(f"No fold was finished by '{arm}' and by a trivial arm.")
    others = [a for a in arms if a not in trivial and a != arm and not a.endswith("_thresholds")]
    sections = [_section(SCORES[s].title, table, others) for s, table in tables.items()]
    results = ResultsVersion.oldest(study.results for study in studies)
    page = environment().get_template("when.html.j2").render(
        config={
            "title": f"When to use it: {label(arm)}",
            "description": "Its lead over the best trivial arm, which is chosen on other folds, on "
            "learning curves of rare types.",
        },
        arm=arm,
        studies=studies,
        trivial=[label(a) for a in trivial],
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
    references = [r for r in (BEST_TRIVIAL, *others) if r in set(table["reference"])]
    return {
        "title": title,
        "sizes": sorted(int(n) for n in table["n"].unique()),
        "grids": [(r, when.by_n(table, r), when.with_few(table, r)) for r in references],
        "separation": when.by_separation(table).to_dict("records"),
    }


def sentences(tables: Mapping[str, pd.DataFrame], others: Sequence[str]) -> list[str]:
    """Return what the leads say, the good and the bad.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        Leads by score.
    others : sequence of str
        The other arms that learn a model.

    Returns
    -------
    list of str
        For each score: with few cells, then at any n where it trails, then against the others.
    """
    found = []
    for score, table in tables.items():
        name = SCORES[score].title
        few = when.with_few(table, BEST_TRIVIAL)
        if few:
            words = [
                ("clearly better", "better"),
                ("ahead, not clearly,", "ahead"),
                ("level", "level"),
                ("behind, not clearly,", "behind"),
                ("clearly worse", "worse"),
            ]
            parts = [_listed(few.values(), what, word) for what, word in words]
            told = "; ".join(filter(None, parts))
            found.append(f"{name}, up to {when.FEW} cells of a type: {told}.")
        behind = [
            f"{_title(c)} at n = {', '.join(str(n) for n, lead in by.items() if _loses(lead))}"
            for c, by in when.by_n(table, BEST_TRIVIAL).items()
            if any(map(_loses, by.values()))
        ]
        if behind:
            found.append(
                f"{name}: behind the best trivial arm by more than .01 for "
                + "; ".join(behind)
                + "."
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
