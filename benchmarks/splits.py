"""Splits: which cells train and which cells test, and which types count as rare."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import RepeatedStratifiedKFold, train_test_split

from benchmarks.messages import choose

Indices = NDArray[np.int64]


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
    """

    name: str
    index: int
    repeat: int
    train: Indices
    test: Indices
    rare: tuple[str, ...]
    n: int | None


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


def repeated_stratified_cv(
    y: NDArray[np.str_], seed: int, *, n_splits: int = 5, n_repeats: int = 1
) -> Iterator[Fold]:
    """Repeated stratified cross-validation.

    Parameters
    ----------
    y : ndarray of str
        Labels.
    seed : int
        Seed of the study.
    n_splits, n_repeats : int
        Folds, and how often the division is drawn anew.

    Yields
    ------
    Fold
        ``n_splits * n_repeats`` of them.

    Raises
    ------
    ValueError
        If a type has fewer cells than there are folds.
    """
    types, counts = np.unique(y, return_counts=True)
    least = int(np.argmin(counts))
    if counts[least] < n_splits:
        way_out = (
            f"Use n_splits={counts[least]} or fewer"
            if counts[least] >= 2
            else "Merge it into another type"
        )
        raise ValueError(
            f"Type {str(types[least])!r} has {_cells(counts[least])}; "
            f"n_splits={n_splits} needs at least {n_splits} of each type. "
            f"{way_out}, or leave the type out of the data."
        )
    rare = small_types(y)
    folds = RepeatedStratifiedKFold(n_splits=n_splits, n_repeats=n_repeats, random_state=seed)
    for index, (train, test) in enumerate(folds.split(np.zeros(len(y)), y)):
        repeat, part = divmod(index, n_splits)
        yield Fold(f"repeat {repeat} fold {part}", index, repeat, train, test, rare, None)


def rare_cell_draw(
    y: NDArray[np.str_],
    seed: int,
    *,
    rare: list[str],
    n: list[int],
    n_other: int | None = 2500,
    draws: int = 3,
) -> Iterator[Fold]:
    """Cut the rare types to ``n`` training cells; the test half stays as it is.

    Every draw divides the cells anew into a stratified training half and test half. In the
    training half each rare type keeps ``n`` cells and the other types together ``n_other``, in
    their own proportions. Within a draw the cells are nested: those of a smaller ``n`` are among
    those of a larger one, and the other types' cells are the same.

    Parameters
    ----------
    y : ndarray of str
        Labels.
    seed : int
        Seed of the study.
    rare : list of str
        Types to cut.
    n : list of int
        Training cells to leave of each.
    n_other : int or None
        Training cells of all other types together; None keeps them all.
    draws : int
        How many draws.

    Yields
    ------
    Fold
        ``draws * len(n)`` of them.

    Raises
    ------
    ValueError
        If a rare type is unknown or too small, or there are fewer other cells than asked.
    """
    types, counts = np.unique(y, return_counts=True)
    for key, values in {"rare": rare, "n": n}.items():
        twice = [v for i, v in enumerate(values) if v in values[:i]]
        if twice:
            raise ValueError(f"split.{key} names {twice[0]!r} twice; name each once.")
    for name in rare:
        choose("rare type", name, [str(t) for t in types])
    if counts.min() < 2:
        raise ValueError(
            f"Type {str(types[np.argmin(counts)])!r} has 1 cell; a rare-cell draw needs at least "
            "2 of each type, one for either half. Leave the type out of the data."
        )
    index = 0
    for draw in range(draws):
        rng = np.random.default_rng([seed, draw])
        pool, test = train_test_split(
            np.arange(len(y)), test_size=0.5, stratify=y, random_state=int(rng.integers(2**31))
        )
        shuffled = rng.permutation(pool)
        is_rare = np.isin(y[shuffled], rare)
        others = _proportional(shuffled[~is_rare], y, n_other)
        for size in sorted(n):
            parts = [others]
            for name in rare:
                cells = shuffled[y[shuffled] == name]
                if len(cells) < size:
                    raise ValueError(
                        f"Type {name!r} has {_cells(len(cells))} in the training half; n={size} "
                        f"needs at least {size}. Use n={len(cells)} or fewer."
                    )
                parts.append(cells[:size])
            train = np.sort(np.concatenate(parts))
            name = f"n {size} draw {draw}"
            yield Fold(name, index, draw, train, np.sort(test), tuple(rare), size)
            index += 1


def _proportional(cells: Indices, y: NDArray[np.str_], total: int | None) -> Indices:
    """Take ``total`` of the shuffled cells, by largest remainders of each type's share."""
    if total is None:
        return cells
    if total > len(cells):
        raise ValueError(
            f"n_other={total}, but the training half has {_cells(len(cells))} of the other types. "
            f"Use n_other={len(cells)} or fewer, or null for all of them."
        )
    types, counts = np.unique(y[cells], return_counts=True)
    share = counts * total / counts.sum()
    quota = np.floor(share).astype(int)
    quota[np.argsort(quota - share, kind="stable")[: total - quota.sum()]] += 1
    return np.concatenate([cells[y[cells] == t][:q] for t, q in zip(types, quota, strict=True)])


def _cells(count: int) -> str:
    return f"{count} cell" if count == 1 else f"{count} cells"


SPLITS: dict[str, Callable[..., Iterator[Fold]]] = {
    "repeated_stratified_cv": repeated_stratified_cv,
    "rare_cell_draw": rare_cell_draw,
}


def make_folds(y: NDArray[np.str_], seed: int, kind: str, params: dict[str, Any]) -> list[Fold]:
    """Return the folds of a split by name.

    Parameters
    ----------
    y : ndarray of str
        Labels.
    seed : int
        Seed of the study.
    kind : str
        A name in ``SPLITS``.
    params : dict
        Keywords of that split.

    Returns
    -------
    list of Fold
        In the order in which the split yields them.
    """
    return list(SPLITS[choose("split", kind, SPLITS)](y, seed, **params))
