"""Selection of genes, within the training set."""

from __future__ import annotations

import warnings
from typing import Any

import anndata as ad
import numpy as np
from numpy.typing import NDArray


def most_variable(X: NDArray[np.float32], n_genes: int | None) -> NDArray[np.int64]:
    """Return the genes that vary most over the training cells, as scanpy ranks them.

    Parameters
    ----------
    X : ndarray, shape (cells, genes)
        log1p values of the training cells alone.
    n_genes : int or None
        How many genes to keep; None keeps all.

    Returns
    -------
    ndarray of int
        Their positions, ascending.
    """
    if n_genes is None or n_genes >= X.shape[1]:
        return np.arange(X.shape[1])
    import scanpy as sc

    adata: Any = ad.AnnData(X)
    adata.uns["log1p"] = {"base": None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # scanpy's own, about pandas
        found = sc.pp.highly_variable_genes(adata, n_top_genes=n_genes, inplace=False)
    ranked = found["dispersions_norm"].fillna(-np.inf).to_numpy().argsort(kind="stable")[::-1]
    return np.sort(ranked[:n_genes])
