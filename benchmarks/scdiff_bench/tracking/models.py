"""Fitted generators that a study leaves: that of the first fold, one for each data set."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from scdiff_bench.running.store import write_text
from scdiff_bench.running.units import Unit, one_thread

FOLDER, STAMP = "generators", "unit.txt"


def save_generators(units: Sequence[Unit], folder: Path) -> dict[str, Path]:
    """Refit the generator of the first unit of each data set, and save it.

    Seeds are the unit's own, so that it is the generator of that fold; workers may have run on
    other machines and keep nothing. One that is there already is left as it is.

    Parameters
    ----------
    units : sequence of Unit
        The study's grid.
    folder : Path
        The study's folder.

    Returns
    -------
    dict of str to Path
        Folder of the generator for each data set that has one.
    """
    found: dict[str, Path] = {}
    for unit in units:
        place = folder / FOLDER / unit.dataset.name
        if unit.spec.name != "diffusion" or unit.fold.index or unit.dataset.name in found:
            continue
        stamp = place.with_name(f"{unit.dataset.name}.{STAMP}")
        if not stamp.is_file() or stamp.read_text(encoding="utf-8") != unit.key:
            generator = _refit(unit)
            if generator is None:
                continue
            place.parent.mkdir(exist_ok=True)
            generator.save(place, overwrite=True)
            write_text(stamp, unit.key)
        found[unit.dataset.name] = place
    return found


def _refit(unit: Unit) -> Any:
    """Return the unit's generator, None where there is none; its rows say what it raised."""
    X, y, _ = unit.cells()
    named = pd.DataFrame(X, columns=unit.dataset.genes[unit.genes])
    try:
        with one_thread(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its rows have them
            sampler = unit.build().sampler
            sampler.fit_resample(named, y)
    except Exception:  # as in units.py: a strategy may raise anything
        return None
    return getattr(sampler, "generator_", None)


def saved_generators(folder: Path) -> dict[str, Path]:
    """Return the generators that a study has left.

    Parameters
    ----------
    folder : Path
        The study's folder.

    Returns
    -------
    dict of str to Path
        Folder of the generator for each data set that has one.
    """
    stamps = sorted((folder / FOLDER).glob(f"*.{STAMP}"))
    names = [s.name.removesuffix(f".{STAMP}") for s in stamps]
    return {name: folder / FOLDER / name for name in names}
