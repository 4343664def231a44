"""Files of a study, written whole or not at all: results of units, and their archive."""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scdiff_bench.running import archive


def prepare_folder(folder: Path) -> None:
    """Make the output folder, and find out before any work whether it can be written.

    Parameters
    ----------
    folder : Path
        The study's folder.

    Raises
    ------
    OSError
        If it cannot; the message names the folder and the way out.
    """
    require_writable(folder)
    require_writable(folder / "units")


def require_writable(folder: Path) -> None:
    """Make a folder, and raise an OSError that names it if it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(
            f"The output folder {folder.resolve()} cannot be written "
            f"({error.strerror or error}). Make it writable, or name another one with --out."
        ) from error


def _path(folder: Path, key: str) -> Path:
    return folder / "units" / f"{key}.json"


def keep(folder: Path, result: dict[str, Any]) -> None:
    """Write a unit's result: arrays first, so that where the rest is there, they are too.

    Parameters
    ----------
    folder : Path
        The study's folder.
    result : dict
        With the unit's key as ``unit``, and NumPy arrays only under ``arrays``.
    """
    path = _path(folder, result["unit"])
    if arrays := result.get("arrays"):
        write_with(path.with_suffix(".npz"), lambda p: np.savez_compressed(p, **arrays))
        result = {**result, "arrays": sorted(arrays)}
    write_text(path, json.dumps(result, indent=1))


def read(folder: Path, key: str, failed: bool = False) -> dict[str, Any] | None:
    """Return a unit's stored result, of ``units/`` or else of the archive that is committed.

    Half a file counts as missing.

    Parameters
    ----------
    folder : Path
        The study's folder.
    key : str
        Of the unit.
    failed : bool, default=False
        Whether a result with rows that failed is returned too, where there is no other, or counts
        as missing.

    Returns
    -------
    dict or None
        As it was given to `keep`; floats from the archive have 7 significant digits.

    Warns
    -----
    UserWarning
        If the archive is damaged; its units count as missing.
    """
    result = _read_file(_path(folder, key))
    if result is not None and _finished(result):
        return result
    packed = archive.find(folder / archive.NAME, key)
    return packed or (result if failed else None)


def _read_file(path: Path) -> dict[str, Any] | None:
    try:
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if result.get("arrays"):
            with np.load(path.with_suffix(".npz")) as stored:
                result["arrays"] = dict(stored)
    except (FileNotFoundError, ValueError, EOFError, zipfile.BadZipFile):
        return None
    return result


def _finished(result: dict[str, Any]) -> bool:
    return all(row["status"] == "ok" for row in result["rows"])


@dataclass(frozen=True)
class Packed:
    """What `pack` did.

    Attributes
    ----------
    path : Path
        The archive.
    kept : int
        Units in it.
    dropped : int
        Units that it held before and that the config no longer asks for.
    """

    path: Path
    kept: int
    dropped: int

    def __str__(self) -> str:
        size = self.path.stat().st_size / 1e6 if self.path.is_file() else 0
        text = f"{self.kept} finished units, {size:.2f} MB, in {self.path}"
        if self.dropped:
            text += (
                f"; {self.dropped} that it held are dropped: they belong to another config, to "
                "other results versions or to other versions of the libraries"
            )
        return text


def unasked(folder: Path, keys: Sequence[str]) -> int:
    """Count the units of the archive that a study does not ask for, which `pack` will drop.

    Parameters
    ----------
    folder : Path
        The study's folder.
    keys : sequence of str
        Of all units that the study asks for.

    Returns
    -------
    int
        They belong to another config, other results versions or other versions of the libraries.
    """
    return len(set(archive.keys(folder / archive.NAME)) - set(keys))


def pack(folder: Path, keys: Sequence[str]) -> Packed:
    """Put the finished units of a study in one file, which is small enough to be committed.

    Parameters
    ----------
    folder : Path
        The study's folder; the file is ``units.zip`` in it.
    keys : sequence of str
        Of all units that the study asks for, in the grid's order. Those that are neither in
        ``units/`` nor in the file yet are left out; so are those that failed.

    Returns
    -------
    Packed
        How many units the file has, and how many were dropped.
    """
    path = folder / archive.NAME
    dropped = unasked(folder, keys)
    kept: list[str] = []

    def results() -> Iterator[dict[str, Any]]:
        for key in dict.fromkeys(keys):
            if (result := read(folder, key)) is not None:
                kept.append(key)
                yield result

    write_with(path, lambda part: archive.write(part, results()))
    return Packed(path, len(kept), dropped)


def write_text(path: Path, text: str) -> None:
    """Write a text file in one step: it is there whole, or as it was before."""
    write_with(path, lambda part: part.write_text(text, encoding="utf-8"))


def write_with(path: Path, write: Callable[[Path], Any]) -> None:
    """Write a file in one step, by any function of a path."""
    part = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        write(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
