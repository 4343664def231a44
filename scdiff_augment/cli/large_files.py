"""Files larger than memory: read and written in chunks, and resumed after an interruption."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from .cell_files import LOOKED_AT, Cells, read_cells, require_file
from .terminal import Terminal

if TYPE_CHECKING:
    from numpy.typing import NDArray

LARGE_ENTRIES = 250_000_000
"""Cells × genes from which files are read and written in chunks: 1 GB in single precision."""


@dataclass(frozen=True)
class LargeCells(Cells):
    """Cells of a file whose matrix stays on disk.

    Attributes
    ----------
    blocks : Slices
        The matrix, to be read in chunks; `adata` has only obs and var.
    """

    blocks: Any = None

    def frame(self, genes: NDArray | None = None) -> Any:
        """All cells, to be read in chunks."""
        return self.blocks

    def some_rows(self) -> Any:
        """Return the first rows of X."""
        return self.blocks.read(0, min(LOOKED_AT, len(self)))


def open_cells(path: Path, layer: str | None, stream: bool | None, terminal: Terminal) -> Cells:
    """Read a file into memory or, if it is large or `stream` is set, only its obs and var.

    Raises
    ------
    ValueError
        As `read_cells`.
    """
    require_file(path)
    if stream is None:
        stream = n_entries(path, layer) >= LARGE_ENTRIES
    if not stream:
        return read_cells(path, layer, terminal)
    import anndata as ad

    from scdiff_augment.streaming.block_readers import as_blocks

    try:
        blocks = as_blocks(path, layer=layer)
    except KeyError as error:
        raise ValueError(error.args[0]) from error
    bare = ad.AnnData(obs=blocks.obs, var=blocks.var)
    n_cells, n_genes = blocks.shape
    terminal.say(
        f"reading {path} in chunks: {n_cells:,} cells × {n_genes:,} genes "
        f"(--no-stream reads it into memory)"
    )
    return LargeCells(bare, path, layer, blocks)


def n_entries(path: Path, layer: str | None) -> int:
    """Cells × genes of a file; 0 if it cannot be read, which `read_cells` will report."""
    from scdiff_augment.streaming.files import opened_file

    try:
        with opened_file(path, layer, annotations=False) as (matrix, *_):
            return int(matrix.shape[0]) * int(matrix.shape[1])
    except (ValueError, KeyError, AttributeError, OSError):
        return 0


def writes_in_chunks(out: Path, entries: int, stream: bool | None, scheduler: str | None) -> bool:
    """Whether new cells are written in chunks.

    Raises
    ------
    ValueError
        If options ask for it, but OUT is not a zarr store.
    """
    if out.suffix != ".zarr":
        if stream or scheduler:
            option = "--scheduler" if scheduler else "--stream"
            raise ValueError(
                f"{option} writes zarr stores, but {out} is not named like one. Give OUT the "
                f"suffix .zarr, or leave {option} out."
            )
        return False
    if stream is not None or scheduler is not None:
        return bool(stream or scheduler)
    from scdiff_augment.streaming.zarr_store import partial_folder

    return entries >= LARGE_ENTRIES or partial_folder(out).exists()


def resumed_seed(out: Path, seed: int | None, terminal: Terminal) -> int:
    """Return the seed or, without one, that of the interrupted run to be resumed, if any."""
    from scdiff_augment.streaming.zarr_store import begun_plan

    begun = begun_plan(out)
    if begun is not None:
        terminal.say(f"resuming {out}, which was interrupted")
        if seed is None:
            return int(begun["random_state"])
    return terminal.seed(seed)


@contextmanager
def resumable(out: Path, terminal: Terminal) -> Iterator[None]:
    """On interruption, say that what was written is kept, and how to resume; exit with 130."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(f"interrupted; run the same command again to resume {out}", err=True)
        raise typer.Exit(130) from None
