"""Matrices that are read block by block: files, zarr stores, backed AnnData, lists of blocks.

A block holds some consecutive cells × all genes. Files are read in slices of rows, which follow
each other on disk: at 20,000 cells × 2,000 genes that took a sixth of the time of a loader that
asks for rows by number. Such loaders can be used all the same: any object that gives the same
blocks each time it is iterated over is a source, a scDataset with ``Streaming()`` among them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from scdiff_augment.annotation.layers import listed_layers
from scdiff_augment.expression.checks import computed

from .files import is_cell_file, opened_file

BLOCK = 4096
"""Cells of a block."""

Matrix = NDArray | sparse.csr_matrix


@runtime_checkable
class Blocks(Protocol):
    """Cells in blocks.

    Attributes
    ----------
    n_cells : int or None
        How many there are, where that is known before they are read.
    genes : ndarray of str, or None
        Names of the genes, where there are any.
    """

    n_cells: int | None
    genes: NDArray | None

    def __iter__(self) -> Iterator[Any]:
        """Blocks (cells, genes), dense or sparse; the same each time."""


class Slices:
    """Blocks of something that is sliced by rows.

    Parameters
    ----------
    opened : callable
        Gives a context manager of an object with ``shape`` and ``[start:stop]``.
    shape : (n_cells, n_genes)
    genes : ndarray of str, or None
    obs, var : DataFrame, optional
        Annotations of cells and genes, where the source has any.
    size : int
        Cells of a block.
    """

    def __init__(
        self,
        opened: Callable[[], AbstractContextManager[Any]],
        shape: tuple[int, int],
        genes: NDArray | None,
        *,
        obs: pd.DataFrame | None = None,
        var: pd.DataFrame | None = None,
        size: int = BLOCK,
    ):
        self._opened = opened
        self.n_cells: int | None = shape[0]
        self.shape, self.genes, self.obs, self.var, self.size = shape, genes, obs, var, size
        self.rows: NDArray[np.bool_] | None = None

    def __iter__(self) -> Iterator[Any]:
        with self._opened() as matrix:
            for start in range(0, self.shape[0], self.size):
                block = computed(matrix[start : start + self.size])
                yield block if self.rows is None else block[self.rows[start : start + self.size]]

    def read(self, start: int, stop: int) -> Any:
        """Read some consecutive cells, whatever `where` left out."""
        with self._opened() as matrix:
            return computed(matrix[start:stop])

    def where(self, rows: NDArray[np.bool_]) -> Slices:
        """Only some of the cells, (n_cells,) booleans."""
        some = Slices(self._opened, self.shape, self.genes, size=self.size)
        some.rows, some.n_cells = rows, int(rows.sum())
        return some


class Listed:
    """Blocks of any iterable that can be iterated over more than once.

    Data frames name the genes; every one of them must name the same.
    """

    n_cells: int | None = None

    def __init__(self, blocks: Iterable[Any]):
        self._blocks = blocks
        first = next(iter(blocks), None)
        self.genes = _frame_genes(first)

    def __iter__(self) -> Iterator[Any]:
        for number, block in enumerate(self._blocks):
            genes = _frame_genes(block)
            if genes is not None and self.genes is not None:
                _require_genes(number, genes, self.genes)
            yield block.to_numpy() if isinstance(block, pd.DataFrame) else block


def is_stream(X: Any) -> bool:
    """Whether X is to be read block by block: no array, frame or matrix that is in memory."""
    if isinstance(X, str | Path):
        return True
    if hasattr(X, "obs") and hasattr(X, "var"):
        return bool(getattr(X, "isbacked", False)) or isinstance(X, Slices)
    if sparse.issparse(X) or hasattr(X, "__array__"):
        return False
    if isinstance(X, list | tuple):
        return len(X) > 0 and _is_matrix(X[0])
    return isinstance(X, Iterable)


def as_blocks(source: Any, *, layer: str | None = None, size: int = BLOCK) -> Any:
    """Read anything block by block.

    Parameters
    ----------
    source : path, AnnData, matrix, Blocks or iterable of matrices
        An h5ad file or a zarr store that AnnData wrote; an AnnData, backed or in memory; one
        matrix; or blocks, dense, sparse or data frames, which come in the same order each time.
    layer : str, optional
        Layer of a file or an AnnData; "raw" is ``.raw`` where no layer has that name. X by default.
    size : int, default=4096
        Cells of a block, where the source has none of its own.

    Returns
    -------
    Blocks

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    KeyError
        If it has no such layer; the message lists those that are there.
    TypeError
        If `source` can be iterated over only once: cells are read twice.
    ValueError
        If it is no file of cells, stores the matrix by gene (CSC), or is empty.

    Examples
    --------
    >>> import numpy as np
    >>> from scdiff_augment import LatentDiffusion
    >>> blocks = [np.random.default_rng(seed).poisson(2.0, (40, 12)) for seed in range(3)]
    >>> model = LatentDiffusion(decoder_steps=20, denoiser_steps=20, random_state=0).fit(blocks)
    >>> model.encode(blocks).shape
    (120, 6)
    """
    if isinstance(source, str | Path):
        return _file_blocks(Path(source), layer, size)
    if hasattr(source, "obs") and hasattr(source, "var") and not isinstance(source, Slices):
        return _adata_blocks(source, layer, size)
    if sparse.issparse(source) or hasattr(source, "__array__"):
        matrix = source.tocsr() if sparse.issparse(source) else source
        genes = _frame_genes(matrix)
        matrix = matrix.to_numpy() if isinstance(matrix, pd.DataFrame) else matrix
        return Slices(lambda: nullcontext(matrix), matrix.shape, genes, size=size)
    if isinstance(source, Blocks):
        return source
    if not isinstance(source, Iterable):
        raise TypeError(f"blocks of cells can't be read from {type(source).__name__}.")
    if iter(source) is source:
        raise TypeError(
            f"blocks are read twice, but {type(source).__name__} gives them only once. Pass a "
            f"list of blocks, a file, or an object whose __iter__ begins again each time."
        )
    return Listed(source)


class _Rows:
    """Rows of an AnnData's matrix, without loading the rest of a backed one."""

    def __init__(self, adata: Any, layer: str | None):
        self._adata, self._layer = adata, layer

    def __getitem__(self, rows: slice) -> Any:
        if self._layer is None:
            return self._adata[rows].X
        if self._layer == "raw" and "raw" not in self._adata.layers:
            return self._adata.raw.X[rows]  # before 0.13, raw[rows] of a file reads all of it
        return self._adata[rows].layers[self._layer]


def _adata_blocks(adata: Any, layer: str | None, size: int) -> Slices:
    if adata.isbacked and adata.is_view:
        raise ValueError(
            "adata is a selection from a file, which can't be read block by block. Pass "
            "as_blocks(whole).where(rows) with a boolean for each cell, or write the selection to "
            "a file."
        )
    raw = layer == "raw" and "raw" not in adata.layers and adata.raw is not None
    if layer is not None and layer not in listed_layers(adata):
        raise KeyError(f"adata has no layer '{layer}'; it has {listed_layers(adata)}.")
    if layer is None and adata.X is None:
        raise ValueError(
            f"adata.X is None; name the layer to learn from with layer=...; there are "
            f"{listed_layers(adata)}."
        )
    var = adata.raw.var if raw else adata.var
    names = var.index.to_numpy(dtype=str)
    rows = _Rows(adata, layer)
    shape = (adata.n_obs, len(var))
    _require_filled("adata", shape)
    return Slices(lambda: nullcontext(rows), shape, names, obs=adata.obs, var=var, size=size)


def _file_blocks(path: Path, layer: str | None, size: int) -> Slices:
    if not is_cell_file(path):
        raise ValueError(
            f"cells are read from .h5ad and .zarr, but {path} is neither. Convert it, for example "
            f"with scanpy.read(...).write_h5ad('cells.h5ad')."
        )
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist.")
    with opened_file(path, layer) as (matrix, obs, var):
        shape = (int(matrix.shape[0]), int(matrix.shape[1]))
    _require_filled(str(path), shape)

    @contextmanager
    def opened() -> Iterator[Any]:
        with opened_file(path, layer, annotations=False) as (matrix, *_):
            yield matrix

    return Slices(opened, shape, var.index.to_numpy(dtype=str), obs=obs, var=var, size=size)


def _require_filled(what: str, shape: tuple[int, int]) -> None:
    if 0 in shape:
        raise ValueError(f"{what} is empty: {shape[0]} cells × {shape[1]} genes.")


def _is_matrix(block: Any) -> bool:
    return sparse.issparse(block) or (
        isinstance(block, np.ndarray | pd.DataFrame) and block.ndim == 2
    )


def _frame_genes(block: Any) -> NDArray | None:
    named = isinstance(block, pd.DataFrame) and all(isinstance(c, str) for c in block.columns)
    return block.columns.to_numpy(dtype=str) if named else None


def _require_genes(number: int, genes: NDArray, expected: NDArray) -> None:
    if np.array_equal(genes, expected):
        return
    if len(genes) != len(expected):
        raise ValueError(
            f"block {number} has {len(genes)} genes, but block 0 has {len(expected)}. Give all "
            f"blocks the same genes in the same order."
        )
    place = int(np.argmax(genes != expected))
    raise ValueError(
        f"block {number} has other genes than block 0: column {place} is '{genes[place]}', not "
        f"'{expected[place]}'. Give all blocks the same genes in the same order."
    )
