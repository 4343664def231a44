"""Guards against test cells that reach the training set."""

from __future__ import annotations

from typing import Any

import numpy as np
from scdiff_bench.data.datasets import Dataset
from scdiff_bench.evaluation.splits import Fold

TOLERATED = 0.01
"""Fraction of test cells that may have a copy by chance, as shallow cells of few genes do."""


def require_unseen(generator: Any, data: Dataset, fold: Fold) -> None:
    """Raise an error if a pretrained generator has seen a test cell.

    Cells are told by a hash of their counts, so that only a generator trained on the same genes
    can be caught.

    Parameters
    ----------
    generator : LatentDiffusion
        Fitted elsewhere, with ``training_hashes_``.
    data : Dataset
        The cells.
    fold : Fold
        How they are divided.

    Raises
    ------
    ValueError
        It says how many.
    """
    from scdiff_augment.expression.hashes import cell_hashes, overlap
    from scdiff_augment.expression.kinds import denormalise

    names = None if generator.genes_ is None else data.genes
    hashes = cell_hashes(denormalise(data.X[fold.test]), names)
    if n := overlap(hashes, generator.training_hashes_):
        raise ValueError(
            f"The pretrained generator has seen {n} of the {len(fold.test)} test cells of fold "
            f"{fold.name!r}. Train it on other cells, or leave the strategy out."
        )


def require_apart(data: Dataset, fold: Fold, group_key: str | None = None) -> None:
    """Raise an error if a test cell, its copy or its donor is in the training set.

    Parameters
    ----------
    data : Dataset
        The cells.
    fold : Fold
        How they are divided.
    group_key : str, optional
        Column of ``data.groups`` that must not be on both sides.

    Raises
    ------
    ValueError
        It names what is on both sides.
    """
    known = np.concatenate([fold.train, fold.reserve])
    if both := set(known.tolist()) & set(fold.test.tolist()):
        raise ValueError(
            f"Fold {fold.name!r}: {len(both)} cells are in both training and test set."
        )
    if set(fold.train.tolist()) & set(fold.reserve.tolist()):
        raise ValueError(
            f"Fold {fold.name!r}: cells held out for the oracle are also in the training set."
        )
    seen = {row.tobytes() for row in data.X[known]}
    copies = sum(row.tobytes() in seen for row in data.X[fold.test])
    if copies > TOLERATED * len(fold.test):
        raise ValueError(
            f"Data set {data.name!r}, fold {fold.name!r}: {copies} of {len(fold.test)} test cells "
            "have the values of a training cell, so the file holds copies. Was it resampled "
            "before it was written? Remove the copies."
        )
    if group_key is None:
        return
    groups = data.groups[group_key]
    if shared := sorted(set(groups[known]) & set(groups[fold.test])):
        raise ValueError(
            f"Fold {fold.name!r}: {group_key} {str(shared[0])!r} is in both training and test set."
        )
