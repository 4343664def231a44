"""Gene by gene: means, spread, zeros, correlations."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from .inputs import checked_pair

Values = NDArray[np.float64]


class Curve(NamedTuple):
    """One statistic of each gene against its mean, for real and for synthetic cells.

    Attributes
    ----------
    mean_real, mean_synthetic : ndarray of shape (n_genes,)
        Mean log1p expression.
    real, synthetic : ndarray of shape (n_genes,)
        The statistic of each gene.
    error : float
        How far the two lie apart; 0 where they agree.
    """

    mean_real: Values
    mean_synthetic: Values
    real: Values
    synthetic: Values
    error: float


def scc(real: ArrayLike, synthetic: ArrayLike) -> float:
    """Spearman correlation of the genes' mean expression.

    Parameters
    ----------
    real, synthetic : array-like of shape (n_cells, n_genes)
        log1p expression; the numbers of cells may differ.

    Returns
    -------
    float
        1 where genes have the same order. High for nearly any generator: read it beside the value
        of real cells.

    Raises
    ------
    ValueError
        If the matrices differ in genes or hold NaN or infinity, or if all genes of one of them
        have the same mean, which leaves a correlation undefined.

    Examples
    --------
    >>> import numpy as np
    >>> from scdiff_augment.metrics import scc
    >>> real = np.array([[0.0, 1.0, 2.0], [0.0, 2.0, 4.0]])
    >>> round(scc(real, real**2), 6)
    1.0
    """
    return float(stats.spearmanr(*_varying_means(real, synthetic)).statistic)


def pcc(real: ArrayLike, synthetic: ArrayLike) -> float:
    """Pearson correlation of the genes' mean expression.

    Parameters
    ----------
    real, synthetic : array-like of shape (n_cells, n_genes)
        log1p expression; the numbers of cells may differ.

    Returns
    -------
    float
        1 where the means lie on a rising line.

    Raises
    ------
    ValueError
        As for `scc`.

    Examples
    --------
    >>> import numpy as np
    >>> from scdiff_augment.metrics import pcc
    >>> real = np.array([[0.0, 1.0, 2.0], [0.0, 2.0, 4.0]])
    >>> round(pcc(real, 3 * real), 6)
    1.0
    """
    return float(stats.pearsonr(*_varying_means(real, synthetic)).statistic)


def gene_correlation_error(real: ArrayLike, synthetic: ArrayLike, *, n_genes: int = 200) -> float:
    """Mean absolute difference of the correlations between genes.

    Parameters
    ----------
    real, synthetic : array-like of shape (n_cells, n_genes)
        log1p expression.
    n_genes : int, default=200
        The pairs are those of the genes with the largest variance in `real`.

    Returns
    -------
    float
        0 where every pair is equally correlated. A gene that is constant on one side counts as
        uncorrelated there. Falls with the number of cells, like 1 over its root.

    Raises
    ------
    ValueError
        If the matrices differ in genes, hold NaN or infinity, or have fewer than 3 cells or 2
        genes.

    Examples
    --------
    >>> import numpy as np
    >>> from scdiff_augment.metrics import gene_correlation_error
    >>> together = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]])
    >>> round(gene_correlation_error(together, together * [1, -1]), 6)
    2.0
    """
    a, b = checked_pair(real, synthetic, min_cells=3)
    if a.shape[1] < 2 or n_genes < 2:
        raise ValueError(
            f"a correlation between genes needs 2 genes, got a matrix of {a.shape[1]} and "
            f"n_genes={n_genes}. Pass more genes."
        )
    variable = np.argsort(-a.var(axis=0, dtype=np.float64), kind="stable")[:n_genes]
    pairs = np.triu_indices(len(variable), k=1)
    difference = _correlations(a[:, variable]) - _correlations(b[:, variable])
    return float(np.abs(difference[pairs]).mean())


def mean_variance(real: ArrayLike, synthetic: ArrayLike) -> Curve:
    """Variance of each gene against its mean.

    Parameters
    ----------
    real, synthetic : array-like of shape (n_cells, n_genes)
        log1p expression.

    Returns
    -------
    Curve
        Means and variances of the genes; `error` is the mean absolute difference of the genes'
        standard deviations, relative to their mean in `real`.

    Raises
    ------
    ValueError
        If the matrices differ in genes or hold NaN or infinity, or if no gene of `real` varies.

    Examples
    --------
    >>> import numpy as np
    >>> from scdiff_augment.metrics import mean_variance
    >>> real = np.array([[0.0, 1.0], [2.0, 3.0]])
    >>> mean_variance(real, 2 * real).error
    1.0
    """
    a, b = checked_pair(real, synthetic)
    var_a, var_b = a.var(axis=0, dtype=np.float64), b.var(axis=0, dtype=np.float64)
    spread = np.sqrt(var_a).mean()
    if spread == 0:
        raise ValueError(
            f"no gene of `real` varies over its {len(a)} cells, so a relative difference of "
            f"spread is undefined. Pass more cells or other genes."
        )
    error = float(np.abs(np.sqrt(var_a) - np.sqrt(var_b)).mean() / spread)
    return Curve(_means(a), _means(b), var_a, var_b, error)


def zero_fraction(real: ArrayLike, synthetic: ArrayLike) -> Curve:
    """Share of cells without a gene, against the gene's mean.

    Parameters
    ----------
    real, synthetic : array-like of shape (n_cells, n_genes)
        log1p expression or counts.

    Returns
    -------
    Curve
        Means and shares of zeros of the genes; `error` is the share of zeros among all synthetic
        entries minus that among all real ones: above 0 where synthetic cells are too sparse.

    Raises
    ------
    ValueError
        If the matrices differ in genes or hold NaN or infinity.

    Examples
    --------
    >>> import numpy as np
    >>> from scdiff_augment.metrics import zero_fraction
    >>> zero_fraction(np.array([[0.0, 1.0]] * 2), np.array([[0.0, 0.0], [0.0, 1.0]])).error
    0.25
    """
    a, b = checked_pair(real, synthetic)
    zero_a, zero_b = (a == 0).mean(axis=0), (b == 0).mean(axis=0)
    return Curve(_means(a), _means(b), zero_a, zero_b, float(zero_b.mean() - zero_a.mean()))


def zero_curve_error(real: ArrayLike, synthetic: ArrayLike) -> float:
    """Mean absolute difference of the genes' shares of zeros.

    Parameters
    ----------
    real, synthetic : array-like of shape (n_cells, n_genes)
        log1p expression or counts.

    Returns
    -------
    float
        0 where each gene is absent from as many cells. Unlike the error of `zero_fraction`, genes
        that are too sparse do not make up for others that are too dense.

    Raises
    ------
    ValueError
        If the matrices differ in genes or hold NaN or infinity.

    Examples
    --------
    >>> import numpy as np
    >>> from scdiff_augment.metrics import zero_curve_error
    >>> zero_curve_error(np.array([[0.0, 1.0]] * 2), np.array([[1.0, 0.0]] * 2))
    1.0
    """
    curve = zero_fraction(real, synthetic)
    return float(np.abs(curve.synthetic - curve.real).mean())


def _means(X: NDArray) -> Values:
    return X.mean(axis=0, dtype=np.float64)


def _varying_means(real: ArrayLike, synthetic: ArrayLike) -> tuple[Values, Values]:
    means = [_means(X) for X in checked_pair(real, synthetic, min_cells=1)]
    for name, values in zip(("real", "synthetic"), means, strict=True):
        if len(values) < 2 or np.ptp(values) == 0:
            raise ValueError(
                f"a correlation over genes needs means that differ, but the {len(values)} gene(s) "
                f"of `{name}` all have mean {values[0]:g}. Pass more genes."
            )
    return means[0], means[1]


def _correlations(X: NDArray) -> Values:
    centred = X - X.mean(axis=0, dtype=np.float64)
    norm = np.sqrt((centred**2).sum(axis=0))
    unit = np.divide(centred, norm, out=np.zeros_like(centred), where=norm > 1e-12)
    return unit.T @ unit
