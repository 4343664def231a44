"""A random sample of cells from a stream of unknown length, in one pass."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .block_readers import Matrix

ENTRIES = 50_000_000
"""Cells × genes that are kept: 200 MB where they are written out in single precision."""


def reservoir_size(n_genes: int) -> int:
    """Cells that are kept by default: 25,000 of 2,000 genes, never below 2,000."""
    return max(2000, ENTRIES // n_genes)


class Reservoir:
    """Keeps `size` cells, each set of that size as likely as any other.

    Every cell gets an exponential random number, divided by its weight; those with the smallest
    numbers stay (Efraimidis and Spirakis 2006, Information Processing Letters 97). As long as all
    cells fit, no random number is drawn and all stay.

    Parameters
    ----------
    size : int
        Cells to keep.
    generator : callable
        Gives the random generator, the first time that it is needed.
    """

    def __init__(self, size: int, generator: Callable[[], np.random.Generator]):
        self.size = size
        self._generator = generator
        self._rng: np.random.Generator | None = None
        self._blocks: list[Matrix] = []
        self._rows = np.empty(0, dtype=np.int64)
        self._weights = np.empty(0)
        self._keys = np.empty(0)

    def add(self, matrix: Matrix, first: int, weights: NDArray[np.float64] | None = None) -> None:
        """Offer consecutive cells, of which `first` is the number of the first."""
        n_cells = matrix.shape[0]
        weights = np.ones(n_cells) if weights is None else weights
        rows = np.arange(first, first + n_cells)
        if self._rng is None and len(self._rows) + n_cells > self.size:
            self._rng = self._generator()
            self._keys = self._drawn(self._weights)
        if self._rng is not None:
            keys = self._drawn(weights)
            chosen = keys < self._threshold()
            matrix, rows, weights, keys = (
                matrix[chosen],
                rows[chosen],
                weights[chosen],
                keys[chosen],
            )
            self._keys = np.concatenate([self._keys, keys])
        self._blocks.append(matrix)
        self._rows = np.concatenate([self._rows, rows])
        self._weights = np.concatenate([self._weights, weights])
        if len(self._rows) > 2 * self.size:
            self._prune()

    def cells(self) -> tuple[Matrix, NDArray[np.int64]]:
        """Return the cells that were kept, in their order, and their numbers."""
        self._prune()
        return self._blocks[0], self._rows

    def _drawn(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        assert self._rng is not None
        drawn = self._rng.standard_exponential(len(weights))
        return np.divide(drawn, weights, out=np.full(len(weights), np.inf), where=weights > 0)

    def _threshold(self) -> float:
        if len(self._keys) < self.size:
            return np.inf
        return float(np.partition(self._keys, self.size - 1)[self.size - 1])

    def _prune(self) -> None:
        """Bring the blocks together and let go of what is too much."""
        stacked: Matrix = (
            sparse.vstack(self._blocks, format="csr")
            if any(sparse.issparse(block) for block in self._blocks)
            else np.concatenate(self._blocks)
        )
        if self._rng is not None and len(self._rows) > self.size:
            kept = np.sort(np.argpartition(self._keys, self.size - 1)[: self.size])
            stacked = stacked[kept]
            self._rows, self._weights = self._rows[kept], self._weights[kept]
            self._keys = self._keys[kept]
        self._blocks = [stacked]
