"""One division: half of a target batch is the test set, and it keeps few cells of one type."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scdiff_bench.data.datasets import Dataset


@dataclass(frozen=True)
class Fold:
    """Cells of one unit.

    Attributes
    ----------
    X : ndarray of shape (cells, genes)
        Training cells: all of the reference, and those of the target batch.
    y, batch : ndarray of shape (cells,)
        Their types and batches.
    inside : ndarray of bool, shape (cells,)
        Which of them are of the target batch.
    held_X : ndarray of shape (held, genes)
        Further cells of the type in the target batch, which nobody has: for the oracle.
    test_X, test_y : ndarray
        Test cells, all of the target batch.
    rare, into : str
        The type, and the target batch.
    """

    X: NDArray[np.float32]
    y: NDArray[np.str_]
    batch: NDArray[np.str_]
    inside: NDArray[np.bool_]
    held_X: NDArray[np.float32]
    test_X: NDArray[np.float32]
    test_y: NDArray[np.str_]
    rare: str
    into: str

    @property
    def real(self) -> NDArray[np.float32]:
        """Test cells of the type."""
        return self.test_X[self.test_y == self.rare]

    @property
    def pooled(self) -> NDArray[np.float32]:
        """Cells of the type in the reference."""
        return self.X[(self.y == self.rare) & ~self.inside]


def make_fold(
    data: Dataset, group: str, into: str, rare: str, n: int, max_reference: int, draw: int
) -> Fold:
    """Divide the cells; the same draw gives the same test cells for every type and n.

    Parameters
    ----------
    data : Dataset
        All cells.
    group, into : str
        Annotation that tells batches apart, and the target batch.
    rare : str
        The type of which the target batch keeps `n` training cells.
    n : int
        How many; the smaller ones are among the larger.
    max_reference : int
        Cells of other batches, drawn at random where there are more.
    draw : int
        Number of the division.
    """
    rng = np.random.default_rng([draw, 0])
    batch = data.groups[group]
    inside = batch == into
    reference = np.flatnonzero(~inside)
    if len(reference) > max_reference:
        reference = np.sort(rng.permutation(reference)[:max_reference])
    own, test = [], []
    for label in np.unique(data.y):
        rows = rng.permutation(np.flatnonzero(inside & (data.y == label)))
        own.append(rows[: len(rows) // 2])
        test.append(rows[len(rows) // 2 :])
    mine, tested = np.sort(np.concatenate(own)), np.sort(np.concatenate(test))
    few = np.random.default_rng([draw, 1]).permutation(mine[data.y[mine] == rare])
    kept = np.sort(np.concatenate([reference, np.setdiff1d(mine, few[n:])]))
    return Fold(
        data.X[kept],
        data.y[kept],
        batch[kept],
        inside[kept],
        data.X[few[n:]],
        data.X[tested],
        data.y[tested],
        rare,
        into,
    )
