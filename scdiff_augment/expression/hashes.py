"""Fingerprints of cells: which cells a model has seen, without keeping them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .kinds import Expression

BLOCK = 4096


def cell_hashes(parts: Expression, genes: NDArray | None) -> NDArray[np.uint64]:
    """Hash each cell's counts to 64 bits.

    It is the sum over genes of count times a hash of the gene's name (of its position where there
    are no names), modulo 2**64: the order of genes, and genes without counts, do not matter.
    log1p values hash as the counts that they came from; real values by their bits.

    Parameters
    ----------
    parts : Expression
        Cells, denormalised.
    genes : ndarray of str, shape (n_genes,), or None
        Gene names.

    Returns
    -------
    ndarray of shape (n_cells,), uint64
    """
    values = parts.values
    names = np.arange(values.shape[1]) if genes is None else genes.astype(object)
    weights = pd.util.hash_array(names, categorize=False) | np.uint64(1)
    hashes = np.empty(len(values), dtype=np.uint64)
    for start in range(0, len(values), BLOCK):
        block = values[start : start + BLOCK]
        if parts.kind == "real":
            whole = np.ascontiguousarray(block).view(np.uint32).astype(np.uint64)
        else:
            whole = block.astype(np.uint64)
        hashes[start : start + BLOCK] = whole @ weights
    return hashes


def overlap(hashes: NDArray[np.uint64], seen: NDArray[np.uint64]) -> int:
    """How many of the cells are among those seen."""
    return int(np.isin(hashes, seen).sum())


def digest(hashes: NDArray[np.uint64]) -> str:
    """One short hash of a set of cells, whatever their order."""
    return f"{int(pd.util.hash_array(np.sort(hashes)).sum(dtype=np.uint64)):016x}"
