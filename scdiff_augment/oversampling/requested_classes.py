"""The classes and numbers of a `sampling_strategy` that is a dict, checked against the labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scdiff_augment.expression.nearest_names import listed, suggestion


def require_requested_classes(strategy: Any, y: NDArray, *, numbers: bool = True) -> None:
    """Refuse classes that no cell has and numbers below the real ones, naming them.

    imbalanced-learn refuses them as well; its messages, which these begin with, name neither the
    class whose number is too small nor the classes that there are.

    Parameters
    ----------
    strategy : object
        A `sampling_strategy`; all but a dict is left to imbalanced-learn.
    y : ndarray of shape (n_cells,)
        Class of every cell.
    numbers : bool, default=True
        Whether to check numbers too.

    Raises
    ------
    ValueError
        If there is such a class or number.
    """
    if not isinstance(strategy, Mapping):
        return
    labels, counts = np.unique(y, return_counts=True)
    there = dict(zip(labels.tolist(), counts.tolist(), strict=True))
    unknown = [label for label in strategy if label not in there]
    if unknown:
        raise ValueError(
            f"The {set(unknown)} target class is/are not present in the data."
            f"{suggestion(str(unknown[0]), there)} There are: {listed(there)}."
        )
    for label, n in strategy.items() if numbers else ():
        if 0 <= n < there[label]:
            raise ValueError(
                f"With over-sampling methods, the number of samples in a class should be greater "
                f"or equal to the original number of samples. Class '{label}' has {there[label]} "
                f"cells and {n} are asked for; a dict gives final numbers, real and new cells "
                f"together. Ask for at least {there[label]}, or leave the class out."
            )
