"""An AnnData zarr store that grows block by block, and resumes where it was interrupted.

Sparse matrices are written in whole chunks, each of them once, and the beginning of a chunk that
is not full yet waits in memory. What was written is noted after each block. After an interruption
the blocks are made again from the first one that is not entirely in written chunks; since a block
is the same whenever it is made, so is the store. It has a hidden name until it is complete.
"""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import anndata as ad
import numpy as np
import zarr
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from .block_readers import Matrix

ENTRIES = 1 << 20
"""Stored values in a chunk."""


@dataclass(frozen=True)
class Layout:
    """What the store will hold.

    Attributes
    ----------
    blocks : list of int
        Number of cells of each block.
    n_genes : int
    dtypes : dict of str to dtype
        Type of each matrix, by its place, such as "X" and "layers/counts".
    sparse : bool
        Whether they are stored as CSR. All matrices then have the same zeros.
    """

    blocks: list[int]
    n_genes: int
    dtypes: dict[str, np.dtype]
    sparse: bool

    @property
    def n_cells(self) -> int:
        """Cells of all blocks."""
        return sum(self.blocks)

    def span(self, number: int) -> slice:
        """Rows of a block."""
        first = sum(self.blocks[:number])
        return slice(first, first + self.blocks[number])


class CellStore:
    """A store in the making; see the module.

    Parameters
    ----------
    target : Path
        Name of the complete store, ending in ".zarr".
    layout : Layout
    plan : mapping
        What the cells are made from, as JSON knows it. An interrupted store is only taken up for
        the same plan.
    seed : int
        Of the cells. An interrupted store keeps the one it was begun with, in `seed`.
    overwrite : bool
        Whether a store that is there may be replaced, when the new one is complete.

    Raises
    ------
    FileExistsError
        If there is something at `target`, or another process writes to it.
    ValueError
        If the name does not end in ".zarr", or an interrupted store has another plan.
    """

    def __init__(
        self,
        target: Path,
        layout: Layout,
        plan: Mapping[str, Any],
        seed: int,
        *,
        overwrite: bool = False,
    ):
        require_place(target, overwrite)
        self._sizes: Any = None
        self.target, self.layout, self.seed = target, layout, seed
        self.folder = partial_folder(target)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(self.folder / "lock")
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise FileExistsError(
                f"another process is writing {target}. Wait for it, or choose another name."
            ) from None
        try:
            self._take_up(dict(plan))
        except BaseException:
            self._lock.release()
            raise

    def begin(self, header: Callable[[zarr.Group], None]) -> None:
        """Write what is no matrix, by `header`, unless the store was begun before."""
        if not self._begun:
            shutil.rmtree(self._path, ignore_errors=True)
            with _quiet():
                root = zarr.open_group(str(self._path), mode="w", zarr_format=_zarr_format())
                root.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
                for name in ("layers", "obsm", "obsp", "varm", "varp"):
                    ad.io.write_elem(root, name, {})
                header(root)
                for place, dtype in self.layout.dtypes.items():
                    self._create(root, place, dtype)
            self._progress |= {"blocks": 0, "written": 0}
            self._sizes = np.lib.format.open_memmap(
                self.folder / "sizes.npy", mode="w+", dtype=np.int32, shape=(self.layout.n_cells,)
            )
            self._note()
        self._root: Any = zarr.open_group(str(self._path), mode="r+", use_consolidated=False)
        self._resume()

    @property
    def todo(self) -> range:
        """Numbers of the blocks that are to be made, in the order in which `append` wants them."""
        return range(self._next, len(self.layout.blocks))

    def append(self, number: int, matrices: Mapping[str, Matrix]) -> None:
        """Write a block."""
        rows = self.layout.span(number)
        if self.layout.sparse:
            self._append_sparse(rows, matrices)
        else:
            for place, matrix in matrices.items():
                self._root[place][rows] = matrix
        self._progress["blocks"] = number + 1
        self._note()

    def finish(self) -> Path:
        """Complete the store and give it its name."""
        if self.layout.sparse:
            self._write(self._buffered)
            ends = row_ends(self._sizes)
            for place in self.layout.dtypes:
                with _quiet():
                    ad.io.write_elem(self._root[place], "indptr", ends)
        with _quiet():
            zarr.consolidate_metadata(str(self._path))
        for leftover in self._path.rglob("*.partial"):  # of a process that was killed
            leftover.unlink()
        if self.target.exists():
            old = self.folder / "replaced"
            os.replace(self.target, old)
        os.replace(self._path, self.target)
        self.__exit__()
        shutil.rmtree(self.folder)
        return self.target

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self._sizes = None
        self._lock.release()

    @property
    def _path(self) -> Path:
        return self.folder / "cells.zarr"

    def _take_up(self, plan: dict[str, Any]) -> None:
        """Read how far an interrupted store came."""
        plan = json.loads(json.dumps({**plan, "zarr_format": _zarr_format()}, default=str))
        file = self.folder / "progress.json"
        self._begun = file.is_file()
        if not self._begun:
            self._progress: dict[str, Any] = {"plan": plan, "seed": self.seed}
            return
        self._progress = json.loads(file.read_text(encoding="utf-8"))
        begun = self._progress["plan"]
        changed = [key for key in {**begun, **plan} if begun.get(key) != plan.get(key)]
        if changed:
            raise ValueError(
                f"{self.target} was begun before and interrupted, with another "
                f"{' and another '.join(changed)}: {begun.get(changed[0])} then, "
                f"{plan.get(changed[0])} now. Resume with the same, choose another name, or delete "
                f"{self.folder}."
            )
        self.seed = self._progress["seed"]
        self._sizes = np.lib.format.open_memmap(self.folder / "sizes.npy", mode="r+")

    def _resume(self) -> None:
        """Find the first block to make, and drop what was not noted."""
        done, written = self._progress["blocks"], self._progress["written"]
        self._skip, self._buffered = 0, 0
        self._waiting: dict[str, list[np.ndarray]] = {"indices": []}
        self._waiting |= {place: [] for place in self.layout.dtypes}
        self._next = done
        if not self.layout.sparse:
            return
        cells = np.cumsum([0, *self.layout.blocks[:done]])
        ends = np.concatenate([[0], np.cumsum(self._sizes, dtype=np.int64)])[cells]
        self._next = int(np.searchsorted(ends[1:], written, side="right"))
        self._skip = int(written - ends[self._next])
        for place in self.layout.dtypes:
            for name in ("data", "indices"):
                self._root[f"{place}/{name}"].resize((written,))

    def _append_sparse(self, rows: slice, matrices: Mapping[str, Matrix]) -> None:
        first: Any = next(iter(matrices.values()))
        self._sizes[rows] = np.diff(first.indptr)
        known, self._skip = min(self._skip, first.nnz), max(0, self._skip - first.nnz)
        self._waiting["indices"].append(first.indices[known:])
        for place, matrix in matrices.items():
            self._waiting[place].append(matrix.data[known:])
        self._buffered += first.nnz - known
        self._write(self._buffered - self._buffered % ENTRIES)

    def _write(self, n: int) -> None:
        """Write the first n of the values that wait."""
        if n == 0:
            return
        start = self._progress["written"]
        joined = {name: np.concatenate(parts) for name, parts in self._waiting.items()}
        for place in self.layout.dtypes:
            for name, values in (("data", joined[place]), ("indices", joined["indices"])):
                array = self._root[f"{place}/{name}"]
                array.resize((start + n,))
                array[start : start + n] = values[:n]
        self._waiting = {name: [values[n:].copy()] for name, values in joined.items()}
        self._buffered -= n
        self._progress["written"] = start + n

    def _note(self) -> None:
        """Note what is written, in one step."""
        self._sizes.flush()
        new = self.folder / "progress.new"
        new.write_text(json.dumps(self._progress), encoding="utf-8")
        os.replace(new, self.folder / "progress.json")

    def _create(self, root: zarr.Group, place: str, dtype: np.dtype) -> None:
        shape = (self.layout.n_cells, self.layout.n_genes)
        if not self.layout.sparse:
            rows = max(self.layout.blocks, default=1)
            array = root.create_array(
                place, shape=shape, chunks=(max(1, rows), shape[1]), dtype=dtype
            )
            array.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
            return
        group = root.create_group(place)
        group.attrs.update(
            {"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": list(shape)}
        )
        for name, kind in (("data", dtype), ("indices", np.dtype(np.int32))):
            array = group.create_array(name, shape=(0,), chunks=(ENTRIES,), dtype=kind)
            array.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})


def row_ends(sizes: NDArray[np.int32]) -> NDArray:
    """Return ``indptr`` of rows with so many entries, 64-bit where 32 can't hold it."""
    ends = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
    return ends.astype(np.int64 if ends[-1] > np.iinfo(np.int32).max else np.int32)


def partial_folder(target: Path) -> Path:
    """Where a store is kept until it is complete."""
    return target.with_name(f".{target.name}.partial")


def begun_plan(target: Path) -> dict[str, Any] | None:
    """Read what an interrupted store at this place is made from, if there is one."""
    file = partial_folder(target) / "progress.json"
    return json.loads(file.read_text(encoding="utf-8"))["plan"] if file.is_file() else None


def require_place(target: Path, overwrite: bool) -> None:
    """Refuse a place where no store can be written.

    Raises
    ------
    FileExistsError
        If something is there that may not be replaced.
    ValueError
        If the name does not end in ".zarr".
    """
    if target.suffix != ".zarr":
        raise ValueError(
            f"cells are written block by block to zarr stores: out must end in .zarr, got {target}."
        )
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not any((target / name).is_file() for name in ("zarr.json", ".zgroup", ".zattrs")):
        raise FileExistsError(f"{target} exists and is no zarr store, so it is never replaced.")
    if not overwrite:
        raise FileExistsError(f"{target} exists. Choose another name, or delete it.")


def _zarr_format() -> Literal[2, 3]:
    with _quiet():  # since anndata 0.13 asking is deprecated
        return 2 if getattr(ad.settings, "zarr_write_format", 3) == 2 else 3


@contextmanager
def _quiet() -> Iterator[None]:
    """Versions of zarr are not the user's concern: what anndata reads is fine."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
