"""Files of a study: written whole or not at all, results of units among them."""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


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
    try:
        (folder / "units").mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder / "units"), tempfile.TemporaryFile(dir=folder):
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


def read(folder: Path, key: str) -> dict[str, Any] | None:
    """Return a unit's stored result; a failed one, or half a file, counts as missing.

    Parameters
    ----------
    folder : Path
        The study's folder.
    key : str
        Of the unit.

    Returns
    -------
    dict or None
        As it was given to `keep`.
    """
    path = _path(folder, key)
    try:
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if result.get("arrays"):
            with np.load(path.with_suffix(".npz")) as stored:
                result["arrays"] = dict(stored)
    except (FileNotFoundError, ValueError, EOFError, zipfile.BadZipFile):
        return None
    return result if all(row["status"] == "ok" for row in result["rows"]) else None


def write_text(path: Path, text: str) -> None:
    """Write a text file in one step: it is there whole, or as it was before.

    Parameters
    ----------
    path : Path
        The file.
    text : str
        Its content.
    """
    write_with(path, lambda part: part.write_text(text, encoding="utf-8"))


def write_with(path: Path, write: Callable[[Path], Any]) -> None:
    """Write a file in one step, by any function of a path.

    Parameters
    ----------
    path : Path
        The file.
    write : callable
        Writes to the path it is given.
    """
    part = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        write(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
