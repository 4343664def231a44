"""The batch, or donor, that new cells are made for: which one it is, and how many cells it needs.

Classes are counted within it. One that it lacks counts as a class of no cells, which
imbalanced-learn's strategies do not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from imblearn.utils import check_sampling_strategy
from numpy.typing import NDArray

from scdiff_augment.expression.nearest_names import listed, suggestion

from .requested_classes import require_requested_classes


class Target(NamedTuple):
    """Where new cells shall be from.

    Attributes
    ----------
    name : str
        "batch" or "donor".
    label : object
        Which one.
    inside : ndarray of bool, shape (n_cells,)
        The real cells that are from there.
    """

    name: str
    label: Any
    inside: NDArray[np.bool_]


def target_of(into: Any, annotations: Mapping[str, NDArray]) -> Target:
    """Find the batch or donor of this label.

    Parameters
    ----------
    into : object
        Its label.
    annotations : mapping of str to ndarray of shape (n_cells,)
        "batch" or "donor" of each cell.

    Raises
    ------
    ValueError
        If neither or both are given, there is no such label, or no other.
    """
    if len(annotations) != 1:
        given = " and ".join(f"{name}=" for name in annotations) or "neither"
        raise ValueError(
            f"into={into!r} names one batch or donor to make cells for, so fit_resample needs "
            f"either batch= or donor=, got {given}. Pass the one that {into!r} is a label of; in a "
            f"pipeline, route it: set_fit_resample_request(batch=True)."
        )
    ((name, values),) = annotations.items()
    labels = np.unique(values).tolist()
    if into not in labels:
        hint = suggestion(str(into), labels)
        raise ValueError(f"no cell has {name} '{into}'.{hint} It has: {listed(labels)}.")
    if len(labels) == 1:
        raise ValueError(
            f"all {len(values)} cells are of {name} '{into}', so there is nothing to borrow from. "
            f"Add cells of another {name}, or leave into out."
        )
    return Target(name, into, values == into)


def cells_wanted(strategy: Any, y: NDArray, target: Target) -> dict[Any, int]:
    """Find how many cells of each class a sampling strategy adds in a batch.

    Parameters
    ----------
    strategy : float, str, dict or callable
        As in imbalanced-learn; the final numbers of a dict, or of what a callable returns, are
        those within the batch. A callable gets the labels there, and one of each class that is
        lacking.
    y : ndarray of shape (n_cells,)
        Class of every real cell.
    target : Target
    """
    lacking = np.setdiff1d(y, y[target.inside])
    # A cell stands in for each class that is lacking. It is added again below.
    there = np.concatenate([lacking, y[target.inside]])
    if callable(strategy):
        strategy = strategy(there)
    if isinstance(strategy, Mapping):
        unwanted = {label for label in lacking.tolist() if strategy.get(label) == 0}
        strategy = {label: n for label, n in strategy.items() if label not in unwanted}
    require_requested_classes(strategy, there)
    counted = check_sampling_strategy(strategy, there, "over-sampling")
    absent = set(lacking.tolist())
    return {label: int(n) + (label in absent) for label, n in counted.items()}


def require_change(y: NDArray, values: NDArray, target: Target, wanted: Mapping[Any, int]) -> None:
    """Refuse a class that the batch lacks and whose change into it no other class shows.

    Raises
    ------
    ValueError
        If there is one among those that are to be made.
    """
    for label in [label for label, n in wanted.items() if n]:
        here = y == label
        if (here & target.inside).any():
            continue
        origin = np.unique(values[here])
        shared = np.intersect1d(y[target.inside], y[np.isin(values, origin)])
        if shared.size == 0:
            elsewhere = listed(map(repr, origin.tolist()))
            raise ValueError(
                f"class '{label}' was seen in {target.name} {elsewhere} only, and no "
                f"class was seen both there and in {target.name} '{target.label}', so how its "
                f"cells differ there is unknown. Leave '{label}' out of sampling_strategy, or add "
                f"cells of a class that both have."
            )
