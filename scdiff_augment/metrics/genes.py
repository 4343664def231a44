"""Gene-wise statistics: means, variances, zeros, correlations."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from .checks import checked_pair

Values = NDArray[np.float64]


class Curve(NamedTuple):
    """A statistic of each gene against its mean expression, for real and synthetic cells.

    Attributes
    ----------
    mean_real, mean_synthetic : ndarray of shape (n_genes,)
        Mean of each gene, on the scale of the input.
    real, synthetic : ndarray of shape (n_genes,)
        The statistic of each gene.
    error : float
        How far the two differ; 0 if they agree. `mean_variance` and `zero_fraction` define it.
    """

    mean_real: Values
    mean_synthetic: Values
    real: Values
    synthetic: Values
    error: float


def scc(real: ArrayLike, synthetic: ArrayLike) -> float:
    """Spearman correlation of genes' mean expression, real against synthetic.

    Parameters
    ----------
    real, synthetic : array-like of shape (n_cells, n_genes)
        log1p expression; the numbers of cells may differ.

    Returns
    -------
    float
        1 if the means rank the genes alike. High for nearly any generator: compare it with its real
        reference.

    Raises
    ------
    ValueError
        If the matrices differ in genes or hold NaN or infinity, or if all genes of one of them
        have the same mean, so that the correlation is undefined.

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
    """Pearson correlation of genes' mean expression, real against synthetic.

    Parameters
    ----------
    real, synthetic : array-like of shape (n_cells, n_genes)
        log1p expression; the numbers of cells may differ.

    Returns
    -------
    float
        1 if the synthetic means are an increasing linear function of the real ones.

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
    """Mean absolute difference between real and synthetic gene-gene correlations.

    Parameters
    ----------
    real, synthetic : array-like of shape (n_cells, n_genes)
        log1p expression.
    n_genes : int, default=200
        Correlations are those between the genes with the largest variances in `real`.

    Returns
    -------
    float
        Mean over all pairs of those genes: 0 if every pair is equally correlated. A gene that is
        constant in a set counts as uncorrelated there. For cells of one distribution it falls as
        1 / sqrt(n_cells).

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
            f"a correlation between genes needs at least 2 of them, got a matrix of {a.shape[1]} "
            f"and n_genes={n_genes}. Pass more genes."
        )
    variable = np.argsort(-a.var(axis=0, dtype=np.float64), kind="stable")[:n_genes]
    pairs = np.triu_indices(len(variable), k=1)
    difference = _correlations(a[:, variable]) - _correlations(b[:, variable])
    return float(np.abs(difference[pairs]).mean())


def mean_variance(real: ArrayLike, synthetic: ArrayLike) -> Curve:
    """Variance of each gene against its mean expression.

    Parameters
    ----------
    real, synthetic : array-like of shape (n_cells, n_genes)
        log1p expression.

    Returns
    -------
    Curve
        Means and variances of the genes. `error` is the mean absolute difference between the genes'
        real and synthetic standard deviations, divided by the mean standard deviation in `real`.

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
            f"no gene of `real` varies over its {len(a)} cells, so the relative difference in "
            f"standard deviation is undefined. Pass more cells or other genes."
        )
    error = float(np.abs(np.sqrt(var_a) - np.sqrt(var_b)).mean() / spread)
    return Curve(_means(a), _means(b), var_a, var_b, error)


def zero_fraction(real: ArrayLike, synthetic: ArrayLike) -> Curve:
    """Fraction of zeros of each gene against its mean expression.

    Parameters
    ----------
    real, synthetic : array-like of shape (n_cells, n_genes)
        log1p expression or counts.

    Returns
    -------
    Curve
        Means and fractions of zeros of the genes. `error` is the fraction of zeros in `synthetic`
        minus that in `real`, over all genes: positive if synthetic cells are too sparse.

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
    """Mean absolute difference between genes' real and synthetic fractions of zeros.

    Parameters
    ----------
    real, synthetic : array-like of shape (n_cells, n_genes)
        log1p expression or counts.

    Returns
    -------
    float
        0 if each gene is zero in equally many cells. Unlike in the error of `zero_fraction`, genes
        with too many zeros do not cancel out others with too few.

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
