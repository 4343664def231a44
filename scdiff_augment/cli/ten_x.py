"""What 10x Genomics' Cell Ranger leaves, an .h5 file or a folder with matrix.mtx, by scanpy."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from .terminal import Terminal

if TYPE_CHECKING:
    from anndata import AnnData

MATRICES = ("matrix.mtx.gz", "matrix.mtx")
"""Ends of the name of a folder's matrix; what stands before them begins its other files, too."""


def is_ten_x(path: Path) -> bool:
    """Whether a path is such a file or folder, by its name."""
    return path.suffix == ".h5" or _matrix(path) is not None


def require_scanpy(path: Path) -> None:
    """Refuse them where scanpy is not installed.

    Raises
    ------
    ValueError
        Which names the extra.
    """
    if find_spec("scanpy") is None:
        raise ValueError(
            f"{path} is in 10x Genomics' format, which scanpy reads, and that is not installed. "
            f"Install it with: pip install 'scdiff-augment[scanpy]', or convert the file to .h5ad."
        )


def read_ten_x(path: Path, terminal: Terminal) -> AnnData:
    """Read gene expression, with symbols as names of genes, the second of a name with a suffix."""
    import scanpy

    matrix = _matrix(path)
    if matrix is None:
        adata = scanpy.read_10x_h5(path)
    else:
        prefix = next(matrix.name.removesuffix(end) for end in MATRICES if end in matrix.name)
        adata = scanpy.read_10x_mtx(path, make_unique=False, prefix=prefix or None)
    n_repeated = int(adata.var_names.duplicated().sum())
    if n_repeated:
        adata.var_names_make_unique()
        terminal.say(f"note: {n_repeated} gene symbols of {path} were repeated; they got a suffix")
    return adata


def _matrix(path: Path) -> Path | None:
    """Return the matrix of a folder, if it has one."""
    if not path.is_dir() or path.suffix == ".zarr":
        return None
    return next((file for end in MATRICES for file in sorted(path.glob(f"*{end}"))), None)
