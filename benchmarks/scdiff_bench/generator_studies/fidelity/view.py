"""What the study of fidelity shows."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from scdiff_bench.generator_studies.fidelity import by_class as fidelity_by_class
from scdiff_bench.generator_studies.fidelity import pictures as fidelity_pictures
from scdiff_bench.generator_studies.fidelity import tables as fidelity_tables
from scdiff_bench.generator_studies.fidelity.targets import RARE, TARGETS, beside_null, standing
from scdiff_bench.generator_studies.parts import Arrays, Finding, Picture, Table

NOTES = [
    "The generator is trained on the first part of the cells and never sees the others. Its cells "
    "are compared with the second part; a third part, as many real cells in their place, gives the "
    "reference beside each metric. All variants of a repeat share these parts.",
    "The interval of real cells is a 95 % prediction interval over random halvings of the held-out "
    "cells in each repeat, which takes the metric for normal. For memorisation by class it is a "
    "bootstrap over cells, for CellTypist's accuracy Wilson's interval.",
    "For metrics over all cells, cells are sampled without conditions, in the proportions of the "
    "training set; for metrics by class, markers and CellTypist they are sampled by label, with "
    "the "
    "labels of the real cells they are compared with.",
    "CellTypist is trained on the third part and the remaining cells: neither on the generator's "
    "training set nor on cells that are scored. Its reference is its accuracy on the second part.",
    "Rare types: the smallest types of a data set with at least 20 held-out cells for each side, "
    "cut to a few training cells in a model of their own; all their other cells are held out.",
    "Forest AUC depends on the number of trees, and MMD on the number of cells: they can be "
    "compared within one study only. The sampling error of one forest AUC is about .02.",
    "UMAPs are computed from real and synthetic cells together.",
]


def verdict(rows: pd.DataFrame) -> list[Finding]:
    """Each target, for the first variant, by data set; then the variants that meet the most."""
    found = beside_null(rows)
    stand = standing(found)
    if stand.empty:
        return []
    first = found["variant"].iloc[0]
    shown = []
    for place, target in enumerate(TARGETS):
        part = stand[(stand["target"] == place) & (stand["variant"] == first)]
        if part.empty:
            continue
        said = [_said(row, target.conditions == RARE, target.digits) for _, row in part.iterrows()]
        met = "met" if part["met"].all() else "missed"
        title = target.title[0].upper() + target.title[1:]
        shown.append(Finding(title, f"{first}: {'; '.join(said)}.", f"{target.wanted}.", met))
    counts = stand.groupby(["dataset", "variant"], sort=False)["met"].agg(["sum", "size"])
    best = [
        f"{dataset}: {', '.join(part.index[part['sum'] == part['sum'].max()].get_level_values(1))} "
        f"with {part['sum'].max()} of {part['size'].max()}"
        for dataset, part in counts.groupby(level="dataset", sort=False)
    ]
    return [*shown, Finding("Most targets", f"{'; '.join(best)}.")]


def tables(rows: pd.DataFrame) -> list[Table]:
    """Show attempts and published figures first, then targets, then everything else."""
    found = beside_null(rows)
    if found.empty:
        return []
    return [
        *fidelity_tables.attempts(found),
        *fidelity_tables.reference(rows),
        *fidelity_tables.targets(found),
        *fidelity_by_class.memory(found),
        *fidelity_tables.others(found),
        *fidelity_by_class.figures(found),
    ]


def pictures(rows: pd.DataFrame, arrays: Mapping[str, Arrays]) -> list[Picture]:
    """Draw UMAPs, markers, moments and telling genes of the first repeat of each data set."""
    return fidelity_pictures.pictures(arrays)


def _said(row: pd.Series, rare: bool, digits: int) -> str:
    if rare:
        return f"{row['dataset']} {row['good']:.0f} of {row['cases']:.0f} types and repeats"
    return f"{row['dataset']} {row['value']:.{digits}f} (real cells {row['null']:.{digits}f})"
