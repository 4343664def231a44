"""Where results go: checked before the work, complete or not there at all."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CELLS = (".h5ad", ".zarr")
"""How the names of files of cells end."""

MODEL = "model.json"
"""The file that makes a folder a saved model."""

ZARR = ("zarr.json", ".zgroup", ".zattrs")
"""Files, one of which every zarr store has."""


@contextmanager
def replacing(target: Path, *, force: bool, suffixes: tuple[str, ...] = CELLS) -> Iterator[Path]:
    """Yield a temporary place beside `target`, which takes its name when all went well.

    Parameters
    ----------
    target : Path
        Where the result is wanted.
    force : bool
        Whether a result that is there may be replaced. It stays until the new one is complete.
    suffixes : tuple of str, default=(".h5ad", ".zarr")
        Endings that the name may have; none for the folder of a model.

    Yields
    ------
    Path
        An empty file, an empty folder for zarr and models, or the folder of the model that is to
        be replaced, since `LatentDiffusion.save` takes care of that.

    Raises
    ------
    ValueError
        If the name has another ending, something is there that may not be replaced, or nothing
        can be written there.
    """
    _require_suffix(target, suffixes)
    wanted, target = target, Path(os.path.realpath(target))  # links stay links
    folder = not suffixes or target.suffix == ".zarr"
    _require_free(wanted, target, folder, suffixes, force)
    if not suffixes and (target / MODEL).is_file():
        _require_writable(target)
        try:
            yield target
        finally:
            (target / f".partial-{os.getpid()}").unlink(missing_ok=True)
        return
    partial = target.with_name(f".{target.name}.partial-{os.getpid()}")
    try:
        if folder:
            partial.mkdir()
        else:
            partial.touch()
    except OSError as error:
        raise ValueError(_unwritable(wanted, error)) from error
    try:
        yield partial
        _move(partial, target)
    finally:
        _remove(partial)


def write_cells(adata: Any, place: Path, target: Path) -> None:
    """Write an AnnData at `place`, in the format that the name of `target` asks for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about versions of zarr: what anndata takes is fine
        if target.suffix == ".zarr":
            adata.write_zarr(place)
        else:
            adata.write_h5ad(place, compression="gzip")


def _require_suffix(target: Path, suffixes: tuple[str, ...]) -> None:
    if suffixes and target.suffix not in suffixes:
        raise ValueError(
            f"the name of what is written must end in {' or '.join(suffixes)}, but {target} does "
            f"not."
        )
    if not suffixes and target.suffix in CELLS:
        raise ValueError(
            f"a model is a folder, but {target} is named like a file of cells. Cells come before "
            f"the model: scdiff-augment fit CELLS MODEL."
        )


def _require_free(
    wanted: Path, target: Path, folder: bool, suffixes: tuple[str, ...], force: bool
) -> None:
    if not target.exists() or (folder and target.is_dir() and not any(target.iterdir())):
        return
    if not folder:
        what, same = "a file", target.is_file()
    elif suffixes:
        what, same = "a zarr store", any((target / name).is_file() for name in ZARR)
    else:
        what, same = "a saved model", (target / MODEL).is_file()
    if not same:
        raise ValueError(f"{wanted} exists and is not {what}, so it is never replaced.")
    if not force:
        raise ValueError(f"{wanted} exists. Choose another name, or replace it with --force.")


def _require_writable(folder: Path) -> None:
    probe = folder / f".partial-{os.getpid()}"
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ValueError(_unwritable(folder, error)) from error


def _unwritable(target: Path, error: OSError) -> str:
    parent = target.parent
    if not parent.exists():
        return f"{target} can't be written: there is no folder {parent}. Create it first."
    return f"{target} can't be written: {error.strerror}."


def _move(partial: Path, target: Path) -> None:
    """Put the result in place; a folder that is there steps aside, and comes back on failure."""
    if not target.is_dir():
        os.replace(partial, target)
        return
    old = target.with_name(f".{target.name}.old-{os.getpid()}")
    try:
        os.replace(target, old)
        os.replace(partial, target)
    except BaseException:
        if old.exists() and not target.exists():
            os.replace(old, target)
        raise
    shutil.rmtree(old)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
