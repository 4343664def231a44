"""Library sizes, i.e. the sequencing depth of cells."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from .checks import checked_pair


def library_size_distance(real: ArrayLike, synthetic: ArrayLike) -> float:
    """Wasserstein distance between the distributions of log library sizes.

    Parameters
    ----------
    real, synthetic : array-like of shape (n_cells, n_genes)
        Counts, not log1p values: normalisation removes the library size.
        `scdiff_augment.expression.kinds.denormalise` recovers counts where that is possible.

    Returns
    -------
    float
        1-Wasserstein distance of log(1 + total counts), in natural log units: 0 for identical
        distributions; 0.1 means that depths differ by about 10 %.

    Raises
    ------
    ValueError
        If the matrices differ in genes, hold NaN or infinity, or any value is negative.

    Examples
    --------
    >>> import numpy as np
    >>> from scdiff_augment.metrics import library_size_distance
    >>> counts = np.array([[99, 0], [40, 59]])
    >>> round(library_size_distance(counts, 10 * counts), 3)
    2.294
    """
    a, b = checked_pair(real, synthetic)
    for name, values in {"real": a, "synthetic": b}.items():
        if values.min() < 0:
            raise ValueError(
                f"library sizes need counts, but `{name}` holds {values.min():g}. Pass raw counts."
            )
    totals = [np.log1p(values.sum(axis=1, dtype=np.float64)) for values in (a, b)]
    return float(stats.wasserstein_distance(*totals))
