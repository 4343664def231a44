"""The plain values that a study and its page exchange."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scdiff_bench.config.study import DatasetSpec
from scdiff_bench.pages.words import DASH, spread

Arrays = dict[str, NDArray[Any]]
Outcome = Literal["met", "missed", "warning", ""]


@dataclass(frozen=True)
class StudyConfig:
    """A study of the generator.

    Attributes
    ----------
    name, title, description : str
        Folder and experiment name; headline; what the study asks.
    seed : int
        Every random number of the study comes from it.
    datasets : tuple of DatasetSpec
        What is learnt.
    study : str
        A name in ``STUDIES``.
    params : object
        The study's ``Parameters``.
    """

    name: str
    title: str
    description: str
    seed: int
    datasets: tuple[DatasetSpec, ...]
    study: str
    params: Any

    def flat(self) -> dict[str, Any]:
        """Return the config as flat parameters, for MLflow and the page."""
        return {
            "study": self.study,
            "seed": self.seed,
            "datasets": [d.name for d in self.datasets],
            **asdict(self.params),
        }


@dataclass(frozen=True)
class Output:
    """What a unit gives.

    Attributes
    ----------
    rows : list of dict
        Flat rows of plain values.
    arrays : dict of str to ndarray
        What figures need and rows cannot hold.
    """

    rows: list[dict[str, Any]]
    arrays: Arrays = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """One statement of the verdict.

    Attributes
    ----------
    title, text : str
        What it is about, and what was measured.
    target : str
        What was wanted, with its number; empty where nothing was set.
    outcome : {"met", "missed", "warning", ""}
        How the one stands to the other.
    """

    title: str
    text: str
    target: str = ""
    outcome: Outcome = ""


@dataclass(frozen=True)
class Table:
    """Numbers to show, and to log.

    Attributes
    ----------
    title : str
        Headline.
    frame : DataFrame
        ``keys`` and columns of numbers; a column ``x_sd`` is shown beside ``x`` as ± and not
        by itself.
    keys : sequence of str
        Columns that name a line.
    titles : mapping of str to str
        Heads of columns, where the name will not do.
    digits : mapping of str to int
        Digits after the point, 3 by default.
    caption : str
        What stands under it.
    powers : sequence of str
        Columns in which a value too small for its digits is written as a power of ten.
    prose : sequence of str
        Columns of sentences, which may take several lines.
    """

    title: str
    frame: pd.DataFrame
    keys: Sequence[str]
    titles: Mapping[str, str] = field(default_factory=dict)
    digits: Mapping[str, int] = field(default_factory=dict)
    caption: str = ""
    powers: Sequence[str] = ()
    prose: Sequence[str] = ()

    @property
    def columns(self) -> list[str]:
        """Columns that are shown, the keys first."""
        rest = [c for c in self.frame.columns if c not in self.keys and not c.endswith("_sd")]
        return [*self.keys, *rest]

    @property
    def heads(self) -> list[str]:
        """Heads of the columns that are shown."""
        return [self.titles.get(c, c.replace("_", " ")) for c in self.columns]

    @property
    def classes(self) -> list[str]:
        """How the columns that are shown are set: as text, as prose or, empty, as numbers."""
        return [
            "prose" if c in self.prose else "text" if c in self.keys else "" for c in self.columns
        ]

    def lines(self) -> list[list[str]]:
        """Return the cells as text, line by line."""
        return [[self._text(row, c) for c in self.columns] for _, row in self.frame.iterrows()]

    def _text(self, row: pd.Series, column: str) -> str:
        value = row[column]
        if isinstance(value, str):
            return value
        if pd.isna(value):
            return DASH
        if isinstance(value, (bool, np.bool_)):
            return "yes" if value else "no"
        if pd.api.types.is_integer_dtype(self.frame[column]):
            return f"{int(value):,}"
        digits = self.digits.get(column, 3)
        if column in self.powers and 0 < abs(value) < 0.5 * 10**-digits:
            return f"{value:.0e}".replace("-", "−")
        return spread(value, row.get(f"{column}_sd", float("nan")), digits)

    def metrics(self) -> dict[str, float]:
        """Return every number under the names of its line and column, with ``/`` between."""
        numbers = self.frame.select_dtypes("number").columns.difference(list(self.keys), sort=False)
        return {
            "/".join([*(self._text(row, k).replace(",", "") for k in self.keys), name]): float(
                row[name]
            )
            for _, row in self.frame.iterrows()
            for name in numbers
            if not pd.isna(row[name])
        }


@dataclass(frozen=True)
class Picture:
    """A figure to draw.

    Attributes
    ----------
    name : str
        Of its files, unique within the study.
    caption : str
        What it shows and how to read it.
    size : tuple of float
        Inches; up to 6 wide is readable on a phone.
    paint : callable
        Draws on the empty figure it is given, text and axes in matplotlib's default colours.
    raster : bool
        Whether the page has it as PNG: right for thousands of points.
    """

    name: str
    caption: str
    size: tuple[float, float]
    paint: Callable[[Figure], None]
    raster: bool = False


def means(rows: pd.DataFrame, keys: Sequence[str], columns: Sequence[str]) -> pd.DataFrame:
    """Return means and standard deviations of groups of rows, in the rows' order.

    Parameters
    ----------
    rows : DataFrame
        Results.
    keys : sequence of str
        Columns that make a group; missing values are a group too.
    columns : sequence of str
        Columns to average.

    Returns
    -------
    DataFrame
        ``keys``, then for each column ``x`` its mean and ``x_sd``, then ``runs``, the number of
        rows.
    """
    grouped = rows.groupby(list(keys), sort=False, dropna=False, observed=True)
    found = grouped.size().rename("runs").to_frame()
    for name in columns:
        found[name] = grouped[name].mean()
        found[f"{name}_sd"] = grouped[name].std()
    ordered = [c for name in columns for c in (name, f"{name}_sd")]
    return found[[*ordered, "runs"]].reset_index()
