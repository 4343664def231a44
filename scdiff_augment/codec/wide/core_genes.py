"""Genes that tell cells apart: those whose counts vary most beyond Poisson, for their mean.

References
----------
Lause, Berens & Kobak 2021, Analytic Pearson residuals for normalization of single-cell RNA-seq UMI
data, Genome Biology 22, 258.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

WIDE = 4096
"""Genes up to which a matrix is not wide: encoder and decoder are trained on all of them."""

CORE = 2000
"""Genes that the encoder of a wide matrix reads."""

OVERDISPERSION = 0.01
"""Of technical noise: counts of mean m vary as m + m² / 100."""

ROWS = 256
"""Cells at a time."""


def core_genes(counts: NDArray[np.float32], n_genes: int = CORE) -> NDArray[np.intp]:
    """Return the columns of the most variable genes, ascending, (n_genes,).

    Parameters
    ----------
    counts : ndarray of shape (cells, genes)
    n_genes : int
    """
    order = np.argsort(-residual_variance(counts), kind="stable")
    return np.sort(order[:n_genes])


def residual_variance(counts: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the variance of each gene's Pearson residuals, clipped at sqrt(cells), (genes,)."""
    totals = torch.from_numpy(counts.sum(axis=1, dtype=np.float64)).float()
    share = torch.from_numpy(counts.sum(axis=0, dtype=np.float64) / max(float(totals.sum()), 1.0))
    share, limit = share.float(), float(np.sqrt(len(counts)))
    first, second = torch.zeros(2, counts.shape[1], dtype=torch.float64)
    for start in range(0, len(counts), ROWS):
        rows = slice(start, start + ROWS)
        mean = totals[rows, None] * share  # (cells, genes)
        residual = torch.from_numpy(counts[rows]) - mean
        residual *= mean.addcmul_(mean, mean, value=OVERDISPERSION).clamp_(min=1e-12).rsqrt_()
        residual.clamp_(-limit, limit)
        first += residual.sum(dim=0)
        second += residual.square_().sum(dim=0)
    return (second / len(counts) - (first / len(counts)) ** 2).numpy()
