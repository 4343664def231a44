"""The depth of cells."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from .inputs import checked_pair


def library_size_distance(real: ArrayLike, synthetic: ArrayLike) -> float:
    """Wasserstein distance between the cells' library sizes, on the log scale.

    Parameters
    ----------
    real, synthetic : array-like of shape (n_cells, n_genes)
        Counts, not log1p values: after normalisation the library size is gone. See
        `scdiff_augment.expression.kinds.take_apart` for a way back.

    Returns
    -------
    float
        Mean distance that log(1 + total) has to move to turn one distribution into the other;
        0.1 means about 10 % of depth.

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
                f"library sizes need counts, but `{name}` holds {values.min():g}. Pass the counts."
            )
    totals = [np.log1p(values.sum(axis=1, dtype=np.float64)) for values in (a, b)]
    return float(stats.wasserstein_distance(*totals))
