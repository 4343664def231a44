"""Where a model gets its cells from: a matrix in memory, or a stream of blocks.

From a stream, a random sample of cells is kept, and the codec is learnt from it by the code that
learns it from a matrix. Then the stream is read again and every cell encoded. Latents take 200
bytes a cell, so all of them stay in memory, and the denoiser and the conditions are learnt from
all cells as always; only what a class's genes have beyond the latent is estimated from the sample.
Incremental PCA over a whole stream was the other choice: it makes one decomposition of genes ×
genes for each block, and would take longer than everything else, for axes that 25,000 cells give
as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scdiff_augment.expression.checks import dense_matrix, require_genes, same_genes
from scdiff_augment.expression.hashes import cell_hashes
from scdiff_augment.expression.kinds import Expression, denormalise, scale_like
from scdiff_augment.expression.scales import Scale

from .block_readers import Blocks, as_blocks, is_stream
from .checked_blocks import Block, checked, kind_of, require_kind
from .reservoir import Reservoir, reservoir_size


class Encodes(Protocol):
    """What this file needs of a codec."""

    def encode(self, parts: Expression) -> NDArray[np.float32]:
        """Latents of cells."""


class Source(Protocol):
    """Cells to learn from.

    Attributes
    ----------
    n_cells : int
    genes : ndarray of str, or None
    notes : list of str
        What a user should know about how the cells were read.
    """

    n_cells: int
    genes: NDArray | None
    notes: list[str]

    def parts(self) -> tuple[Expression, NDArray[np.int64]]:
        """Cells to learn the codec from, and their numbers."""

    def encode(self, codec: Encodes) -> tuple[NDArray[np.float32], NDArray[np.uint64]]:
        """Latents and hashes of all cells."""


class InMemory:
    """A matrix."""

    def __init__(self, X: ArrayLike, genes: ArrayLike | None, expression: str):
        self._X, columns = dense_matrix(X)
        self.genes = require_genes(columns if genes is None else genes, self._X.shape[1])
        self.n_cells = len(self._X)
        self.notes: list[str] = []
        self._expression = expression

    def parts(self) -> tuple[Expression, NDArray[np.int64]]:
        """All cells."""
        self._parts = denormalise(self._X, self._expression)
        return self._parts, np.arange(self.n_cells)

    def encode(self, codec: Encodes) -> tuple[NDArray[np.float32], NDArray[np.uint64]]:
        """Latents and hashes of all cells."""
        return codec.encode(self._parts), cell_hashes(self._parts, self.genes)


class Streamed:
    """Blocks, read twice.

    Parameters
    ----------
    blocks : Blocks
    genes : array-like of str, optional
        Their genes, where the blocks do not name them.
    expression : str
        Kind of the values; "auto" goes by the first block that has counts, where that tells counts
        and log1p values apart, otherwise by the cells that are kept.
    weights : ndarray of shape (n_cells,), optional
        How likely a cell is kept, relative to others.
    size : int, optional
        How many are kept; as many as make 200 MB by default.
    """

    def __init__(
        self,
        blocks: Blocks,
        genes: ArrayLike | None,
        expression: str,
        weights: NDArray[np.float64] | None,
        size: int | None,
    ):
        self._blocks, self._expression, self._size = blocks, expression, size
        self._named, self._weights = genes, weights
        self.notes: list[str] = []

    def read(self, rng: np.random.Generator) -> None:
        """Read all blocks once, check them, and keep some of the cells."""
        reservoir, sums, kind = None, [], None
        self.genes = None
        for block in checked(self._blocks):
            if reservoir is None:
                named = self._blocks.genes if self._named is None else self._named
                self.genes = require_genes(named, block.matrix.shape[1])
                size = reservoir_size(block.matrix.shape[1]) if self._size is None else self._size
                reservoir = Reservoir(size, lambda: _own(rng))
            kind = kind or kind_of(block, self._expression)
            if kind is not None:
                require_kind(block, kind)
            reservoir.add(block.matrix, block.first, self._weights_of(block))
            sums.append(block.sums())
        if reservoir is None or not sum(map(len, sums)):
            raise ValueError("there is no cell to learn from: the blocks are empty.")
        self._sums = np.concatenate(sums)
        self.n_cells = len(self._sums)
        self._named_scale = self._expression
        if self._expression == "auto" and kind in (None, "counts", "log1p"):
            self._named_scale = (
                kind or "counts"
            )  # other kinds need more cells than a block may have
        self._kept, self._rows = reservoir.cells()
        if len(self._rows) < self.n_cells:
            self.notes.append(
                f"the codec was learnt from {len(self._rows):,} of {self.n_cells:,} cells, drawn "
                f"at random; all of them are in the latent"
            )

    def parts(self) -> tuple[Expression, NDArray[np.int64]]:
        """Cells that were kept."""
        kept = Block(0, 0, self._kept).dense()
        del self._kept
        parts = denormalise(kept, self._named_scale)
        self._scale = parts.scale
        return parts, self._rows

    def encode(self, codec: Encodes) -> tuple[NDArray[np.float32], NDArray[np.uint64]]:
        """Read all blocks again."""
        latents, hashes, n_read = [], [], 0
        for block in checked(self._blocks):
            end = block.first + block.matrix.shape[0]
            expected = self._sums[block.first : end]
            found = block.sums()
            if len(expected) != len(found) or not np.allclose(expected, found, rtol=1e-9):
                raise ValueError(
                    f"block {block.number} holds other cells than when it was read before. Blocks "
                    f"must come in the same order each time: without shuffling."
                )
            parts = apart(block, self._scale)
            latents.append(codec.encode(parts))
            hashes.append(cell_hashes(parts, self.genes))
            n_read = end
        if n_read != self.n_cells:
            raise ValueError(
                f"the blocks gave {self.n_cells} cells when they were read first, and {n_read} the "
                f"second time. They must give the same each time."
            )
        return np.concatenate(latents), np.concatenate(hashes)

    def _weights_of(self, block: Block) -> NDArray[np.float64] | None:
        if self._weights is None:
            return None
        end = block.first + block.matrix.shape[0]
        if end > len(self._weights):
            raise ValueError(
                f"`sample_weight` has {len(self._weights)} values, but there are at least {end} "
                f"cells. Give one for each."
            )
        return self._weights[block.first : end]


def apart(block: Block, scale: Scale) -> Expression:
    """Take a block apart; normalised cells keep the total that all of them share.

    Raises
    ------
    ValueError
        If the block is on another scale.
    """
    try:
        parts = denormalise(block.dense(), scale)
    except ValueError as error:
        raise ValueError(f"in block {block.number}: {error}") from error
    if parts.factor is None:
        return parts
    total = scale.total
    totals = parts.values.sum(axis=1, dtype=np.float64) * parts.factor
    if total is not None and (np.abs(totals - total)[totals > 0] > 1e-2 * total).any():
        row = int(np.argmax((np.abs(totals - total) > 1e-2 * total) & (totals > 0)))
        raise ValueError(
            f"cells were normalised to a total of {total:g}, but cell {block.first + row} (block "
            f"{block.number}, row {row}) has {totals[row]:g}. Normalise all cells alike, or pass "
            f"the counts."
        )
    return replace(parts, total=total)


def stream_parts(blocks: Blocks, scale: Scale, n_genes: int, genes: Any) -> Iterator[Expression]:
    """Take all blocks of a stream apart, for a model of these genes.

    A model of counts reads counts and log1p values alike; the first block that has counts says
    which.
    """
    found: Scale | None = None
    n_blocks = 0
    for block in checked(blocks):
        if found is None and (scale.kind == "real" or block.values().any()):
            found = scale_like(block.dense(), scale)
            if found is not scale:
                found = replace(found, total=scale.total)
        if found is not None:
            require_kind(block, found.kind)
        block = block._replace(matrix=same_genes(block.dense(), blocks.genes, n_genes, genes))
        n_blocks += 1
        yield apart(block, found or scale)
    if not n_blocks:
        raise ValueError("there is no cell to encode: the blocks are empty.")


def source_of(
    X: Any,
    genes: ArrayLike | None,
    expression: str,
    weights: Any,
    size: int | None,
    rng: np.random.Generator,
) -> Source:
    """Choose how cells are read."""
    if not is_stream(X):
        return InMemory(X, genes, expression)
    weights = None if weights is None else np.asarray(weights, dtype=np.float64).ravel()
    stream = Streamed(as_blocks(X), genes, expression, weights, size)
    stream.read(rng)
    return stream


def _own(rng: np.random.Generator) -> np.random.Generator:
    return np.random.default_rng(int(rng.integers(2**63)))
