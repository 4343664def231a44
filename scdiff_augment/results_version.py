"""Versions that cells depend on: of the results, of the package, of the libraries under it."""

from __future__ import annotations

from importlib.metadata import version

CHANGES = {
    1: "The cells of 0.1.0: classes with genes of their own, counts with each gene's own noise, "
    "stratified noise within a class.",
}
"""What changed in the cells that a seed gives, by results version.

Add a line whenever the same seed gives other cells than before, beyond rounding. Stored results of
studies are keyed by the last number, not by the source, so they live until then.
"""

CELLS_VERSION = max(CHANGES)
"""Results version of the cells that this code gives."""


def versions() -> dict[str, str]:
    """Versions that cells and models depend on."""
    return {package: version(package) for package in ("scdiff-augment", "torch", "numpy")}
