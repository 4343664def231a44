"""AnnData of synthetic cells: names, marks and where they come from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from scdiff_augment.expression.hashes import digest
from scdiff_augment.expression.kinds import depth_normalised
from scdiff_augment.expression.marks import KEY, MARK, SOURCE
from scdiff_augment.results_version import versions


def new_adata(
    counts: NDArray[np.float32] | None,
    values: NDArray[np.float32],
    labels: Mapping[str, NDArray],
    *,
    genes: NDArray | None,
    sources: Sequence[str] | None,
    provenance: Mapping[str, Any],
) -> ad.AnnData:
    """AnnData of synthetic cells alone.

    Parameters
    ----------
    counts : ndarray of shape (n_cells, n_genes), or None
        Their counts, where the model knows counts.
    values : ndarray of shape (n_cells, n_genes)
        The same cells on the scale that the model was fitted on.
    labels : mapping of str to ndarray of shape (n_cells,)
        Class of each cell per condition.
    genes : ndarray of str, shape (n_genes,), or None
        Names of the genes; "gene<i>" without.
    sources : sequence of str, optional
        Name of the real cell that each started from.
    provenance : mapping
        Kept in ``uns["scdiff_augment"]``.

    Returns
    -------
    AnnData of shape (n_cells, n_genes)
    """
    n_cells, n_genes = values.shape
    obs, var = new_obs(labels, n_cells, sources), new_var(genes, n_genes)
    X = values
    if counts is not None and values is counts:
        X = depth_normalised(counts)
    adata = ad.AnnData(sparse.csr_matrix(X) if counts is not None else X, obs=obs, var=var)
    if counts is not None:
        adata.layers["counts"] = sparse.csr_matrix(counts)
    adata.uns[KEY] = dict(provenance)
    return adata


def new_obs(
    labels: Mapping[str, NDArray], n_cells: int, sources: Sequence[str] | None
) -> pd.DataFrame:
    """Names, conditions and marks of synthetic cells."""
    joined = ["-".join(map(str, row)) for row in zip(*labels.values(), strict=True)]
    obs = pd.DataFrame(
        {name: pd.Categorical(codes) for name, codes in labels.items()},
        index=names(joined or [""] * n_cells, set()),
    )
    obs[MARK] = True
    obs[SOURCE] = pd.Categorical([None] * n_cells if sources is None else list(sources))
    return obs


def new_var(genes: NDArray | None, n_genes: int) -> pd.DataFrame:
    """Names of genes; "gene<i>" without."""
    return pd.DataFrame(index=[f"gene{i}" for i in range(n_genes)] if genes is None else genes)


def provenance_of(
    parameters: Mapping[str, Any],
    options: Mapping[str, Any],
    training_hashes: NDArray[np.uint64],
    history: Mapping[str, Any],
) -> dict[str, Any]:
    """How cells were made: parameters, options, versions, threads, hash of the training cells."""
    return {
        **threads_of(history),
        "parameters": {k: str(v) for k, v in parameters.items()},
        "options": {k: str(v) for k, v in options.items()},
        "versions": versions(),
        "training_hash": digest(training_hashes),
    }


def threads_of(history: Mapping[str, Any]) -> dict[str, int]:
    """With how many threads a model was trained, which its cells depend on, where that is known."""
    return {k: int(v) for k, v in history.items() if k == "n_threads"}


def names(labels: Sequence[Any], taken: set[str]) -> list[str]:
    """synth-<label>-<i>, counting on from names that are there already."""
    count: Counter[str] = Counter()
    made = []
    for label in map(str, labels):
        stem = f"synth-{label}" if label else "synth"
        while f"{stem}-{count[label]}" in taken:
            count[label] += 1
        made.append(f"{stem}-{count[label]}")
        count[label] += 1
    return made


def require_condition_name(name: Any) -> None:
    """Refuse names that can't be a column of obs beside those that mark synthetic cells."""
    if not isinstance(name, str) or not name or name in (MARK, SOURCE) or "/" in name:
        raise ValueError(
            f"a condition must be named by a string other than '', '{MARK}' and '{SOURCE}', which "
            f"are columns of obs for synthetic cells, and without '/', which files can't hold in "
            f"names of columns; got {name!r}. Use another name."
        )
