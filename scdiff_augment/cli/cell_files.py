"""Cells of a file: what can go wrong with one is found and named here."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .names import hint, listed, member, require_name
from .output import CELLS
from .terminal import Terminal

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from anndata import AnnData
    from numpy.typing import NDArray

MARK = "is_synthetic"
"""Column of obs that tells synthetic cells from real ones, as in `annotation.new_cells`."""


@dataclass(frozen=True)
class Cells:
    """Cells of a file.

    Attributes
    ----------
    adata : AnnData
        What the file holds.
    path : Path
        Where it lies, for messages.
    layer : str or None
        Layer to read; None is X.
    """

    adata: AnnData
    path: Path
    layer: str | None = None

    def __len__(self) -> int:
        return self.adata.n_obs

    @property
    def X(self) -> Any:
        """The matrix, as it is stored."""
        return self.adata.X if self.layer is None else self.adata.layers[self.layer]

    @property
    def place(self) -> str:
        """What `X` is called."""
        return "X" if self.layer is None else f"layer '{self.layer}'"

    def frame(self, genes: NDArray | None = None) -> pd.DataFrame:
        """Dense values with names of cells and genes; of `genes` in their order, where given.

        Raises
        ------
        ValueError
            If a gene is missing.
        """
        import pandas as pd
        from scipy import sparse

        X, names = self.X, self.adata.var_names
        if genes is not None:
            X, names = X[:, self.positions(genes)], genes
        X = X.toarray() if sparse.issparse(X) else X
        return pd.DataFrame(X, index=self.adata.obs_names, columns=names, copy=False)

    def positions(self, genes: NDArray) -> NDArray[np.intp]:
        """Columns of these genes.

        Raises
        ------
        ValueError
            If one is missing.
        """
        columns = self.adata.var_names.get_indexer(genes)
        missing = [str(gene) for gene in genes[columns < 0]]
        if missing:
            raise ValueError(
                f"{self.path} lacks {len(missing)} of {len(genes)} genes that are needed, the "
                f"first is '{missing[0]}'.{hint(missing[0], self.adata.var_names)} Use a file "
                f"with the same genes."
            )
        return columns

    def labels(self, key: str) -> NDArray:
        """Column of obs that gives a class to every cell.

        Raises
        ------
        ValueError
            If there is no such column, values are missing, or they are measurements.
        """
        obs = self.adata.obs
        require_name(key, list(obs.columns), f"obs of {self.path}", "column")
        column = obs[key]
        if column.isna().any():
            raise ValueError(
                f"obs['{key}'] of {self.path} is missing for {int(column.isna().sum())} of "
                f"{len(column)} cells, the first is '{column.index[column.isna().argmax()]}'. "
                f"Give them a label, or write a file without them: "
                f"adata[adata.obs['{key}'].notna()]."
            )
        labels = column.to_numpy()
        if labels.dtype.kind == "f" and (labels % 1 != 0).any():
            first = labels[labels % 1 != 0][0]
            raise ValueError(
                f"obs['{key}'] of {self.path} holds measurements such as {first:g}, not classes. "
                f"Name another column, or cut it into classes first."
            )
        return labels

    def where(self, wanted: Mapping[str, str]) -> Cells:
        """Cells that have all of these values in obs.

        Raises
        ------
        ValueError
            If there is no such column, value or cell.
        """
        cells = self
        for key, text in wanted.items():
            labels = cells.labels(key)
            classes = sorted(set(labels.tolist()), key=str)
            value = member(text, classes, f"obs['{key}'] of {self.path}", "value")
            cells = cells.take(labels == value)
        return cells

    def take(self, rows: NDArray) -> Cells:
        """Return some of the cells."""
        return Cells(self.adata[rows], self.path, self.layer)

    def draw(self, n: int | None, seed: int, terminal: Terminal) -> Cells:
        """Choose n cells at random, some repeatedly where there are fewer; all for None."""
        if n is None:
            return self
        import numpy as np

        again = n > len(self)
        if again:
            terminal.say(f"{self.path} has {len(self)} such cells for {n}: some serve repeatedly")
        return self.take(np.random.default_rng(seed).choice(len(self), n, replace=again))

    def marked(self, synthetic: bool, terminal: Terminal) -> Cells:
        """Only synthetic or only real cells, where a column of obs tells them apart."""
        if MARK not in self.adata.obs:
            return self
        chosen = self.adata.obs[MARK].to_numpy(dtype=bool) == synthetic
        if not chosen.any():
            raise ValueError(
                f"all {len(self)} cells of {self.path} are {'real' if synthetic else 'synthetic'}, "
                f"by its column '{MARK}'. Are two files swapped?"
            )
        if not chosen.all():
            what = "synthetic" if synthetic else "real"
            terminal.say(f"{self.path}: read the {chosen.sum()} {what} cells of {len(self)}")
        return self.take(chosen)


def require_file(path: Path) -> None:
    """Refuse a path that is no file of cells, before anything slow is imported.

    Raises
    ------
    ValueError
        If it does not exist, or is of another kind.
    """
    if path.suffix not in CELLS:
        raise ValueError(
            f"cells are read from {' and '.join(CELLS)}, but {path} is neither. Convert it, for "
            f"example with scanpy.read(...).write_h5ad('cells.h5ad')."
        )
    if not path.exists():
        beside = path.parent.iterdir() if path.parent.is_dir() else []
        names = sorted(file.name for file in beside if file.suffix in CELLS)
        there = f" Files there: {listed(names)}." if names else ""
        raise ValueError(f"{path} does not exist.{hint(path.name, names)}{there}")


def read_cells(path: Path, layer: str | None, terminal: Terminal) -> Cells:
    """Read an h5ad file or a zarr store.

    Parameters
    ----------
    path : Path
        The file.
    layer : str or None
        Layer that will be read; None and "X" are X, "raw" is ``.raw`` where no layer has this name.
    terminal : Terminal
        Where to say what was adapted.

    Raises
    ------
    ValueError
        If it cannot be read, is empty, has no such layer, or names a gene twice.
    """
    require_file(path)
    import anndata as ad

    read = ad.read_zarr if path.suffix == ".zarr" else ad.read_h5ad
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about names that repeat, which are dealt with below
        try:
            adata = read(path)
        except Exception as error:  # whatever a damaged file may lead to
            raise ValueError(
                f"{path} can't be read as {path.suffix[1:]}: {str(error).splitlines()[0]}"
            ) from error
        if layer == "raw" and "raw" not in adata.layers and adata.raw is not None:
            adata = adata.raw.to_adata()
            adata.layers["raw"] = adata.X
    layer = None if layer == "X" and "X" not in adata.layers else layer
    if layer is not None:
        raw = [] if adata.raw is None else ["raw"]
        require_name(layer, ["X", *adata.layers, *raw], str(path), "layer")
    cells = Cells(adata, path, layer)
    if 0 in adata.shape:
        raise ValueError(f"{path} is empty: {adata.n_obs} cells × {adata.n_vars} genes.")
    if cells.X is None:
        raise ValueError(f"{path} has no X. Name a layer with --layer: {listed(adata.layers)}.")
    if not adata.var_names.is_unique:
        repeated = adata.var_names[adata.var_names.duplicated()]
        raise ValueError(
            f"{path} names {len(set(repeated))} genes more than once, the first is "
            f"'{repeated[0]}'. Number them with adata.var_names_make_unique(), or leave them out."
        )
    if not adata.obs_names.is_unique:
        n_repeated = int(adata.obs_names.duplicated().sum())
        adata.obs_names_make_unique()
        terminal.say(f"{path}: {n_repeated} names of cells stood there before; they got a number")
    return cells
