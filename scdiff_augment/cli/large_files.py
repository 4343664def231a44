"""Files that are larger than memory should hold, clusters, and several devices."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from .cells import Cells, read_cells, require_file
from .terminal import Terminal

if TYPE_CHECKING:
    from numpy.typing import NDArray

LARGE = 250_000_000
"""Cells × genes from which cells are read and written block by block: 1 GB in single precision."""

SEED = "SCDIFF_AUGMENT_SEED"
"""Variable by which the first process tells the others its seed."""


@dataclass(frozen=True)
class LargeCells(Cells):
    """Cells of a file whose matrix stays there.

    Attributes
    ----------
    blocks : Slices
        The matrix, block by block; `adata` has obs and var alone.
    """

    blocks: Any = None

    def frame(self, genes: NDArray | None = None) -> Any:
        """All cells, block by block."""
        return self.blocks


def read_any(path: Path, layer: str | None, stream: bool | None, terminal: Terminal) -> Cells:
    """Read a file into memory, or only its annotations, where it is large or `stream` is set.

    Raises
    ------
    ValueError
        As `read_cells`.
    """
    require_file(path)
    if stream is None:
        stream = entries_of(path, layer) >= LARGE
    if not stream:
        return read_cells(path, layer, terminal)
    import anndata as ad

    from scdiff_augment.streaming.blocks import as_blocks

    try:
        blocks = as_blocks(path, layer=layer)
    except KeyError as error:
        raise ValueError(error.args[0]) from error
    bare = ad.AnnData(obs=blocks.obs, var=blocks.var)
    n_cells, n_genes = blocks.shape
    terminal.say(
        f"{path} is read block by block: {n_cells:,} cells × {n_genes:,} genes "
        f"(--no-stream: into memory)"
    )
    return LargeCells(bare, path, layer, blocks)


def entries_of(path: Path, layer: str | None) -> int:
    """Cells × genes of a file; 0 where it can't be read, which `read_cells` will say."""
    from scdiff_augment.streaming.files import opened_file

    try:
        with opened_file(path, layer, annotations=False) as (matrix, *_):
            return int(matrix.shape[0]) * int(matrix.shape[1])
    except (ValueError, KeyError, AttributeError, OSError):
        return 0


def to_store(out: Path, entries: int, stream: bool | None, scheduler: str | None) -> bool:
    """Whether new cells are written block by block.

    Raises
    ------
    ValueError
        If that is asked for, and OUT is no zarr store.
    """
    if out.suffix != ".zarr":
        if stream or scheduler:
            option = "--scheduler" if scheduler else "--stream"
            raise ValueError(f"{option} writes zarr stores, but {out} is none; name OUT .zarr.")
        return False
    if stream is not None or scheduler is not None:
        return bool(stream or scheduler)
    from scdiff_augment.streaming.zarr_store import partial_folder

    return entries >= LARGE or partial_folder(out).exists()


def seed_begun(out: Path, seed: int | None, terminal: Terminal) -> int:
    """Return the seed, or that of an interrupted store at this place."""
    from scdiff_augment.streaming.zarr_store import begun_plan

    begun = begun_plan(out)
    if begun is not None:
        terminal.say(f"{out} was interrupted before; going on with it")
        if seed is None:
            return int(begun["random_state"])
    return terminal.seed(seed)


@contextmanager
def resumable(out: Path, terminal: Terminal) -> Iterator[None]:
    """Say that what was written before an interruption is kept."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(f"interrupted; the same command goes on with {out}", err=True)
        raise typer.Exit(130) from None


@contextmanager
def cluster(scheduler: str | None) -> Iterator[Any]:
    """Connect to a Dask cluster; None without a scheduler."""
    if scheduler is None:
        yield None
        return
    from scdiff_augment.streaming.dask_cluster import connected

    with connected(scheduler) as client:
        yield client


def together(devices: int, nodes: int, accelerator: str | None) -> Any:
    """Train on several devices within, where there are to be several."""
    if devices == nodes == 1:
        return nullcontext()
    from scdiff_augment.compute.processes import distributed

    return distributed(devices, nodes, accelerator or "auto")


def common_seed(seed: int | None, devices: int, nodes: int, terminal: Terminal) -> int:
    """One seed for all processes.

    Raises
    ------
    ValueError
        If several machines are to draw one.
    """
    if seed is None and nodes > 1:
        raise ValueError("--nodes needs --seed, so that all machines draw the same.")
    if seed is None and devices > 1:
        os.environ.setdefault(SEED, str(secrets.randbelow(2**31)))
        seed = int(os.environ[SEED])
        terminal.say(f"seed {seed}")
    return terminal.seed(seed)
