"""Differential expression: whether classes and conditions change the same genes by as much."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import r2_score

from .checks import checked_labels, checked_matrix, checked_pair, require_same_genes


def marker_lfc_agreement(
    real: ArrayLike,
    synthetic: ArrayLike,
    labels: ArrayLike,
    synthetic_labels: ArrayLike,
    *,
    n_markers: int = 50,
    min_cells: int = 5,
) -> pd.DataFrame:
    """Agreement of the log fold changes of each class's marker genes, real against synthetic.

    A log fold change is log2 of (1 + mean linear expression in the class) / (1 + mean linear
    expression in all other cells). The markers of a class are the genes with the largest absolute
    log fold changes in real cells.

    Parameters
    ----------
    real, synthetic : array-like of shape (n_cells, n_genes)
        log1p of depth-normalised expression.
    labels, synthetic_labels : array-like of shape (n_cells,)
        Class of each cell.
    n_markers : int, default=50
        Marker genes per class.
    min_cells : int, default=5
        Classes with fewer real or fewer synthetic cells get NaN.

    Returns
    -------
    DataFrame
        One row per class of `labels`. Columns: "correlation" (Pearson's, over the markers), "slope"
        (regression of synthetic on real log fold changes through the origin; above 1 if synthetic
        classes differ too much), "n_real" and "n_synthetic" (numbers of cells). Markers are chosen
        on `real`, so even held-out real cells have slopes somewhat below 1.

    Raises
    ------
    ValueError
        If the matrices differ in genes or hold NaN or infinity, a label is missing, there are
        fewer than 2 classes, or fewer than 2 markers.

    Examples
    --------
    >>> import numpy as np
    >>> from scdiff_augment.metrics import marker_lfc_agreement
    >>> X = np.log1p([[8.0, 0.0, 1.0]] * 5 + [[0.0, 3.0, 1.0]] * 5)
    >>> y = ["T"] * 5 + ["B"] * 5
    >>> marker_lfc_agreement(X, X, y, y).round(6)
       correlation  slope  n_real  n_synthetic
    B          1.0    1.0       5            5
    T          1.0    1.0       5            5
    """
    a, b = checked_pair(real, synthetic)
    y_a = checked_labels(labels, len(a), "labels")
    y_b = checked_labels(synthetic_labels, len(b), "synthetic_labels")
    classes = np.unique(y_a)
    if len(classes) < 2:
        raise ValueError(
            f"markers of a class are found by comparison with other classes, but `labels` has "
            f"only '{classes[0]}'. Pass cells of at least 2 classes."
        )
    if min(n_markers, a.shape[1]) < 2:
        raise ValueError(
            f"agreement needs at least 2 markers, got n_markers={n_markers} of {a.shape[1]} genes. "
            f"Raise `n_markers` or pass more genes."
        )
    rows = {}
    for label in classes:
        n_real, n_synthetic = int(np.sum(y_a == label)), int(np.sum(y_b == label))
        agreement = (np.nan, np.nan)
        if min(n_real, n_synthetic) >= min_cells and n_synthetic < len(b):
            change_a, change_b = _fold_change(a, y_a == label), _fold_change(b, y_b == label)
            markers = np.argsort(-np.abs(change_a), kind="stable")[:n_markers]
            agreement = _line(change_a[markers], change_b[markers])
        rows[label] = (*agreement, n_real, n_synthetic)
    columns = ["correlation", "slope", "n_real", "n_synthetic"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def r2_top_genes(
    real: ArrayLike, synthetic: ArrayLike, control: ArrayLike, *, n_genes: int = 50
) -> float:
    """R² of predicted mean expression over the genes that respond most to a condition.

    Parameters
    ----------
    real : array-like of shape (n_real, n_genes_total)
        log1p expression of real cells under the condition.
    synthetic : array-like of shape (n_synthetic, n_genes_total)
        log1p expression of the cells predicted for that condition.
    control : array-like of shape (n_control, n_genes_total)
        log1p expression of real cells without the condition. The genes used are those with the
        largest absolute difference in mean between `real` and `control`.
    n_genes : int, default=50
        Number of genes used.

    Returns
    -------
    float
        Coefficient of determination of the means over those genes: 1 if all agree, 0 for a
        prediction as good as one and the same mean for every gene, negative if worse.

    Raises
    ------
    ValueError
        If the matrices differ in genes or hold NaN or infinity, or there are fewer than 2 genes.

    Examples
    --------
    >>> import numpy as np
    >>> from scdiff_augment.metrics import r2_top_genes
    >>> stimulated, control = np.array([[1.0, 2.0, 3.0]]), np.zeros((1, 3))
    >>> r2_top_genes(stimulated, stimulated, control)
    1.0
    >>> r2_top_genes(stimulated, np.array([[2.0, 2.0, 2.0]]), control)
    0.0
    """
    a, b = checked_pair(real, synthetic, min_cells=1)
    c = checked_matrix(control, "control", min_cells=1)
    require_same_genes({"real": real, "control": control})
    if min(n_genes, a.shape[1]) < 2:
        raise ValueError(
            f"R² over genes needs at least 2 of them, got n_genes={n_genes} of {a.shape[1]}. Pass "
            f"more genes."
        )
    means = [X.mean(axis=0, dtype=np.float64) for X in (a, b, c)]
    response = np.abs(means[0] - means[2])
    top = np.argsort(-response, kind="stable")[:n_genes]
    return float(r2_score(means[0][top], means[1][top]))


def _fold_change(X: NDArray, inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    means = [np.expm1(X[part]).mean(axis=0, dtype=np.float64) for part in (inside, ~inside)]
    return np.log2((1 + means[0]) / (1 + means[1]))


def _line(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    slope = float(x @ y / (x @ x)) if x.any() else np.nan
    varies = np.ptp(x) > 0 and np.ptp(y) > 0
    return float(np.corrcoef(x, y)[0, 1]) if varies else np.nan, slope
