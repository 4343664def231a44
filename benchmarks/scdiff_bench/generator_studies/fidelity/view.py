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
    "The generator learns from the first part of the cells and never sees the others. Its cells "
    "are compared with the second part; a third, real cells in their place and number, gives the "
    "null beside each figure. All variants of a draw share these parts.",
    "The null's interval: held-out cells are parted anew several times in each draw, and one more "
    "parting would lie inside with a chance of 95 % if the figure is normal. Of memorisation by "
    "class it is a bootstrap over cells, of CellTypist's accuracy Wilson's interval.",
    "Cells of the figures over all cells are drawn without conditions, in the proportions of "
    "training; figures by class, markers and CellTypist take cells that were asked for by label, "
    "with the labels of the real ones they are compared with.",
    "CellTypist is trained on the third part and whatever cells are left: neither cells of the "
    "generator nor those that are scored. Its null is its accuracy on the second part.",
    "Rare types: the smallest types of a data set with at least 20 held-out cells for each side, "
    "cut to a few training cells in a model of their own; all their other cells are held out.",
    "Forest AUC depends on the number of trees, and MMD on the number of cells: only figures of "
    "one study can be compared. One forest AUC carries an error of about .02 from its test cells.",
    "The map is made of real and synthetic cells together.",
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
    """Draw maps, markers, moments and telling genes of the first draw of each data set."""
    return fidelity_pictures.pictures(arrays)


def _said(row: pd.Series, rare: bool, digits: int) -> str:
    if rare:
        return f"{row['dataset']} {row['good']:.0f} of {row['cases']:.0f} types and draws"
    return f"{row['dataset']} {row['value']:.{digits}f} (real cells {row['null']:.{digits}f})"
