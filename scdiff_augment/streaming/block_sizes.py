"""How many cells are drawn at a time, and a block of them as CSR or dense."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

ROWS = 512
"""Cells whose counts are drawn at a time: their numbers stay in the processor's cache."""

ENTRIES = 16_000_000
"""Cells × genes of a block, 64 MB in single precision; of over 31,250 genes it has 512 cells."""


def cells_per_block(n_genes: int) -> int:
    """4,096 cells, fewer of many genes, a multiple of those whose counts are drawn at a time."""
    return min(4096, max(ROWS, ENTRIES // n_genes // ROWS * ROWS))


def block_sizes(n_cells: int, size: int) -> list[int]:
    """Cells of each block, of which only the last may be smaller."""
    return [min(size, n_cells - first) for first in range(0, n_cells, size)]


def as_csr(matrix: Any) -> sparse.csr_matrix:
    """CSR with sorted 32-bit column numbers, as stores keep them."""
    if isinstance(matrix, np.ndarray):
        places = np.flatnonzero(matrix)
        rows, columns = np.divmod(places, matrix.shape[1])
        indptr = np.searchsorted(rows, np.arange(len(matrix) + 1)).astype(np.int32)
        parts = (matrix.reshape(-1)[places], columns.astype(np.int32), indptr)
        return sparse.csr_matrix(parts, shape=matrix.shape)
    found = sparse.csr_matrix(matrix)
    found.sort_indices()
    found.indices = found.indices.astype(np.int32, copy=False)
    return found


def as_dense(matrix: Any) -> Any:
    """Array of a block that may be sparse."""
    return matrix.toarray() if sparse.issparse(matrix) else matrix
