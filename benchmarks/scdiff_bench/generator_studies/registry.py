"""The studies there are: every package in this folder."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import pandas as pd
from scdiff_bench import generator_studies
from scdiff_bench.generator_studies.parts import Arrays, Finding, Output, Picture, Table


@dataclass(frozen=True)
class Study:
    """A study: what it computes and what it shows.

    Attributes
    ----------
    parameters, units, compute, verdict, tables, pictures, notes, annotate
        As the package's docstring says.
    version : int
        Raised when the same unit gives other rows than before.
    libraries : tuple of str
        Distributions that its rows depend on, beside those of every study.
    """

    parameters: type
    units: Callable[[Any, Sequence[Any]], list[dict[str, Any]]]
    compute: Callable[[dict[str, Any], Any, int], Output]
    verdict: Callable[[pd.DataFrame], list[Finding]]
    tables: Callable[[pd.DataFrame], list[Table]]
    pictures: Callable[[pd.DataFrame, Mapping[str, Arrays]], list[Picture]]
    notes: Sequence[str]
    version: int
    libraries: tuple[str, ...] = ()
    annotate: Callable[[Any, Mapping[str, Any]], dict[str, Any]] | None = None


def load(name: str) -> Study:
    """Import a study.

    Parameters
    ----------
    name : str
        Of its two modules.

    Returns
    -------
    Study
        Their functions together.
    """
    maths = import_module(f"{generator_studies.__name__}.{name}.study")
    view = import_module(f"{generator_studies.__name__}.{name}.view")
    return Study(
        parameters=maths.Parameters,
        units=maths.units,
        compute=maths.compute,
        verdict=view.verdict,
        tables=view.tables,
        pictures=view.pictures,
        notes=view.NOTES,
        version=maths.VERSION,
        libraries=getattr(maths, "LIBRARIES", ()),
        annotate=getattr(maths, "annotate", None),
    )


STUDIES: dict[str, Study] = {
    m.name: load(m.name) for m in pkgutil.iter_modules(generator_studies.__path__) if m.ispkg
}
