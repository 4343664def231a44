"""What a fold is, and how rare types are cut to a few cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scdiff_bench.config.messages import choose

Indices = NDArray[np.int64]
Labels = NDArray[np.str_]
Groups = Mapping[str, Labels]
NOBODY: Indices = np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class Fold:
    """One division of a data set into training and test cells.

    Attributes
    ----------
    name : str
        Unique within the split.
    index : int
        Position within the split, from 0.
    repeat : int
        Repeat or draw; folds of one repeat share their random numbers.
    train, test : ndarray of int
        Positions of the cells, ascending.
    rare : tuple of str
        The types that the score ``rare_f1`` is taken over.
    n : int or None
        Training cells left of each rare type, where the split sets it.
    reserve : ndarray of int
        Cells that neither train nor test: what the cut took away. Only the oracle sees them.
    rare_set : str
        Name of the set of rare types, where the split has several; else empty.
    """

    name: str
    index: int
    repeat: int
    train: Indices
    test: Indices
    rare: tuple[str, ...]
    n: int | None
    reserve: Indices = field(default_factory=lambda: NOBODY)
    rare_set: str = ""


def small_types(y: NDArray[np.str_]) -> tuple[str, ...]:
    """Return the types with fewer cells than half of the mean type.

    Parameters
    ----------
    y : ndarray of str
        Labels.

    Returns
    -------
    tuple of str
        Rarest first; the rarest type alone where none is that small.
    """
    types, counts = np.unique(y, return_counts=True)
    order = np.argsort(counts, kind="stable")
    small = [str(types[i]) for i in order if counts[i] < counts.mean() / 2]
    return tuple(small or [str(types[order[0]])])


def rare_sets(rare: Sequence[Any], types: Labels) -> list[tuple[str, ...]]:
    """Return the sets of rare types, whether one or several were given.

    Parameters
    ----------
    rare : list of str, or list of such lists
        As a config gives them.
    types : ndarray of str
        Types of the data set.

    Returns
    -------
    list of tuple of str
        One tuple per set.
    """
    sets = [tuple(r) for r in rare] if isinstance(rare[0], list | tuple) else [tuple(rare)]
    for names in sets:
        once("rare", names)
        for name in names:
            choose("rare type", name, [str(t) for t in types])
    once("rare", sets)
    return sets


def title_of(names: tuple[str, ...], sets: list[tuple[str, ...]]) -> str:
    """Return a name for a set of rare types; empty where there is no other.

    Parameters
    ----------
    names : tuple of str
        The set.
    sets : list of tuple of str
        All sets.

    Returns
    -------
    str
        Types joined by ``+``.
    """
    return " + ".join(names) if len(sets) > 1 else ""


def once(key: str, values: Sequence[Any]) -> None:
    """Raise an error if a list names something twice.

    Parameters
    ----------
    key : str
        Key of the split.
    values : sequence
        Its values.
    """
    twice = [v for i, v in enumerate(values) if v in values[:i]]
    if twice:
        raise ValueError(f"split.{key} names {twice[0]!r} twice; name each once.")


def cut(
    shuffled: Indices, y: Labels, rare: tuple[str, ...], n: Sequence[int], n_other: int | None
) -> Iterator[tuple[int, Indices, Indices]]:
    """Cut the rare types to n cells each.

    Parameters
    ----------
    shuffled : ndarray of int
        Cells of the training part; their order decides which stay.
    y : ndarray of str
        Labels of all cells.
    rare : tuple of str
        Types to cut.
    n : sequence of int
        Cells to leave of each.
    n_other : int or None
        Cells of all other types together.

    Yields
    ------
    tuple
        n, the training cells, and what the cut took away; nested over n.
    """
    is_rare = np.isin(y[shuffled], rare)
    others = _proportional(shuffled[~is_rare], y, n_other)
    for size in sorted(n):
        parts = [others]
        for name in rare:
            cells = shuffled[y[shuffled] == name]
            if len(cells) < size:
                raise ValueError(
                    f"Type {name!r} has {count_cells(len(cells))} in the training half; n={size} "
                    f"needs at least {size}. Use n={len(cells)} or fewer."
                )
            parts.append(cells[:size])
        train = np.sort(np.concatenate(parts))
        yield size, train, np.setdiff1d(shuffled, train)


def _proportional(cells: Indices, y: NDArray[np.str_], total: int | None) -> Indices:
    """Take ``total`` of the shuffled cells, by largest remainders of each type's share."""
    if total is None:
        return cells
    if total > len(cells):
        raise ValueError(
            f"n_other={total}, but the training half has {count_cells(len(cells))} of the other "
            f"types. Use n_other={len(cells)} or fewer, or null for all of them."
        )
    types, counts = np.unique(y[cells], return_counts=True)
    share = counts * total / counts.sum()
    quota = np.floor(share).astype(int)
    quota[np.argsort(quota - share, kind="stable")[: total - quota.sum()]] += 1
    return np.concatenate([cells[y[cells] == t][:q] for t, q in zip(types, quota, strict=True)])


def count_cells(count: int) -> str:
    """Return a number of cells in words.

    Parameters
    ----------
    count : int
        How many.

    Returns
    -------
    str
        ``"1 cell"`` or ``"2 cells"``.
    """
    return f"{count} cell" if count == 1 else f"{count} cells"
