"""Splits: which cells train and which cells test, and which types count as rare."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scdiff_bench.messages import choose, nearest
from sklearn.model_selection import (
    GroupKFold,
    LeaveOneGroupOut,
    RepeatedStratifiedKFold,
    train_test_split,
)

Indices = NDArray[np.int64]
Labels = NDArray[np.str_]
Groups = Mapping[str, Labels]
NOBODY: Indices = np.empty(0, dtype=np.int64)
NATURAL = "natural proportions"


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
        Repeat of the split; folds of one repeat share their random numbers.
    train, test : ndarray of int
        Positions of the cells, ascending.
    rare : tuple of str
        The types that the score ``rare_f1`` is taken over.
    n : int or None
        Training cells left of each rare type, where the split sets it.
    reserve : ndarray of int
        Cells that are in neither set: what the cut took away. Only the oracle sees them.
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


def repeated_stratified_cv(
    y: Labels,
    groups: Groups,
    seed: int,
    *,
    n_splits: int = 5,
    n_repeats: int = 1,
    max_train: int | None = None,
) -> Iterator[Fold]:
    """Repeated stratified cross-validation.

    Parameters
    ----------
    y : ndarray of str
        Labels.
    groups : mapping of str to ndarray of str
        Not used.
    seed : int
        Seed of the study.
    n_splits, n_repeats : int
        Folds, and how often the cells are split at random.
    max_train : int or None
        Training cells of a fold, at most: the small types keep all of theirs, the others are
        thinned in their own proportions. Test cells stay as they are. None keeps all.

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
            f"Type {str(types[least])!r} has {count_cells(counts[least])}; "
            f"n_splits={n_splits} needs at least {n_splits} of each type. "
            f"{way_out}, or leave the type out of the data."
        )
    rare = small_types(y)
    folds = RepeatedStratifiedKFold(n_splits=n_splits, n_repeats=n_repeats, random_state=seed)
    for index, (train, test) in enumerate(folds.split(np.zeros(len(y)), y)):
        repeat, part = divmod(index, n_splits)
        train = thin(train, y, rare, max_train, np.random.default_rng([seed, index]))
        yield Fold(f"repeat {repeat} fold {part}", index, repeat, train, test, rare, None)


def rare_cell_draw(
    y: Labels,
    groups: Groups,
    seed: int,
    *,
    rare: list[Any],
    n: list[int],
    n_other: int | None = 2500,
    draws: int = 3,
    natural: bool = False,
) -> Iterator[Fold]:
    """Subsample the rare types to ``n`` training cells; the test half keeps its proportions.

    Every repeat splits the cells into a stratified training half and test half. In the
    training half each rare type keeps ``n`` cells and the other types together ``n_other``, in
    their own proportions. Within a repeat the cells are nested: those of a smaller ``n`` are among
    those of a larger one, and the other types' cells are the same.

    Parameters
    ----------
    y : ndarray of str
        Labels.
    groups : mapping of str to ndarray of str
        Not used.
    seed : int
        Seed of the study.
    rare : list of str, or list of such lists
        Types to subsample; of several sets, one at a time.
    n : list of int
        Training cells to leave of each.
    n_other : int or None
        Training cells of all other types together; None keeps them all.
    draws : int
        How many repeats.
    natural : bool
        Whether each repeat also trains on the whole training half, as it is; its small types
        then count as rare.

    Yields
    ------
    Fold
        ``draws * len(n)`` of them for each set of rare types, and ``draws`` with `natural`.

    Raises
    ------
    ValueError
        If a rare type is unknown or too small, or there are fewer other cells than asked.
    """
    types, counts = np.unique(y, return_counts=True)
    sets = rare_sets(rare, types)
    once("n", n)
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
        shuffled, test = rng.permutation(pool), np.sort(test)
        for names in sets:
            for size, train, reserve in cut(shuffled, y, names, n, n_other):
                label = f"{title_of(names, sets)} n {size} draw {draw}".strip()
                yield Fold(
                    label, index, draw, train, test, names, size, reserve, title_of(names, sets)
                )
                index += 1
        if natural:
            label = f"{NATURAL} draw {draw}"
            rare_ones = small_types(y)
            yield Fold(label, index, draw, np.sort(pool), test, rare_ones, None, NOBODY, NATURAL)
            index += 1


def donor_held_out(
    y: Labels,
    groups: Groups,
    seed: int,
    *,
    key: str = "donor",
    n_splits: int | None = None,
    rare: list[Any] | None = None,
    n: list[int] | None = None,
    n_other: int | None = None,
    max_train: int | None = None,
) -> Iterator[Fold]:
    """Test on held-out donors; where asked, subsample the rare types of the others.

    Parameters
    ----------
    y : ndarray of str
        Labels.
    groups : mapping of str to ndarray of str
        Columns that tell donors apart.
    seed : int
        Seed of the study.
    key : str
        Which of these columns.
    n_splits : int or None
        Groups of donors that are held out in turn; None holds out one donor at a time.
    rare : list of str, or list of such lists, or None
        Types to subsample and to score as rare; None scores the small types as they are.
    n : list of int or None
        Training cells to leave of each rare type; None leaves them all.
    n_other : int or None
        Training cells of all other types together, where ``n`` is set; None keeps them all.
    max_train : int or None
        As in `repeated_stratified_cv`, where ``n`` is not set.

    Yields
    ------
    Fold
        One for each group of donors, set of rare types and n.

    Raises
    ------
    ValueError
        If there is no such column, there are too few donors, a donor has one type, or a type is
        one donor's alone.
    """
    donors = _donors(y, groups, key, n_splits)
    types = np.unique(y)
    sets = rare_sets(rare, types) if rare else [small_types(y)]
    if n and not rare:
        raise ValueError(
            f"split: n={n} needs the types to subsample. Name them under the key 'rare'."
        )
    once("n", n or [])
    if n_splits is None:
        pairs = LeaveOneGroupOut().split(y, y, donors)
    else:
        pairs = GroupKFold(n_splits, shuffle=True, random_state=seed).split(y, y, donors)
    index = 0
    for turn, (pool, test) in enumerate(pairs):
        held = ", ".join(np.unique(donors[test]))
        if lost := sorted(set(y[test]) - set(y[pool])):
            raise ValueError(
                f"Type {str(lost[0])!r} occurs only in {key} {held}; with that held out no cell "
                f"of it "
                "is left for training. Leave the type out of the data, or use another split."
            )
        shuffled = np.random.default_rng([seed, turn]).permutation(pool)
        for names in sets:
            title = title_of(names, sets)
            if n is None:
                kept = thin(pool, y, names, max_train, np.random.default_rng([seed, turn]))
                yield Fold(f"{key} {held}", index, turn, kept, test, names, None, NOBODY, title)
                index += 1
                continue
            for size, train, reserve in cut(shuffled, y, names, n, n_other):
                label = f"{title} n {size} {key} {held}".strip()
                yield Fold(label, index, turn, train, test, names, size, reserve, title)
                index += 1


def _donors(y: Labels, groups: Groups, key: str, n_splits: int | None) -> Labels:
    """Return the donor of each cell, checked."""
    if key not in groups:
        raise ValueError(
            f"There is no column {key!r} to hold donors out by. {nearest(key, groups)}"
        )
    donors = groups[key]
    names = np.unique(donors)
    if len(names) < max(2, n_splits or 2):
        raise ValueError(
            f"Column {key!r} has {len(names)} donors; this split needs at least "
            f"{max(2, n_splits or 2)}. Use repeated_stratified_cv, or fewer n_splits."
        )
    for name in names:
        if len(only := np.unique(y[donors == name])) == 1:
            raise ValueError(
                f"{key.capitalize()} {str(name)!r} has cells of one type only ({only[0]}), so it "
                f"cannot be a test set. Leave it out of the data, or merge it with another {key}."
            )
    return donors


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
    """Return a name for a set of rare types; empty where there is no other."""
    return " + ".join(names) if len(sets) > 1 else ""


def once(key: str, values: Sequence[Any]) -> None:
    """Raise an error if a list names something twice."""
    twice = [v for i, v in enumerate(values) if v in values[:i]]
    if twice:
        raise ValueError(f"split.{key} lists {twice[0]!r} twice. List each value once.")


def cut(
    shuffled: Indices, y: Labels, rare: tuple[str, ...], n: Sequence[int], n_other: int | None
) -> Iterator[tuple[int, Indices, Indices]]:
    """Subsample the rare types to n cells each.

    Parameters
    ----------
    shuffled : ndarray of int
        Cells outside the test set; their order decides which stay.
    y : ndarray of str
        Labels of all cells.
    rare : tuple of str
        Types to subsample.
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


def thin(
    train: Indices, y: Labels, rare: Sequence[str], most: int | None, rng: np.random.Generator
) -> Indices:
    """Return at most so many training cells, all of those of rare types among them.

    Parameters
    ----------
    train : ndarray of int
        Positions of the cells.
    y : ndarray of str
        Labels of all cells.
    rare : sequence of str
        Types that keep all of their cells.
    most : int or None
        How many cells; None keeps all.
    rng : Generator
        Draws those that stay.

    Returns
    -------
    ndarray of int
        Ascending.

    Raises
    ------
    ValueError
        If the rare types alone have more cells.
    """
    if most is None or len(train) <= most:
        return train
    is_rare = np.isin(y[train], rare)
    if is_rare.sum() >= most:
        raise ValueError(
            f"max_train={most}, but the types that count as rare ({', '.join(rare)}) have "
            f"{count_cells(int(is_rare.sum()))} in a training set. Use a larger max_train."
        )
    others = _proportional(rng.permutation(train[~is_rare]), y, most - int(is_rare.sum()))
    return np.sort(np.concatenate([train[is_rare], others]))


def count_cells(count: int) -> str:
    """Return a number of cells in words."""
    return f"{count} cell" if count == 1 else f"{count} cells"


SPLITS: dict[str, Callable[..., Iterator[Fold]]] = {
    "repeated_stratified_cv": repeated_stratified_cv,
    "rare_cell_draw": rare_cell_draw,
    "donor_held_out": donor_held_out,
}


def make_folds(
    y: Labels, seed: int, kind: str, params: dict[str, Any], groups: Groups | None = None
) -> list[Fold]:
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
    groups : mapping of str to ndarray of str, optional
        Donor, sample, batch and condition of each cell.

    Returns
    -------
    list of Fold
        In the order in which the split yields them.
    """
    return list(SPLITS[choose("split", kind, SPLITS)](y, groups or {}, seed, **params))
