"""Versions that a result depends on: of the results themselves, and of the libraries."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from functools import cache
from importlib import metadata

from scdiff_augment.versions import CELLS_VERSION

CHANGES = {
    1: "Strategies, classifiers and scores of 0.1.0.",
}
"""What changed in the scores of the same cells, by results version of the harness.

Add a line whenever a strategy, a classifier, a score or a figure gives another number for the same
cells. What changes the cells of scdiff_augment has versions of its own, in scdiff_augment.versions.
"""

HARNESS_VERSION = max(CHANGES)
"""Results version of the scores that this code gives."""

RESULTS = {"cells": CELLS_VERSION, "harness": HARNESS_VERSION}
"""What every stored result and every page says that it was computed with."""

LIBRARIES = ("imbalanced-learn", "numpy", "scikit-learn", "scipy")
"""Libraries that every score depends on."""

GENERATOR = "torch"
"""What synthetic cells of scdiff_augment depend on besides."""

SHOWN = (*LIBRARIES, GENERATOR, "anndata", "celltypist", "imbalanced-learn-extra", "scvi-tools")
"""Libraries that a page and MLflow name."""

OPTIONAL = {"imblearn_extra": "imbalanced-learn-extra", "scvi": "scvi-tools"}
"""Distribution behind a module that some strategies need, and the others never see."""

ABSENT = "not installed"


def version(name: str) -> str:
    """Return the version of a distribution, or ``"not installed"``."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ABSENT


@cache
def versions() -> dict[str, str]:
    """Return what a study was computed with, for its page and for MLflow.

    Returns
    -------
    dict of str to str
        Results versions, Python, the package and each library; ``"not installed"`` where one is
        absent.
    """
    return {
        **{f"results.{name}": str(number) for name, number in RESULTS.items()},
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
