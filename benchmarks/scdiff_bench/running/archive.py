"""Units of a study in one small file, which is committed beside the page.

Members of the zip: ``units.txt``, one line per unit (its key, a blank, JSON), and ``KEY/NAME.npy``
per array. All units stand in one member, because they repeat one another's names; lists of records
stand column by column, and a column of one value holds it once. Floats have 7 significant digits.
The bytes depend on the units alone, not on the day, so that packing the same again changes nothing.
"""

from __future__ import annotations

import io
import json
import lzma
import struct
import warnings
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

NAME = "units.zip"
_LINES = "units.txt"
_DIGITS = 7
_DAMAGE = (
    EOFError,
    KeyError,
    OSError,
    RuntimeError,  # a compression or a version of zip that this Python lacks
    ValueError,
    lzma.LZMAError,
    struct.error,
    zipfile.BadZipFile,
)


def write(path: Path, results: Iterable[dict[str, Any]]) -> None:
    """Write an archive.

    Parameters
    ----------
    path : Path
        The file.
    results : iterable of dict
        Each with a key under ``unit``; NumPy arrays may stand under ``arrays``.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "units.zip"
    >>> write(path, [{"unit": "a1", "rows": [{"f1": 1 / 3}]}])
    >>> find(path, "a1")
    {'unit': 'a1', 'rows': [{'f1': 0.3333333}]}
    """
    lines = []
    with zipfile.ZipFile(path, "w") as file:
        for result in results:
            arrays = result.get("arrays") or {}
            for name in sorted(arrays):
                content = io.BytesIO()
                np.lib.format.write_array(content, np.asarray(arrays[name]), allow_pickle=False)
                _add(file, f"{result['unit']}/{name}.npy", content.getvalue())
            small = {k: _fold(_rounded(v)) for k, v in result.items() if k != "arrays"}
            if "arrays" in result:
                small["arrays"] = sorted(arrays)
            lines.append(f"{result['unit']} {json.dumps(small, separators=(',', ':'))}\n")
        _add(file, _LINES, "".join(lines).encode())


def _add(file: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name)  # of a fixed date
    entry.external_attr = 0o644 << 16
    file.writestr(entry, content, compress_type=zipfile.ZIP_LZMA)


def find(path: Path, key: str) -> dict[str, Any] | None:
    """Return a unit's result; in a damaged archive it counts as missing.

    Parameters
    ----------
    path : Path
        The archive; it need not be there.
    key : str
        Of the unit.

    Returns
    -------
    dict or None
        As it was given to `write`, but for the floats' last digits.

    Warns
    -----
    UserWarning
        If the file is damaged; the message names it.
    """
    line = _lines(path).get(key)
    if line is None:
        return None
    with _spared(path):
        result: dict[str, Any] = {k: _unfold(v) for k, v in json.loads(line).items()}
        if "arrays" in result:
            with zipfile.ZipFile(path) as file:
                result["arrays"] = {
                    name: np.lib.format.read_array(
                        io.BytesIO(file.read(f"{key}/{name}.npy")), allow_pickle=False
                    )
                    for name in result["arrays"]
                }
        return result
    return None


def keys(path: Path) -> list[str]:
    """Return the keys of the units in an archive.

    Parameters
    ----------
    path : Path
        The archive; it need not be there.

    Returns
    -------
    list of str
        In the file's order.
    """
    return list(_lines(path))


def _lines(path: Path) -> dict[str, str]:
    try:
        stat = path.stat()
    except FileNotFoundError:
        return {}
    return _read_lines(path.resolve(), (stat.st_ino, stat.st_mtime_ns, stat.st_size))


@lru_cache(maxsize=1)
def _read_lines(path: Path, stamp: tuple[int, ...]) -> dict[str, str]:
    """Return units' lines by key; ``stamp`` tells a file from the one it replaced."""
    with _spared(path), zipfile.ZipFile(path) as file:
        lines = file.read(_LINES).decode().splitlines()
        return {key: text for key, _, text in (line.partition(" ") for line in lines)}
    return {}


@contextmanager
def _spared(path: Path) -> Iterator[None]:
    """Turn damage of the file into a warning."""
    try:
        yield
    except _DAMAGE as error:
        warnings.warn(
            f"{path} is damaged ({type(error).__name__}: {error}); units that it held and that "
            "are not in units/ beside it count as missing. Restore the file, or run the study: "
            "they are recomputed.",
            stacklevel=3,
        )


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    return [_rounded(v) for v in value] if isinstance(value, list | tuple) else value


def _fold(value: Any) -> Any:
    """Turn a list of records with the same fields into columns."""
    alike = isinstance(value, list) and value and all(isinstance(v, dict) for v in value)
    if not alike or not value[0] or len({tuple(v) for v in value}) > 1:
        return {"is": value}
    columns = {name: [v[name] for v in value] for name in value[0]}
    # As text, since 1, 1.0 and True are equal, and NaN is not.
    once = {name: len({json.dumps(v) for v in column}) == 1 for name, column in columns.items()}
    return {"n": len(value), "of": {k: v[: 1 if once[k] else None] for k, v in columns.items()}}


def _unfold(value: Any) -> Any:
    if not isinstance(value, dict):
        return value  # names of arrays
    if "is" in value:
        return value["is"]
    n = value["n"]
    columns = {k: v if len(v) == n else v * n for k, v in value["of"].items()}
    return [dict(zip(columns, each, strict=True)) for each in zip(*columns.values(), strict=True)]
