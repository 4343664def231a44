"""The cells that conditions are learnt from: latents of all, values of those the codec saw."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scdiff_augment.codec.class_gene_effects import LabelledCells
from scdiff_augment.expression.kinds import Expression
from scdiff_augment.streaming.block_sizes import as_csr


@dataclass
class TrainingCells:
    """Cells of `fit`, for conditions that are added later.

    A pickle holds no cells, as a saved model does not: `values` are left out. Copies within this
    process share them.

    Attributes
    ----------
    z : Tensor of shape (n_cells, n_latent)
        Latents of all cells.
    weight : Tensor of shape (n_cells,)
        How often each is drawn in training; sums to 1.
    values : ndarray or csr_matrix of shape (len(rows), n_genes), or None
        Counts or real values of some of them.
    rows : ndarray of shape (len(rows),)
        Which of the cells these are.
    codes : dict of str to ndarray of shape (n_cells,)
        Classes of the cells, by condition that was learnt from them.
    """

    z: Tensor
    weight: Tensor
    values: Any
    rows: NDArray[np.int64]
    codes: dict[str, NDArray[np.int64]] = field(default_factory=dict)

    @classmethod
    def of(
        cls, z: NDArray[np.float32], weight: Tensor, parts: Expression, rows: NDArray[np.int64]
    ) -> Self:
        """Keep latents of all cells, and the values of `rows`."""
        values = parts.values.copy() if parts.kind == "real" else as_csr(parts.values)
        return cls(torch.from_numpy(z), weight, values, rows)

    @property
    def can_teach(self) -> bool:
        """Whether a condition can be learnt from them."""
        return self.values is not None

    def pieces(self, name: str, codes: NDArray[np.int64]) -> Iterator[LabelledCells]:
        """Yield the cells with values and their classes in a condition of this name."""
        used = self.weight.numpy()[self.rows] > 0
        values, rows = self.values[used], self.rows[used]
        others = {k: known[rows] for k, known in self.codes.items() if k != name}
        yield LabelledCells(values, self.z.numpy()[rows], codes[rows], others)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"values": None}

    def __copy__(self) -> TrainingCells:
        return TrainingCells(self.z, self.weight, self.values, self.rows, dict(self.codes))

    def __deepcopy__(self, memo: dict[int, Any]) -> TrainingCells:
        return self.__copy__()
