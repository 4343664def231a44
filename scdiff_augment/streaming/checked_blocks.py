"""Blocks of cells, checked one by one: an error names block, row and cell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from scdiff_augment.expression.integers import NOTHING, not_integers
from scdiff_augment.expression.kinds import detect_kind
from scdiff_augment.expression.scales import FROM_START, Kind

from .block_readers import Blocks, Matrix


class Block(NamedTuple):
    """Some consecutive cells.

    Attributes
    ----------
    number : int
        Of the block, from 0.
    first : int
        Number of its first cell.
    matrix : ndarray or csr_matrix of shape (cells, genes)
    """

    number: int
    first: int
    matrix: Matrix

    def dense(self) -> NDArray:
        """Values as an array."""
        found = self.matrix.toarray() if sparse.issparse(self.matrix) else self.matrix
        return np.ascontiguousarray(found)

    def values(self) -> NDArray:
        """Return the values that are stored, in one dimension."""
        return self.matrix.data if sparse.issparse(self.matrix) else self.matrix.ravel()

    def sums(self) -> NDArray[np.float64]:
        """Sum of each cell."""
        return np.asarray(self.matrix.sum(axis=1, dtype=np.float64)).ravel()

    def place(self, wrong: NDArray[np.bool_]) -> str:
        """Where the first of the values is of which this is true, as `values` has them."""
        position = int(np.argmax(wrong))
        if sparse.issparse(self.matrix):
            row = int(np.searchsorted(self.matrix.indptr, position, side="right")) - 1
            column = int(self.matrix.indices[position])
        else:
            row, column = divmod(position, self.matrix.shape[1])
        value = self.values()[position]
        return (
            f"block {self.number} has {value:g} in row {row} (cell {self.first + row}), column "
            f"{column}"
        )


def checked(blocks: Blocks) -> Iterator[Block]:
    """Blocks as CSR or dense matrices, all numeric, finite and as wide as the first.

    Raises
    ------
    ValueError
        If a block is not.
    """
    first, width = 0, None if blocks.genes is None else len(blocks.genes)
    for number, given in enumerate(blocks):
        matrix = _matrix(given, number)
        if width is None:
            width = matrix.shape[1]
        if matrix.shape[1] != width:
            raise ValueError(
                f"block {number} has {matrix.shape[1]} genes, but {width} are expected, as in "
                f"block 0. Give all blocks the same genes in the same order."
            )
        block = Block(number, first, matrix)
        values = block.values()
        if values.dtype.kind == "f" and not np.isfinite(values.sum(dtype=np.float64)):
            wrong = ~np.isfinite(values)
            if wrong.any():
                raise ValueError(
                    f"X must be finite, but {block.place(wrong)} ({wrong.sum()} such entries in "
                    f"that block). Fill them (0 for genes not detected) or drop those cells."
                )
        first += matrix.shape[0]
        yield block


def kind_of(block: Block, expression: str) -> Kind | None:
    """Kind of the values, where the block tells; a block without counts does not."""
    if expression != "auto":
        return expression  # type: ignore[return-value]
    return detect_kind(block.dense()) if block.values().any() else None


def require_kind(block: Block, kind: Kind) -> None:
    """Refuse a block that is on another scale than those before it.

    Raises
    ------
    ValueError
        If it holds negative values, or no integers where counts were before, or the reverse.
    """
    values = block.values()
    if kind not in FROM_START or kind == "real" or not values.size:
        return  # what undoing another kind gives tells by itself
    way_out = "Write all blocks on one scale, or pass expression='real' for other values."
    if values.min() < (-NOTHING if kind == "counts" else 0):
        raise ValueError(
            f"expression='{kind}' needs non-negative values, but {block.place(values < 0)}. "
            f"{way_out}"
        )
    broken = not_integers(values)
    if kind == "counts" and broken.any():
        raise ValueError(
            f"expression='counts' needs integers, but {block.place(broken)}; all blocks before "
            f"held integers. {way_out} Corrected or estimated counts are expression='fractional'."
        )
    if kind == "log1p" and values.any() and not broken.any():
        raise ValueError(
            f"block {block.number} holds integers only, but those before held log1p values. "
            f"{way_out}"
        )


def _matrix(given: Any, number: int) -> Matrix:
    matrix = given.tocsr() if sparse.issparse(given) else np.asarray(given)
    if matrix.ndim != 2 or matrix.dtype.kind not in "buif":
        raise ValueError(
            f"block {number} must be a numeric matrix of cells × genes, got shape {matrix.shape} "
            f"of {matrix.dtype}."
        )
    return matrix
