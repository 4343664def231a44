"""Data sets: cells as log1p CP10k values with labels, by name or from an h5ad file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray
from scdiff_bench.messages import choose, nearest

DATA_ENV = "SCDIFF_DATA"
GROUP_KEYS = ("donor", "sample", "batch", "condition")


@dataclass(frozen=True)
class Dataset:
    """Cells ready for a classifier.

    Attributes
    ----------
    name : str
        Name in tables and pages.
    X : ndarray of float32, shape (cells, genes)
        log1p of counts per 10,000 over the panel's genes, C order.
    y : ndarray of str, shape (cells,)
        Labels.
    genes : ndarray of str, shape (genes,)
        Gene names.
    groups : dict of str to ndarray of str
        Donor, sample, batch and condition of each cell, where the file has them.
    provenance : dict of str to str
        Where the cells came from and how they were normalised.
    digest : str
        SHA-256 over values, labels and gene names.
    """

    name: str
    X: NDArray[np.float32]
    y: NDArray[np.str_]
    genes: NDArray[np.str_]
    groups: dict[str, NDArray[np.str_]]
    provenance: dict[str, str]
    digest: str


@dataclass(frozen=True)
class DatasetInfo:
    """Description of a data set that stays with a finished study.

    Attributes
    ----------
    name, digest : str
        Name; SHA-256 over the whole content.
    cells, genes : int
        Size.
    types : dict of str to int
        Cells of each type.
    provenance : dict of str to str
        Where the cells came from.
    """

    name: str
    digest: str
    cells: int
    genes: int
    types: dict[str, int]
    provenance: dict[str, str]


def describe(data: Dataset) -> DatasetInfo:
    """Return what a page and MLflow say about a data set.

    Parameters
    ----------
    data : Dataset
        The cells.

    Returns
    -------
    DatasetInfo
        Plain values.
    """
    types, counts = np.unique(data.y, return_counts=True)
    sizes = {str(t): int(c) for t, c in zip(types, counts, strict=True)}
    cells, genes = data.X.shape
    return DatasetInfo(data.name, data.digest, cells, genes, sizes, data.provenance)


def from_anndata(
    adata: ad.AnnData,
    name: str,
    label_key: str,
    layer: str | None = None,
    provenance: dict[str, str] | None = None,
    group_key: str | None = None,
) -> Dataset:
    """Turn an AnnData into a `Dataset`.

    Integer values are taken for counts and normalised to log1p CP10k over the genes of the
    file; other values are taken as they are.

    Parameters
    ----------
    adata : AnnData
        The cells.
    name : str
        Name of the data set.
    label_key : str
        Column of ``obs`` with the labels.
    layer : str, optional
        Layer to read instead of ``X``.
    provenance : dict of str to str, optional
        Kept with the data set.
    group_key : str, optional
        Column of ``obs`` to hold out by, beside donor, sample, batch and condition.

    Returns
    -------
    Dataset
        Dense, checked and hashed.

    Raises
    ------
    ValueError
        If the file is empty, the label key or layer is missing, labels are NaN, cell names
        repeat, or values are negative, NaN or infinite.
    """
    if adata.n_obs == 0 or adata.n_vars == 0:
        raise ValueError(
            f"Data set {name!r} is empty: {adata.n_obs} cells x {adata.n_vars} genes. "
            "Check the file that was written."
        )
    if label_key not in adata.obs:
        raise ValueError(
            f"Data set {name!r} has no label key {label_key!r} in obs. "
            f"{nearest(label_key, adata.obs.columns)}"
        )
    labels = adata.obs[label_key]
    if n_missing := int(labels.isna().sum()):
        raise ValueError(
            f"Data set {name!r}: {n_missing} of {len(labels)} labels in obs[{label_key!r}] are "
            f"NaN. Keep the labelled cells: adata[adata.obs[{label_key!r}].notna()]."
        )
    if group_key is not None and group_key not in adata.obs:
        raise ValueError(
            f"Data set {name!r} has no column {group_key!r} in obs to hold out by. "
            f"{nearest(group_key, adata.obs.columns)}"
        )
    if not adata.obs_names.is_unique:
        twice = adata.obs_names[adata.obs_names.duplicated()]
        raise ValueError(
            f"Data set {name!r}: {len(twice)} cell names repeat, the first is {twice[0]!r}. A cell "
            "that occurs twice could be in both training and test set. Remove the copies, or call "
            "adata.obs_names_make_unique() if they are different cells."
        )
    if layer is not None:
        choose(f"layer of data set {name!r}", layer, adata.layers)
    X, scale = _log1p_cp10k(adata.X if layer is None else adata.layers[layer], name)
    y = labels.astype(str).to_numpy(dtype=str)
    genes = adata.var_names.to_numpy(dtype=str)
    groups = {
        key: adata.obs[key].astype(str).to_numpy(dtype=str)
        for key in dict.fromkeys([*GROUP_KEYS, *([group_key] if group_key else [])])
        if key in adata.obs and key != label_key
    }
    notes = {**(provenance or {}), "label_key": label_key, "values": scale}
    return Dataset(name, X, y, genes, groups, notes, _digest(X, y, genes))


def _log1p_cp10k(values: Any, name: str) -> tuple[NDArray[np.float32], str]:
    """Return dense float32 log1p CP10k values and what was done to get them."""
    dense = values.toarray() if sp.issparse(values) else np.asarray(values)
    if not np.isfinite(dense).all():
        raise ValueError(
            f"Data set {name!r}: {int((~np.isfinite(dense)).sum())} values are NaN or infinite. "
            "Replace or remove them before the benchmark."
        )
    if dense.min() < 0:
        raise ValueError(
            f"Data set {name!r}: {int((dense < 0).sum())} values are negative, the least "
            f"{float(dense.min()):.3g}. The benchmark needs counts or log1p-normalised values; "
            "name the layer that has them."
        )
    if not (dense == np.floor(dense)).all():
        return np.ascontiguousarray(dense, dtype=np.float32), "taken as they are (not integers)"
    totals = dense.sum(axis=1, dtype=np.float64)
    if n_empty := int((totals == 0).sum()):
        raise ValueError(
            f"Data set {name!r}: {n_empty} cells have no counts, so they cannot be "
            "normalised. Remove them: scanpy.pp.filter_cells(adata, min_counts=1)."
        )
    scaled = np.log1p(dense * (1e4 / totals)[:, None])
    return np.ascontiguousarray(scaled, dtype=np.float32), "counts brought to log1p CP10k"


def _digest(X: NDArray[np.float32], y: NDArray[np.str_], genes: NDArray[np.str_]) -> str:
    """Hash the whole content, not a sample of it."""
    sha = hashlib.sha256(repr(X.shape).encode())
    sha.update(X.data)
    sha.update("\n".join(y).encode())
    sha.update("\n".join(genes).encode())
    return sha.hexdigest()


def from_h5ad(
    path: Path,
    name: str,
    label_key: str,
    layer: str | None = None,
    group_key: str | None = None,
) -> Dataset:
    """Read a `Dataset` from an h5ad file.

    Parameters
    ----------
    path : Path
        The file.
    name, label_key, layer, group_key
        As in `from_anndata`.

    Returns
    -------
    Dataset
        Dense, checked and hashed.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"Data set {name!r}: there is no file {path.name!r} in {path.parent.resolve()}."
        )
    try:
        adata = ad.read_h5ad(path)
    except OSError as error:
        raise ValueError(
            f"Data set {name!r}: {path} could not be read as h5ad ({error}). "
            "Write it with adata.write_h5ad(path)."
        ) from error
    source = adata.uns.get("source", "")
    notes = {"file": path.name, **({"source": source} if isinstance(source, str) else {})}
    return from_anndata(adata, name, label_key, layer, notes, group_key)


def pbmc68k_reduced() -> Dataset:
    """Load 700 blood cells of 10 types that come with scanpy, log1p-normalised by their authors.

    Returns
    -------
    Dataset
        700 cells x 765 genes.
    """
    import scanpy as sc

    packaged = sc.datasets.pbmc68k_reduced()
    # `X` is z-scored in the package; `.raw` has the log1p-normalised values.
    adata = ad.AnnData(
        packaged.raw.X,
        obs=pd.DataFrame({"bulk_labels": packaged.obs["bulk_labels"]}),
        var=pd.DataFrame(index=packaged.raw.var_names),
    )
    notes = {"source": "scanpy.datasets.pbmc68k_reduced(), .raw"}
    return from_anndata(adata, "pbmc68k_reduced", "bulk_labels", provenance=notes)


def data_folder() -> Path:
    """Return the folder of the data sets that are not part of this project.

    Returns
    -------
    Path
        ``SCDIFF_DATA``, or ``../shared/data`` beside the project.
    """
    return Path(os.environ.get(DATA_ENV) or Path(__file__).parents[4] / "shared" / "data")


def _shared(file: str, label_key: str = "cell_type", name: str = "") -> Callable[[], Dataset]:
    """Return a loader of a file in the data folder, by default under the file's own name."""
    title = name or file

    def load() -> Dataset:
        folder = data_folder()
        path = folder / f"{file}.h5ad"
        if not path.is_file():
            raise FileNotFoundError(
                f"Data set {title!r} needs the file {path.name!r}, which is not in "
                f"{folder.resolve()}. "
                f"It is not part of this project: set {DATA_ENV} to the folder that has it."
            )
        return from_h5ad(path, title, label_key)

    return load


DATASETS: dict[str, Callable[[], Dataset]] = {
    "pbmc68k_reduced": pbmc68k_reduced,
    "kang_pbmc_ctrl": _shared("kang_pbmc_ctrl"),
    "paul15": _shared("paul15"),
    "pancreas_endocrinogenesis": _shared("pancreas_endocrinogenesis"),
    "kang_ifnb_small_counts": _shared("kang_ifnb_small_counts"),
    "pbmc_chemistry": _shared("pbmc_chemistry"),
    "kang_ifnb_condition": _shared("kang_ifnb_small_counts", "condition", "kang_ifnb_condition"),
}


def load_dataset(
    name: str,
    path: Path | None = None,
    label_key: str | None = None,
    layer: str | None = None,
    group_key: str | None = None,
) -> Dataset:
    """Load a data set by name, or from a file when a path is given.

    Parameters
    ----------
    name : str
        A name in ``DATASETS``, or the name to give to the file's cells.
    path : Path, optional
        An h5ad file.
    label_key, layer, group_key : str, optional
        The first is needed with ``path``; the others are optional there.

    Returns
    -------
    Dataset
        Dense, checked and hashed.
    """
    if path is None:
        return DATASETS[choose("data set", name, DATASETS)]()
    if label_key is None:
        raise ValueError(f"Data set {name!r} has a path but no label_key. Name the column of obs.")
    return from_h5ad(path, name, label_key, layer, group_key)
