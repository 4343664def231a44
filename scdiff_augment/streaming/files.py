"""Files of cells, opened without reading their matrix."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from anndata import AnnData

SUFFIXES = (".h5ad", ".zarr")


def is_cell_file(path: Path) -> bool:
    """Whether the name is that of an h5ad file or a zarr store."""
    return path.suffix in SUFFIXES


@contextmanager
def opened_file(
    path: Path, layer: str | None, *, annotations: bool = True
) -> Iterator[tuple[Any, pd.DataFrame, pd.DataFrame]]:
    """Open the matrix of a file, to be sliced by rows, and read its obs and var.

    Parameters
    ----------
    path : Path
        An h5ad file or a zarr store that AnnData wrote.
    layer : str or None
        Layer; "raw" is ``.raw`` where no layer has that name; None is X.
    annotations : bool, default=True
        Whether obs and var are read; both are empty otherwise.

    Yields
    ------
    matrix, obs, var

    Raises
    ------
    KeyError
        If there is no such layer.
    ValueError
        If the file can't be opened, holds no matrix there, or stores it by gene (CSC).
    """
    import anndata as ad

    with _opened_group(path) as group:
        place = _place(group, path, layer)
        element = group[place]
        former = element.attrs.get("h5sparse_format", "")  # of anndata before 0.7
        kind = str(element.attrs.get("encoding-type", f"{former}_matrix" if former else ""))
        if kind == "csc_matrix":
            raise ValueError(
                f"{place} of {path} is stored by gene (CSC), so a block of cells can't be read "
                f"without all the rest. Write it by cell: adata.X = adata.X.tocsr()."
            )
        matrix = ad.io.sparse_dataset(element) if kind == "csr_matrix" else element
        obs = var = pd.DataFrame()
        if annotations:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ad.OldFormatWarning)  # R's writers use that format
                obs = ad.io.read_elem(group["obs"])
                var = ad.io.read_elem(group["raw/var" if place == "raw/X" else "var"])
        yield matrix, obs, var


def read_needed(path: Path) -> AnnData:
    """Read X, layers, raw, obs and var of a file, whatever else it holds."""
    import anndata as ad

    with _opened_group(path) as group:
        obs, var = ad.io.read_elem(group["obs"]), ad.io.read_elem(group["var"])
        layers = ad.io.read_elem(group["layers"]) if "layers" in group else {}
        X = ad.io.read_elem(group["X"]) if "X" in group else None
        adata = ad.AnnData(X, obs, var, layers=layers)
        if "raw" in group and "X" in group["raw"]:
            raw = {name: ad.io.read_elem(group["raw"][name]) for name in ("X", "var")}
            adata.raw = ad.AnnData(raw["X"], obs[[]], raw["var"])
    return adata


@contextmanager
def _opened_group(path: Path) -> Iterator[Any]:
    try:
        if path.suffix == ".zarr":
            import zarr

            group: Any = zarr.open_group(str(path), mode="r")
        else:
            import h5py

            group = h5py.File(path, mode="r")
    except Exception as error:  # whatever a damaged file may lead to
        raise ValueError(
            f"{path} can't be read as {path.suffix[1:]}: {str(error).splitlines()[0]}"
        ) from error
    try:
        yield group
    finally:
        if hasattr(group, "close"):
            group.close()


def _place(group: Any, path: Path, layer: str | None) -> str:
    """Where the matrix lies in the file."""
    layers = sorted(group["layers"]) if "layers" in group else []
    raw = "raw" in group and "X" in group["raw"]
    if layer is None:
        if "X" not in group:
            raise ValueError(f"{path} has no X. Name a layer; it has {layers}.")
        return "X"
    if layer in layers:
        return f"layers/{layer}"
    if layer == "X":
        return _place(group, path, None)
    if layer == "raw" and raw:
        return "raw/X"
    raise KeyError(f"{path} has no layer '{layer}'; it has {['X', *layers, *['raw'] * raw]}.")
