"""How the study of fidelity divides cells; all variants of a repeat share the parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.intp]

N_RARE_TYPES = 3
"""Types that are cut to a few training cells."""

MIN_HELD_OUT = 20
"""Held-out cells in each of the two parts of a type that is cut."""


@dataclass(frozen=True)
class Parts:
    """Rows of a data set by what they are for; no cell has two uses.

    Attributes
    ----------
    train : ndarray of int
        What the generator learns from.
    real, null : ndarray of int
        What its cells are compared with, and as many real cells in their place.
    spare : ndarray of int
        All others, in no order.
    """

    train: Index
    real: Index
    null: Index
    spare: Index

    @property
    def others(self) -> Index:
        """Real cells that neither the generator has seen nor its cells are compared with."""
        return np.concatenate([self.null, self.spare])


def part(n_cells: int, n_train: int, n_score: int, seed: int) -> Parts:
    """Part cells at random.

    Parameters
    ----------
    n_cells : int
        Cells of the data set.
    n_train, n_score : int
        Cells to learn from, at most half of all, and to compare with, at most half of the rest.
    seed : int
        Of the draw.

    Returns
    -------
    Parts
        Rows of the data set.
    """
    n_train = min(n_train, n_cells // 2)
    n = min(n_score, (n_cells - n_train) // 2)
    order = np.random.default_rng([seed, n_cells]).permutation(n_cells)
    return Parts(*np.split(order, [n_train, n_train + n, n_train + 2 * n]))


def matched(y: NDArray[np.str_], parts: Parts) -> tuple[Index, Index]:
    """Choose real cells and others that have the same labels, cell by cell.

    Parameters
    ----------
    y : ndarray of str
        Labels of all cells.
    parts : Parts
        Their uses.

    Returns
    -------
    tuple of ndarray of int
        Rows of ``parts.real`` and of ``parts.others``, as many of each type, of types among the
        training cells.
    """
    found: list[tuple[Index, Index]] = []
    for label in np.unique(y[parts.train]):
        sides = [rows[y[rows] == label] for rows in (parts.real, parts.others)]
        n = min(map(len, sides))
        found.append((sides[0][:n], sides[1][:n]))
    real, others = (np.concatenate(side) for side in zip(*found, strict=True))
    mixed = np.random.default_rng(len(real)).permutation(len(real))
    return real[mixed], others[mixed]


def rare_types(y: NDArray[np.str_], n: int) -> list[str]:
    """Name the types to cut: the smallest ones that leave enough cells to compare with.

    Parameters
    ----------
    y : ndarray of str
        Labels of all cells.
    n : int
        Training cells that each is cut to.

    Returns
    -------
    list of str
        Up to three, but never all types.
    """
    labels, counts = np.unique(y, return_counts=True)
    order = np.argsort(counts, kind="stable")
    allowed = [str(labels[i]) for i in order if counts[i] >= n + 2 * MIN_HELD_OUT]
    return allowed[: min(N_RARE_TYPES, len(labels) - 1)]


def cut(y: NDArray[np.str_], parts: Parts, n: int, n_score: int) -> Parts:
    """Cut rare types to n training cells each, and halve what is left of them.

    Parameters
    ----------
    y : ndarray of str
        Labels of all cells.
    parts : Parts
        Their uses without a cut.
    n : int
        Training cells of each rare type.
    n_score : int
        At most this many held-out cells of a type in each half.

    Returns
    -------
    Parts
        ``train`` has all other training cells and n of each rare type; ``real`` and ``null``
        have cells of the rare types alone, as many of each.
    """
    types = rare_types(y, n)
    everything = np.concatenate([parts.train, parts.real, parts.null, parts.spare])
    train, real, null = [parts.train[~np.isin(y[parts.train], types)]], [], []
    for label in types:
        rows = everything[y[everything] == label]
        half = min(n_score, (len(rows) - n) // 2)
        train.append(rows[:n])
        real.append(rows[n : n + half])
        null.append(rows[n + half : n + 2 * half])
    return Parts(*map(np.concatenate, (train, real, null)), spare=np.empty(0, dtype=np.intp))
