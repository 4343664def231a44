"""A reference and one's own cells in one AnnData: genes matched by name, labels mapped."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from scdiff_augment.annotation.layers import named_layers
from scdiff_augment.annotation.obs import labels_of
from scdiff_augment.expression.genes import GeneReport, match_genes
from scdiff_augment.oversampling.base import kind_of_matrix

OWN, REFERENCE = "mine", "reference"
"""Names of the two batches, by default."""

SHOWN = 12
"""Largest number of labels that a report lists."""


@dataclass(frozen=True)
class ReferenceReport:
    """What became of genes and labels when a reference met one's own cells.

    Parameters
    ----------
    genes : GeneReport
        Own genes ("wanted") that the reference has ("given").
    shared, only_reference, only_own : tuple of str
        Labels of both, of the reference alone and of one's own cells alone. What differs between
        the two is learnt from the shared ones.
    """

    genes: GeneReport
    shared: tuple[str, ...]
    only_reference: tuple[str, ...]
    only_own: tuple[str, ...]

    def __str__(self) -> str:
        parts = [f"genes: {self.genes}", f"labels of both: {_listed(self.shared)}"]
        if self.only_reference:
            parts.append(f"of the reference alone: {_listed(self.only_reference)}")
        if self.only_own:
            parts.append(f"of your cells alone: {_listed(self.only_own)}")
        return "; ".join(parts)


def join_reference(
    adata: ad.AnnData,
    reference: ad.AnnData,
    label_key: str,
    *,
    reference_label_key: str | None = None,
    label_map: Mapping[str, str] | None = None,
    layer: str | None = None,
    reference_layer: str | None = None,
    batch_key: str = "batch",
    into: str = OWN,
    reference_batch_key: str | None = None,
) -> tuple[ad.AnnData, ReferenceReport]:
    """Put one's own cells and a reference into one AnnData, for ``oversample_adata(..., into=)``.

    Parameters
    ----------
    adata : AnnData of shape (n_own, n_genes)
        One's own cells. Not modified.
    reference : AnnData of shape (n_reference, n_reference_genes)
        Cells of an atlas, another study or batch. Not modified.
    label_key : str
        Column of ``adata.obs`` with the classes.
    reference_label_key : str, optional
        That of ``reference.obs``; `label_key` by default.
    label_map : mapping of str to str, optional
        Labels of the reference to one's own names of these classes. Others keep their name.
    layer, reference_layer : str, optional
        Layers to take; ``X`` by default.
    batch_key : str, default="batch"
        Column of the result that tells them apart; in ``adata.obs`` it is replaced.
    into : str, default="mine"
        Name of the batch of one's own cells.
    reference_batch_key : str, optional
        Column of ``reference.obs`` with batches of its own; one batch, "reference", by default.

    Returns
    -------
    AnnData of shape (n_own + n_reference, n_matched)
        One's own cells first. Genes are those that both have, in the order of ``adata``. ``obs``
        has the columns of ``adata.obs``; those other than labels and batch are missing for cells of
        the reference.
    ReferenceReport
        Which genes and labels were matched.

    Raises
    ------
    KeyError
        If a column or a layer does not exist.
    ValueError
        If fewer than half of the genes of ``adata`` are matched, no label is, `label_map` names a
        label that the reference does not have, a batch of the reference is called `into`, or one
        matrix holds counts and the other does not.

    See Also
    --------
    oversample_adata : ``oversample_adata(joined, label_key, batch_key="batch", into="mine")``.

    Examples
    --------
    >>> import anndata as ad, numpy as np, pandas as pd
    >>> from scdiff_augment import join_reference
    >>> rng = np.random.default_rng(0)
    >>> genes = pd.DataFrame(index=["CD3D", "MS4A1", "LYZ"])
    >>> types = pd.DataFrame({"type": ["T"] * 6}, index=list("abcdef"))
    >>> mine = ad.AnnData(rng.poisson(2, (6, 3)), types, genes)
    >>> labels = pd.DataFrame({"type": ["T cell", "B cell"] * 4}, index=list("ijklmnop"))
    >>> atlas = ad.AnnData(rng.poisson(2, (8, 2)), labels, genes[:2])
    >>> joined, report = join_reference(mine, atlas, "type", label_map={"T cell": "T"})
    >>> joined.shape, report.shared, report.only_reference, report.genes.absent
    ((14, 2), ('T',), ('B cell',), ('LYZ',))
    """
    theirs_key = reference_label_key or label_key
    own = labels_of(adata.obs, label_key).astype(str).to_numpy()
    theirs = mapped(labels_of(reference.obs, theirs_key).astype(str).to_numpy(), label_map or {})
    columns, genes = match_genes(reference.var_names, adata.var_names)
    found = np.flatnonzero(columns >= 0)
    matrices = [_matrix(adata, layer, "adata"), _matrix(reference, reference_layer, "reference")]
    kinds = [kind_of_matrix(matrix) for matrix in matrices]
    if kinds[0] != kinds[1]:
        raise ValueError(
            f"adata holds {_words(kinds[0])} and reference holds {_words(kinds[1])}; cells "
            f"can only be compared on one scale. Name layers with counts: layer=..., "
            f"reference_layer=...."
        )
    report = ReferenceReport(genes, *_shared_labels(own, theirs))
    if not report.shared:
        raise ValueError(
            f"no label of the reference is one of yours, so what differs between them cannot be "
            f"known. Yours are {_listed(report.only_own)}; those of the reference are "
            f"{_listed(report.only_reference)}. Say which are the same: label_map={{'name there': "
            f"'name here'}}."
        )
    batches = np.full(len(theirs), REFERENCE, dtype=object)
    if reference_batch_key is not None:
        batches = labels_of(reference.obs, reference_batch_key).astype(str).to_numpy(dtype=object)
    if into in batches:
        raise ValueError(
            f"your cells are batch '{into}', and the reference has a batch of that name. Name "
            f"yours otherwise: into=...."
        )
    obs = _in_file_types(adata.obs.drop(columns=[label_key, batch_key], errors="ignore"))
    names = _unlike(reference.obs_names, set(adata.obs_names))
    obs = pd.concat([obs, pd.DataFrame(index=names)])
    obs[label_key] = pd.Categorical([*own, *theirs])
    obs[batch_key] = pd.Categorical([*np.full(len(own), into), *batches])
    X = _stacked(matrices[0][:, found], matrices[1][:, columns[found]])
    return ad.AnnData(X, obs=obs, var=adata.var.iloc[found].copy()), report


def mapped(labels: NDArray, label_map: Mapping[str, str]) -> NDArray:
    """Give labels their names in one's own cells.

    Parameters
    ----------
    labels : ndarray of str, shape (n_cells,)
    label_map : mapping of str to str

    Raises
    ------
    ValueError
        If it names a label that no cell has.
    """
    known = np.unique(labels).tolist()
    for label in label_map:
        if label not in known:
            close = difflib.get_close_matches(str(label), known, n=1)
            hint = f" Did you mean '{close[0]}'?" if close else ""
            raise ValueError(
                f"the label map names '{label}', which no cell of the reference has.{hint} It has: "
                f"{_listed(known)}."
            )
    return np.array([label_map.get(label, label) for label in labels.tolist()], dtype=object)


def _shared_labels(
    own: NDArray, theirs: NDArray
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    ours, other = set(own.tolist()), set(theirs.tolist())
    return tuple(sorted(ours & other)), tuple(sorted(other - ours)), tuple(sorted(ours - other))


def _matrix(adata: ad.AnnData, layer: str | None, whose: str) -> Any:
    if layer is not None and layer not in adata.layers:
        raise KeyError(f"{whose} has no layer '{layer}'; it has {named_layers(adata)}.")
    X = adata.X if layer is None else adata.layers[layer]
    if X is None:
        raise ValueError(f"{whose}.X is None; name the layer that holds its expression.")
    return X.tocsr() if sparse.issparse(X) else np.asarray(X)


def _stacked(own: Any, theirs: Any) -> Any:
    """Stack matrices: as sparse as one's own cells are, in a type that holds both."""
    if sparse.issparse(own):
        return sparse.vstack([own, sparse.csr_matrix(theirs)], format="csr")
    return np.vstack([own, theirs.toarray() if sparse.issparse(theirs) else theirs])


def _unlike(names: pd.Index, taken: set[str]) -> list[str]:
    """Return names of the reference's cells that none of one's own has."""
    if taken.isdisjoint(names):
        return list(names)
    return [f"{name}-{REFERENCE}" for name in names]


def _in_file_types(obs: pd.DataFrame) -> pd.DataFrame:
    """Columns in types that can be missing for some cells, and that a file can hold."""
    types = {"b": "boolean", "i": "Int64", "u": "Int64"}
    return obs.astype({c: types[d.kind] for c, d in obs.dtypes.items() if d.kind in types})


def _words(kind: str) -> str:
    return {"log1p": "log1p of counts", "real": "other real values"}.get(kind, kind)


def _listed(labels: Any) -> str:
    more = f" and {len(labels) - SHOWN} more" if len(labels) > SHOWN else ""
    return (", ".join(map(str, labels[:SHOWN])) or "none") + more
