"""Writing results: checked before the work starts, and written completely or not at all."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from .terminal import Terminal

CELLS = (".h5ad", ".zarr")
"""Suffixes of files of cells."""

MODEL = "model.json"
"""File that identifies a folder as a saved model."""

LOCK = "lock"
"""Held in the folder of an unfinished result by the process that writes it, as long as it lives."""

ZARR = ("zarr.json", ".zgroup", ".zattrs")
"""Files of which every zarr store has at least one."""


@contextmanager
def replacing(
    target: Path, terminal: Terminal, *, force: bool, suffixes: tuple[str, ...] = CELLS
) -> Iterator[Path]:
    """Yield a temporary path beside `target`, and move it to `target` after success.

    What killed runs on this machine left beside `target` is removed first.

    Parameters
    ----------
    target : Path
        Where the result shall be.
    terminal : Terminal
        Where to report what was removed.
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
    _remove_leftovers(target, terminal)
    try:
        home = Path(tempfile.mkdtemp(prefix=_prefix(target), dir=target.parent))
    except OSError as error:
        raise ValueError(_unwritable(wanted, error)) from error
    partial, lock = home / target.name, FileLock(home / LOCK, timeout=0)
    try:
        _hold(lock)
        try:
            if folder:
                partial.mkdir()
            else:
                partial.touch()
        except OSError as error:
            raise ValueError(_unwritable(wanted, error)) from error
        yield partial
        _move(partial, target)
    finally:
        lock.release()
        shutil.rmtree(home)


def _hold(lock: FileLock) -> None:
    """Take the lock; where a file system has none, no lock file says that it may be removed."""
    try:
        lock.acquire()
    except (Timeout, OSError, NotImplementedError):
        Path(lock.lock_file).unlink(missing_ok=True)


def _prefix(target: Path) -> str:
    """How folders of unfinished results begin: a lock says nothing of other machines' processes."""
    return f".{target.name}.partial-{socket.gethostname()}-"


def _remove_leftovers(target: Path, terminal: Terminal) -> None:
    """Remove what processes of this machine left that are gone, and say so."""
    for home in sorted(target.parent.iterdir()) if target.parent.is_dir() else []:
        if not home.name.startswith(_prefix(target)) or not (home / LOCK).is_file():
            continue
        try:
            with FileLock(home / LOCK, timeout=0):
                shutil.rmtree(home)
        except (Timeout, OSError, NotImplementedError):
            continue  # somebody is at work there, or it isn't ours
        terminal.say(f"removed {home}, which a run that was killed had left")


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
