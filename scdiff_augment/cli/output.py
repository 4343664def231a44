"""Writing results: checked before the work starts, and written completely or not at all."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CELLS = (".h5ad", ".zarr")
"""Suffixes of files of cells."""

MODEL = "model.json"
"""File that identifies a folder as a saved model."""

ZARR = ("zarr.json", ".zgroup", ".zattrs")
"""Files of which every zarr store has at least one."""


@contextmanager
def replacing(target: Path, *, force: bool, suffixes: tuple[str, ...] = CELLS) -> Iterator[Path]:
    """Yield a temporary path beside `target`, and move it to `target` after success.

    Parameters
    ----------
    target : Path
        Where the result shall be.
    force : bool
        Whether an existing result may be replaced. It stays until the new one is complete.
    suffixes : tuple of str, default=(".h5ad", ".zarr")
        Suffixes that the name may have; empty for the folder of a model.

    Yields
    ------
    Path
        An empty file, an empty folder for zarr stores and models, or the existing folder of the
        model to replace, since `LatentDiffusion.save` replaces models safely itself.

    Raises
    ------
    ValueError
        If the name has another suffix, if something exists there that may not be replaced, or if
        the folder is not writable.
    """
    _require_suffix(target, suffixes)
    wanted, target = target, Path(os.path.realpath(target))  # symbolic links stay links
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
    """Write an AnnData to `place`, in the format that the suffix of `target` names."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about zarr format versions: anndata's default is fine
        if target.suffix == ".zarr":
            adata.write_zarr(place)
        else:
            adata.write_h5ad(place, compression="gzip")


def _require_suffix(target: Path, suffixes: tuple[str, ...]) -> None:
    if suffixes and target.suffix not in suffixes:
        raise ValueError(
            f"the output's name must end in {' or '.join(suffixes)}, got {target}. Choose another "
            f"name."
        )
    if not suffixes and target.suffix in CELLS:
        raise ValueError(
            f"a model is a folder, but {target} is named like a file of cells. The file of cells "
            f"comes first: scdiff-augment fit CELLS MODEL."
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
        raise ValueError(
            f"{wanted} exists and is not {what}, so it is never replaced. Choose another name."
        )
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
        return f"{target} cannot be written: there is no folder {parent}. Create it first."
    return f"{target} cannot be written: {error.strerror}. Choose another place."


def _move(partial: Path, target: Path) -> None:
    """Move the result to its place; an existing folder is moved aside, and restored on failure."""
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
