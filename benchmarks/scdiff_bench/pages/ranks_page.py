"""``python -m benchmarks ranks``: mean ranks of the arms over several studies."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from scdiff_bench.classifiers.catalogue import CLASSIFIERS
from scdiff_bench.evaluation.scores import SCORES
from scdiff_bench.pages import curves, figures
from scdiff_bench.pages.index_page import write_index
from scdiff_bench.pages.study_page import environment
from scdiff_bench.running.finished_study import Study, read_study
from scdiff_bench.running.store import prepare_folder, write_text
from scdiff_bench.statistics.ranks import ranks
from scdiff_bench.versions import versions

BAD_INPUT = 2


def parser() -> argparse.ArgumentParser:
    """Return the command's parser.

    Returns
    -------
    ArgumentParser
        Folders of studies, the score, and where the page goes.
    """
    found = argparse.ArgumentParser(
        prog="python -m benchmarks ranks",
        description="Rank the arms that several studies have in common, over data sets, rare "
        "types and numbers of training cells. Nothing is computed anew.",
    )
    found.add_argument("folders", type=Path, nargs="+", help="folders of studies with a page")
    found.add_argument("--score", choices=list(SCORES), default="macro_f1", help="(%(default)s)")
    found.add_argument("--out", type=Path, default=Path("reports"))
    return found


def main(argv: Sequence[str]) -> int:
    """Write the page.

    Parameters
    ----------
    argv : sequence of str
        Arguments.

    Returns
    -------
    int
        0; 2 on bad input.
    """
    given = parser().parse_args(list(argv))
    folder = given.out / "ranks"
    try:
        studies = [read_study(f) for f in given.folders]
        page, table = render(studies, given.score)
        prepare_folder(folder)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    (folder / "units").rmdir()  # nothing is computed here
    write_text(folder / "index.html", page)
    write_text(folder / "ranks.csv", table.to_csv(index=False, float_format="%.3f"))
    write_index(given.out)
    print(f"Page:   {folder / 'index.html'}\nTable:  {folder / 'ranks.csv'}")
    return 0


def together(studies: Sequence[Study], least: int = 3) -> tuple[pd.DataFrame, list[str], list[str]]:
    """Return the rows of several studies, their common arms without controls, and the trivial ones.

    Parameters
    ----------
    studies : sequence of Study
        Each with its rows.
    least : int, default=3
        Arms that they must share.

    Returns
    -------
    tuple
        Rows, whose data sets are named after the study too where two studies share one; arms in
        the first study's order; those of them that are trivial.

    Raises
    ------
    ValueError
        If the studies share fewer arms.
    """
    first = studies[0].config
    arms = [a for a in first.arms if a not in first.control_arms]
    arms = [a for a in arms if all(a in s.config.arms for s in studies)]
    if len(arms) < least:
        names = ", ".join(s.config.name for s in studies)
        raise ValueError(
            f"The studies {names} share {len(arms)} arms ({', '.join(arms) or 'none'}), and at "
            f"least {least} are needed. Name studies of the same strategies."
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
    trivial = [a for a in arms if a in first.trivial_arms]
    return pd.concat(parts, ignore_index=True), arms, trivial


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
        HTML that needs no other file; columns ``classifier``, ``arm``, ``rank``, ``blocks``,
        ``p_value`` and ``critical``.

    Raises
    ------
    ValueError
        If no classifier has three comparisons.
    """
    rows, arms, trivial = together(studies)
    colour = figures.colours(arms, trivial)
    pictures, records = [], []
    for c, entry in CLASSIFIERS.items():
        ranked = ranks(rows, c, score, arms)
        if ranked is None:
            continue
        title = f"{entry.title}: mean rank over {ranked.blocks} comparisons"
        picture = curves.critical_difference_svg(ranked, colour, title)
        pictures.append({"figure": picture, "p": ranked.p_value, "critical": ranked.critical})
        shared = {"blocks": ranked.blocks, "p_value": ranked.p_value, "critical": ranked.critical}
        records += [
            {"classifier": c, "arm": a, "rank": rank, **shared} for a, rank in ranked.means.items()
        ]
    if not pictures:
        raise ValueError("No classifier has three comparisons to rank in. Name more studies.")
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
        n_failed=0,
    )
    return page, pd.DataFrame(records)
