"""Rejection sampling by a classifier that is not the guide, with exact counts all the same."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROUNDS = 10
"""How often rejected cells are drawn again."""


def seeded(judge: Any, rng: np.random.Generator) -> Any:
    """Give a rejection classifier, and estimators inside it, seeds where they have none."""
    for name, value in sorted(judge.get_params(deep=True).items()):
        if value is None and (name == "random_state" or name.endswith("__random_state")):
            judge.set_params(**{name: int(rng.integers(2**31))})
    return judge


def draw_accepted(
    draw: Callable[[NDArray], NDArray],
    accepts: Callable[[NDArray, NDArray], NDArray[np.bool_]],
    labels: NDArray,
) -> tuple[NDArray, NDArray[np.bool_]]:
    """Draw cells until each is accepted, or has been drawn `ROUNDS` times.

    Parameters
    ----------
    draw : callable
        ``draw(positions)`` makes the cells (len(positions), n_genes) at these places of the result.
    accepts : callable
        ``accepts(cells, wanted)`` says which cells are what they should be.
    labels : ndarray of shape (n_cells,)
        Wanted class of each cell.

    Returns
    -------
    cells : ndarray of shape (n_cells, n_genes)
        The last draw of each.
    accepted : ndarray of bool, shape (n_cells,)
        Which of them were accepted.
    """
    everyone = np.arange(len(labels))
    cells = draw(everyone)
    accepted = accepts(cells, labels)
    for _ in range(ROUNDS - 1):
        again = everyone[~accepted]
        if len(again) == 0:
            break
        cells[again] = draw(again)
        accepted[again] = accepts(cells[again], labels[again])
    return cells, accepted


def warn_of_rejected(labels: NDArray, accepted: NDArray[np.bool_]) -> list[str]:
    """Say for which classes cells were still rejected; return the same as notes."""
    notes = [
        f"judge: {n} of {int(np.sum(labels == label))} cells of class '{label}' were still "
        f"rejected after {ROUNDS} draws each, and kept so that counts are exact"
        for label, n in Counter(labels[~accepted].tolist()).items()
    ]
    for note in notes:
        warnings.warn(
            f"{note}. The class may be too close to others for this judge; use judge=None, or more "
            f"real cells.",
            UserWarning,
            stacklevel=2,
        )
    return notes
