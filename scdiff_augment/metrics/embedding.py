"""MMD and iLISI: how far apart two sets of cells are in their joint principal components."""

from __future__ import annotations

import numpy as np
import pandas as pd
from harmonypy.lisi import compute_lisi
from numpy.typing import ArrayLike, NDArray
from sklearn.decomposition import PCA

from .checks import MAX_CELLS, Seed, equal_sized_pair

N_PCS = 50
"""Principal components that most metrics use, as in scDiffusion."""

ILISI_PCS = 20
"""Principal components that iLISI uses, as published."""

KERNELS = 5
"""Number of Gaussian kernels in the MMD, each twice as wide as the one before."""

BLOCK = 1024
"""Rows of the kernel matrix held in memory at once."""

Latents = NDArray[np.float64]


def joint_pca(
    real: NDArray, synthetic: NDArray, n_components: int = N_PCS, random_state: int = 0
) -> tuple[Latents, Latents]:
    """Return both sets in their joint principal components; see `fit_pca`."""
    both = np.concatenate([real, synthetic])
    z = fit_pca(both, n_components, random_state).transform(both)
    return z[: len(real)], z[len(real) :]


def fit_pca(X: NDArray, n_components: int, random_state: int = 0) -> PCA:
    """Fit the leading principal components, at most as many as genes, and fewer than cells.

    Raises
    ------
    ValueError
        If all cells are the same.
    """
    if np.ptp(X, axis=0).max() == 0:
        raise ValueError(
            f"principal components need cells that differ, but all {len(X)} cells are the same in "
            f"all {X.shape[1]} genes. Pass other cells or further genes."
        )
    n_components = min(n_components, len(X) - 1, X.shape[1])
    solver = "arpack" if n_components < min(X.shape) else "full"
    pca = PCA(n_components, svd_solver=solver, random_state=random_state)
    return pca.fit(X.astype(np.float64))


def mmd(
    real: ArrayLike,
    synthetic: ArrayLike,
    *,
    max_cells: int = MAX_CELLS,
    random_state: Seed = 0,
) -> float:
    r"""Maximum mean discrepancy between the two sets, as computed for scDiffusion.

    The biased estimate
    :math:`\overline{k(x, x')} + \overline{k(y, y')} - 2\,\overline{k(x, y)}` in 50 joint principal
    components. The kernel k is a sum of 5 Gaussian kernels :math:`\exp(-d^2 / h_i)` of bandwidths
    :math:`h_i = 2^i \bar{d^2} / 4`, :math:`i = 0, \ldots, 4`, where :math:`\bar{d^2}` is the mean
    squared distance over all pairs of different cells of the pooled sets.

    Parameters
    ----------
    real, synthetic : array-like of shape (n_cells, n_genes)
        log1p expression. Both are subsampled to the same number of cells.
    max_cells : int, default=5000
        Limit on the cells of each set; larger sets are subsampled. The cost grows quadratically.
    random_state : int, numpy.random.Generator or None, default=0
        For subsampling, and for the principal components.

    Returns
    -------
    float
        0 for identical sets, larger for sets further apart. The estimate includes each cell paired
        with itself, which adds about 4 / n for n cells of one distribution: compare only values of
        the same n.

    Raises
    ------
    ValueError
        If the matrices differ in genes, hold NaN or infinity, or have fewer than 2 cells.

    References
    ----------
    Gretton et al. 2012, A kernel two-sample test, JMLR 13. Luo et al. 2024, scDiffusion,
    Bioinformatics 40(9), btae518.

    Examples
    --------
    >>> import numpy as np
    >>> from scdiff_augment.metrics import mmd
    >>> real = np.random.default_rng(0).normal(size=(30, 5))
    >>> abs(mmd(real, real)) < 1e-12, mmd(real, real + 3) > 1
    (True, True)
    """
    rng = np.random.default_rng(random_state)
    pair = equal_sized_pair(real, synthetic, min_cells=2, max_cells=max_cells, random_state=rng)
    return mmd_of(*joint_pca(*pair, random_state=_integer(rng)))


def ilisi(
    real: ArrayLike,
    synthetic: ArrayLike,
    *,
    perplexity: float = 30,
    max_cells: int = MAX_CELLS,
    random_state: Seed = 0,
) -> float:
    """Integration LISI: how well the two sets mix, scaled from 0 to 1 as in scIB.

    Parameters
    ----------
    real, synthetic : array-like of shape (n_cells, n_genes)
        log1p expression. Both are subsampled to the same number of cells.
    perplexity : float, default=30
        Effective number of neighbours; the search covers three times as many. Lowered for small
        sets.
    max_cells : int, default=5000
        Limit on the cells of each set; larger sets are subsampled.
    random_state : int, numpy.random.Generator or None, default=0
        For subsampling, and for the principal components.

    Returns
    -------
    float
        Median over cells of the local inverse Simpson's index in 20 joint principal components,
        minus 1: 0 if no cell has a neighbour from the other set, near 1 if neighbours come equally
        from both.

    Raises
    ------
    ValueError
        If the matrices differ in genes, hold NaN or infinity, or have fewer than 5 cells.

    References
    ----------
    Korsunsky et al. 2019, Fast, sensitive and accurate integration of single-cell data with
    Harmony, Nature Methods 16, 1289-1296. Luecken et al. 2022, Benchmarking atlas-level data
    integration in single-cell genomics, Nature Methods 19, 41-50; they define neighbours by
    distance along a graph, here neighbours are nearest in the principal components.

    Examples
    --------
    >>> import numpy as np
    >>> from scdiff_augment.metrics import ilisi
    >>> rng = np.random.default_rng(0)
    >>> a, b = rng.normal(size=(2, 100, 5))
    >>> ilisi(a, b) > 0.8, round(ilisi(a, b + 100), 6)
    (True, 0.0)
    """
    rng = np.random.default_rng(random_state)
    pair = equal_sized_pair(real, synthetic, min_cells=5, max_cells=max_cells, random_state=rng)
    return ilisi_of(*joint_pca(*pair, ILISI_PCS, _integer(rng)), perplexity=perplexity)


def mmd_of(real: Latents, synthetic: Latents) -> float:
    """MMD of two sets of equally many points."""
    both, n = np.concatenate([real, synthetic]), len(real)
    norms = (both**2).sum(axis=1)
    # Sum of squared distances over all ordered pairs, without forming the pairs.
    total = 2 * len(both) * norms.sum() - 2 * (both.sum(axis=0) ** 2).sum()
    width = total / (len(both) * (len(both) - 1)) / 4
    if width <= 0:
        return 0.0
    sign = np.repeat([1.0, -1.0], n)
    value = 0.0
    for start in range(0, len(both), BLOCK):
        rows = slice(start, start + BLOCK)
        squared = norms[rows, None] + norms[None] - 2 * both[rows] @ both.T
        kernel = np.exp(np.maximum(squared, 0) / (-(2 ** (KERNELS - 1)) * width))
        for i in range(KERNELS):  # halving the bandwidth squares the kernel
            kernel = kernel if i == 0 else kernel**2
            value += float(sign[rows] @ (kernel @ sign))
    return value / n**2


def ilisi_of(real: Latents, synthetic: Latents, perplexity: float = 30) -> float:
    """Scaled iLISI of two sets of equally many points."""
    points = np.concatenate([real[:, :ILISI_PCS], synthetic[:, :ILISI_PCS]])
    side = pd.DataFrame({"side": np.repeat(["real", "synthetic"], [len(real), len(synthetic)])})
    perplexity = min(perplexity, (len(points) - 1) / 3)
    index = compute_lisi(points, side, ["side"], perplexity)
    return float(np.nanmedian(index)) - 1


def _integer(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))
