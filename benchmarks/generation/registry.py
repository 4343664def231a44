"""The studies there are: whatever stands in ``studies`` and ``views``."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.generation import studies
from benchmarks.generation.parts import Arrays, Finding, Output, Picture, Table

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Study:
    """A study: what it computes and what it shows.

    Attributes
    ----------
    parameters, units, compute, verdict, tables, pictures, notes, annotate
        As the package's docstring says.
    code : tuple of Path
        Modules of the benchmark that its results depend on.
    """

    parameters: type
    units: Callable[[Any, Sequence[Any]], list[dict[str, Any]]]
    compute: Callable[[dict[str, Any], Any, int], Output]
    verdict: Callable[[pd.DataFrame], list[Finding]]
    tables: Callable[[pd.DataFrame], list[Table]]
    pictures: Callable[[pd.DataFrame, Mapping[str, Arrays]], list[Picture]]
    notes: Sequence[str]
    code: tuple[Path, ...]
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
    maths = import_module(f"benchmarks.generation.studies.{name}")
    view = import_module(f"benchmarks.generation.views.{name}")
    modules = ("generation.units", "generation.models", "objects", *getattr(maths, "CODE", ()))
    files = [HERE.parent / (m.replace(".", "/") + ".py") for m in modules]
    return Study(
        parameters=maths.Parameters,
        units=maths.units,
        compute=maths.compute,
        verdict=view.verdict,
        tables=view.tables,
        pictures=view.pictures,
        notes=view.NOTES,
        code=(*files, HERE / "studies" / f"{name}.py"),
        annotate=getattr(maths, "annotate", None),
    )


STUDIES: dict[str, Study] = {m.name: load(m.name) for m in pkgutil.iter_modules(studies.__path__)}
