"""Results of a study's units, gathered as tables."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from scdiff_bench.results_version import results_version
from scdiff_bench.running.store import read
from scdiff_bench.running.units import Record, Unit


@dataclass(frozen=True)
class Results:
    """What a run leaves.

    Attributes
    ----------
    rows : DataFrame
        One line per data set, fold, strategy and classifier.
    classes : DataFrame
        One line per row and type.
    confusion_counts : DataFrame
        One line per row and donor of the test set: calls counted against true types.
    computed, reused : int
        Units computed in this run and taken from an earlier one.
    missing : int
        Units still to be computed. Rows are then those of the folds that every strategy
        finished, or of a part of one fold.
    """

    rows: pd.DataFrame
    classes: pd.DataFrame
    computed: int
    reused: int
    confusion_counts: pd.DataFrame = field(default_factory=pd.DataFrame)
    missing: int = 0

    @property
    def progress(self) -> tuple[int, int]:
        """Units that are there, and units of the study."""
        there = self.computed + self.reused
        return there, there + self.missing


@dataclass(frozen=True)
class Computed:
    """Results of a list of units.

    Attributes
    ----------
    results : list of dict
        One per unit that is there, in the units' order, whatever order they ended in.
    computed, reused : int
        Units computed in this run and taken from an earlier one.
    missing : int
        Units that there was no time for.
    """

    results: list[Record]
    computed: int
    reused: int
    missing: int = 0


def stored(units: list[Unit], folder: Path) -> Results:
    """Return the rows of the units that are on disk, and compute nothing.

    Parameters
    ----------
    units : list of Unit
        The grid of a study.
    folder : Path
        The study's folder.

    Returns
    -------
    Results
        Of the folds that every strategy finished or failed; of a part of one where there is none.

    Raises
    ------
    ValueError
        If nothing is on disk.
    """
    found = [r for unit in units if (r := read(folder, unit.key, failed=True)) is not None]
    return gathered(units, Computed(found, 0, len(found), len(units) - len(found)))


def gathered(units: list[Unit], done: Computed) -> Results:
    """Gather rows; where units are missing, those of whole folds alone, which compare fairly.

    Where no fold is whole, the strategies that the furthest one has are compared on it.

    Parameters
    ----------
    units : list of Unit
        The grid of a study.
    done : Computed
        Results of those of them that are there.

    Returns
    -------
    Results
        In the grid's order.

    Raises
    ------
    ValueError
        If no unit is there.
    """
    results = done.results
    if done.missing:
        there = {result["unit"] for result in results}
        lost = {_place(unit) for unit in units if unit.key not in there}
        whole = {unit.key for unit in units if _place(unit) not in lost}
        if not there:
            raise ValueError(
                f"Nothing to show: 0 of {len(units)} units are computed. A page needs at least a "
                "strategy that has finished on one fold. Run the study again; it resumes."
            )
        if not there & whole:  # then what the fold that is furthest has
            places = Counter(_place(unit) for unit in units if unit.key in there)
            most = max(places, key=lambda place: places[place])
            whole = {unit.key for unit in units if _place(unit) == most}
        results = [result for result in results if result["unit"] in whole]
    pools = {unit.key: len(unit.dataset.y) - len(unit.fold.test) for unit in units}
    now = results_version().columns  # units of before rows stated them; their keys are of now
    return Results(
        rows=frame(
            [now | row | {"n_pool": pools[r["unit"]]} for r in results for row in r["rows"]]
        ),
        classes=frame([record for r in results for record in r["classes"]]),
        computed=done.computed,
        reused=done.reused,
        confusion_counts=frame([record for r in results for record in r["tallies"]]),
        missing=done.missing,
    )


def _place(unit: Unit) -> tuple[str, int]:
    return unit.dataset.name, unit.fold.index


def frame(records: list[Record]) -> pd.DataFrame:
    """Return records as a table that parquet takes.

    Parameters
    ----------
    records : list of dict
        One per row.

    Returns
    -------
    DataFrame
        Columns without any value are floating.
    """
    found = pd.DataFrame(records)
    for name in ("n", "n_synthetic"):
        if name in found:
            found[name] = found[name].astype("Int64")
    for name in found.columns:
        if found[name].dtype.kind == "O" and found[name].isna().all():
            found[name] = found[name].astype(float)
    return found
