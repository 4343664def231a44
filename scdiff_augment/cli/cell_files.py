"""Read files of cells, and check them: errors name the file, what is wrong, and what to do."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scdiff_augment.annotation.layers import listed_layers
from scdiff_augment.expression.marks import MARK

from .name_lookup import listed, matching_value, require_name, suggestion
from .output import CELLS
from .ten_x import is_ten_x, read_ten_x, require_scanpy
from .terminal import Terminal

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from anndata import AnnData
    from numpy.typing import NDArray


LOOKED_AT = 500
"""About how many cells tell what a file holds."""


@dataclass(frozen=True)
class Cells:
    """Cells of a file.

    Attributes
    ----------
    adata : AnnData
        Contents of the file.
    path : Path
        The file, for messages.
    layer : str or None
        Layer to use; None means X.
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
        """Name of `X` in messages."""
        return "X" if self.layer is None else f"layer '{self.layer}'"

    def frame(self, genes: NDArray | None = None) -> pd.DataFrame:
        """Dense expression with names of cells and genes; of `genes`, in their order, if given.

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

    def holds(self, expression: str) -> str:
        """Say what X holds, found in some of the cells where `expression` is "auto"."""
        import numpy as np
        from scipy import sparse

        from scdiff_augment.expression.kinds import described

        if expression != "auto":
            return f"{expression}, as --expression says"
        some = self.some_rows()
        return described(some.toarray() if sparse.issparse(some) else np.asarray(some))

    def some_rows(self) -> Any:
        """Return enough rows of X to tell what it holds."""
        return self.X[:: max(1, len(self) // LOOKED_AT)]

    def positions(self, genes: NDArray) -> NDArray[np.intp]:
        """Column numbers of these genes.

        Raises
        ------
        ValueError
            If one is missing.
        """
        columns = self.adata.var_names.get_indexer(genes)
        missing = [str(gene) for gene in genes[columns < 0]]
        if missing:
            raise ValueError(
                f"{self.path} lacks {len(missing)} of the {len(genes)} genes that are needed, the "
                f"first of them '{missing[0]}'."
                f"{suggestion(missing[0], self.adata.var_names)} Use a file with the same genes."
            )
        return columns

    def labels(self, key: str) -> NDArray:
        """Class of each cell, from a column of obs.

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
                f"{len(column)} cells, the first of them '{column.index[column.isna().argmax()]}'. "
                f"Label these cells, or write a file without them: "
                f"adata[adata.obs['{key}'].notna()]."
            )
        labels = column.to_numpy()
        if labels.dtype.kind == "f" and (labels % 1 != 0).any():
            first = labels[labels % 1 != 0][0]
            raise ValueError(
                f"obs['{key}'] of {self.path} holds measurements such as {first:g}, not classes. "
                f"Name another column, or bin it first, for example with pandas.cut."
            )
        return labels

    def where(self, wanted: Mapping[str, str]) -> Cells:
        """Cells that have all of these values in their columns of obs.

        Raises
        ------
        ValueError
            If there is no such column, value or cell.
        """
        cells = self
        for key, text in wanted.items():
            labels = cells.labels(key)
            classes = sorted(set(labels.tolist()), key=str)
            value = matching_value(text, classes, f"obs['{key}'] of {self.path}", "value")
            cells = cells.take(labels == value)
        return cells

    def take(self, rows: NDArray) -> Cells:
        """Return some of the cells."""
        return Cells(self.adata[rows], self.path, self.layer)

    def draw(self, n: int | None, seed: int, terminal: Terminal) -> Cells:
        """Sample n cells, with replacement if there are fewer; None returns all."""
        if n is None:
            return self
        import numpy as np

        replace = n > len(self)
        if replace:
            terminal.say(
                f"note: {n} cells are needed, but {self.path} has only {len(self)} such cells; "
                f"some are used more than once"
            )
        return self.take(np.random.default_rng(seed).choice(len(self), n, replace=replace))

    def marked(self, synthetic: bool, terminal: Terminal) -> Cells:
        """Keep only synthetic or only real cells, if a column of obs tells them apart.

        Raises
        ------
        ValueError
            If that leaves no cells.
        """
        if MARK not in self.adata.obs:
            return self
        chosen = self.adata.obs[MARK].to_numpy(dtype=bool) == synthetic
        if not chosen.any():
            raise ValueError(
                f"all {len(self)} cells of {self.path} are {'real' if synthetic else 'synthetic'}, "
                f"according to obs['{MARK}']. Check the order of the files."
            )
        if not chosen.all():
            what = "synthetic" if synthetic else "real"
            terminal.say(f"{self.path}: using the {chosen.sum()} {what} cells of {len(self)}")
        return self.take(chosen)


def require_file(path: Path) -> None:
    """Refuse a path that is not a file of cells, before anything slow is imported.

    Raises
    ------
    ValueError
        If it does not exist, or is not an .h5ad file or .zarr store.
    """
    ten_x = is_ten_x(path)
    if path.suffix not in CELLS and not ten_x:
        raise ValueError(
            f"cells are read from {' or '.join(CELLS)}, 10x's .h5 and folders with its matrix.mtx, "
            f"but {path} is none of them. Convert it, for example with "
            f"scanpy.read('{path}').write_h5ad('cells.h5ad')."
        )
    if not path.exists():
        beside = path.parent.iterdir() if path.parent.is_dir() else []
        names = sorted(file.name for file in beside if file.suffix in CELLS)
        there = f" Files in that folder: {listed(names)}." if names else ""
        raise ValueError(f"{path} does not exist.{suggestion(path.name, names)}{there}")
    if ten_x:
        require_scanpy(path)


def read_cells(path: Path, layer: str | None, terminal: Terminal) -> Cells:
    """Read an h5ad file or a zarr store.

    Parameters
    ----------
    path : Path
        The file.
    layer : str or None
        Layer to use; None and "X" mean X, and "raw" means ``.raw`` unless a layer has this name.
    terminal : Terminal
        Where to report what was changed.

    Raises
    ------
    ValueError
        If it cannot be read, is empty, has no such layer, or names genes more than once.
    """
    require_file(path)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about repeated names, which are handled below
        try:
            adata = _read(path, terminal)
        except Exception as error:  # damaged files raise errors of many kinds
            kind = "10x's" if is_ten_x(path) else path.suffix[1:]
            raise ValueError(
                f"{path} cannot be read as {kind}: {str(error).splitlines()[0]}"
            ) from error
        if layer == "raw" and "raw" not in adata.layers and adata.raw is not None:
            adata = adata.raw.to_adata()
            adata.layers["raw"] = adata.X
    layer = None if layer == "X" and "X" not in adata.layers else layer
    if layer is not None:
        require_name(layer, ["X", *listed_layers(adata)], str(path), "layer")
    cells = Cells(adata, path, layer)
    if 0 in adata.shape:
        raise ValueError(
            f"{path} is empty: {adata.n_obs} cells × {adata.n_vars} genes. Use another file."
        )
    if cells.X is None:
        raise ValueError(
            f"{path} has no X. Name a layer with --layer: {listed(listed_layers(adata))}."
        )
    if not adata.var_names.is_unique:
        repeated = adata.var_names[adata.var_names.duplicated()]
        raise ValueError(
            f"{path} names {len(set(repeated))} genes more than once, the first of them "
            f"'{repeated[0]}'. Make names unique with adata.var_names_make_unique(), or drop those "
            f"genes."
        )
    if not adata.obs_names.is_unique:
        n_repeated = int(adata.obs_names.duplicated().sum())
        adata.obs_names_make_unique()
        terminal.say(f"note: {n_repeated} cell names of {path} were repeated; they got a suffix")
    return cells


def _read(path: Path, terminal: Terminal) -> AnnData:
    """Read a file; without what no command needs, where that is in no format that anndata knows."""
    import anndata as ad

    if is_ten_x(path):
        return read_ten_x(path, terminal)
    try:
        return ad.read_zarr(path) if path.suffix == ".zarr" else ad.read_h5ad(path)
    except Exception as error:
        from scdiff_augment.streaming.files import read_needed

        adata = read_needed(path)
        what = str(error).splitlines()[0]
        terminal.say(f"note: of {path} only X, layers, raw, obs and var were read: {what}")
        return adata
