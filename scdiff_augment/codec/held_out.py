"""Cells that encoder and decoder never see, on which the noise of counts is measured."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

SET_ASIDE = 0.15
"""Share of the cells on which the noise of counts is measured."""

FEWEST, MOST = 20, 500
"""With fewer cells to set aside, all are learnt from and counts are Poisson; more add little."""

RARE = 50
"""Classes of fewer cells have none set aside."""


def set_aside(
    n_cells: int, generator: torch.Generator, codes: NDArray[np.int64] | None = None
) -> NDArray[np.bool_]:
    """Draw the cells that neither encoder nor decoder sees, (n_cells,): none of rare classes."""
    order = torch.randperm(n_cells, generator=generator).numpy()
    if codes is not None:
        order = order[np.bincount(codes)[codes[order]] >= RARE]
    n = min(int(SET_ASIDE * len(order)), MOST)
    aside = np.zeros(n_cells, dtype=bool)
    if n >= FEWEST:
        aside[order[:n]] = True
    return aside
