"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


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
