"""Versions that a result depends on: of the results themselves, and of the libraries."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from typing import NamedTuple

from scdiff_augment.results_version import CELLS_VERSION

CHANGES = {
    1: "Strategies, classifiers and scores of 0.1.0.",
}
"""What changed in the scores of the same cells, by results version of the harness.

Add a line whenever a strategy, a classifier, a score or a metric gives another number for the same
cells. What changes the cells of scdiff_augment has versions of its own, in scdiff_augment.versions.
"""

HARNESS_VERSION = max(CHANGES)
"""Results version of the scores that this code gives."""

LIBRARIES = ("imbalanced-learn", "numpy", "scikit-learn", "scipy")
"""Libraries that every score depends on."""

GENERATOR = "torch"
"""What synthetic cells of scdiff_augment depend on besides."""

SHOWN = (*LIBRARIES, GENERATOR, "anndata", "celltypist", "imbalanced-learn-extra", "scvi-tools")
"""Libraries that a page and MLflow name."""

OPTIONAL = {"imblearn_extra": "imbalanced-learn-extra", "scvi": "scvi-tools"}
"""Distribution behind a module that some strategies need, and the others never see."""

ABSENT = "not installed"


class ResultsVersion(NamedTuple):
    """Results versions of cells and of scores; pages, tables and MLflow state them.

    Attributes
    ----------
    cells, harness : int
        Version of the cells that scdiff_augment draws, and of the scores that they are given.

    Examples
    --------
    >>> ResultsVersion(2, 1).sentence
    'Computed with results version 2 of the cells and 1 of the harness.'
    >>> print(ResultsVersion.read("cells=2 harness=1"))
    cells=2 harness=1
    """

    cells: int
    harness: int

    def __str__(self) -> str:
        return f"cells={self.cells} harness={self.harness}"

    @property
    def sentence(self) -> str:
        """What stands near the end of a page and of a table."""
        return (
            f"Computed with results version {self.cells} of the cells and {self.harness} of the "
            "harness."
        )

    @property
    def columns(self) -> dict[str, int]:
        """As columns of a row or a table."""
        return {"results_cells": self.cells, "results_harness": self.harness}

    def older_than(self, other: ResultsVersion) -> bool:
        """Whether the cells or the scores are of an earlier version."""
        return self.cells < other.cells or self.harness < other.harness

    @classmethod
    def read(cls, text: str) -> ResultsVersion | None:
        """Return the versions that a text states, None where it states none."""
        found = re.fullmatch(r"cells=(\d+) harness=(\d+)", text.strip())
        return cls(int(found[1]), int(found[2])) if found else None

    @classmethod
    def oldest(cls, several: Iterable[ResultsVersion]) -> ResultsVersion:
        """Return the earliest version of either kind among several."""
        every = list(several)
        return cls(min(v.cells for v in every), min(v.harness for v in every))


FIRST = ResultsVersion(1, 1)
"""Of what was computed before results stated a version."""


def results_version() -> ResultsVersion:
    """Return the results versions of this code."""
    return ResultsVersion(CELLS_VERSION, HARNESS_VERSION)


@cache
def version(name: str) -> str:
    """Return the version of a distribution, or ``"not installed"``."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ABSENT


def versions() -> dict[str, str]:
    """Return what a study was computed with, for its page and for MLflow.

    Returns
    -------
    dict of str to str
        Results versions, Python, the package and each library; ``"not installed"`` where one is
        absent.
    """
    now = results_version()
    return {
        "results.cells": str(now.cells),
        "results.harness": str(now.harness),
        **_libraries(),
    }


@cache
def _libraries() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in ("scdiff-augment", *SHOWN)},
    }


def depends_on(*, package: bool, libraries: Iterable[str] = ()) -> dict[str, str | int]:
    """Return the versions that are part of a stored result's key.

    Parameters
    ----------
    package : bool
        Whether the result depends on cells of scdiff_augment.
    libraries : iterable of str, optional
        Further distributions that it depends on. Others may come, go and change.

    Returns
    -------
    dict of str to str or int
        Results versions and libraries' versions, by name. No source is read: what changes scores
        or cells raises a results version, and the canary (``tests/canary``) sees to it.
    """
    found: dict[str, str | int] = {"harness": HARNESS_VERSION}
    names = [*LIBRARIES, *libraries]
    if package:
        found["cells"] = CELLS_VERSION
        names.append(GENERATOR)
    return found | {name: version(name) for name in names}
