"""Expected counts of many genes, in place: memory is passed as seldom as can be."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scdiff_augment.codec.networks import CountDecoder

ENTRIES = 10_000_000
"""Cells × genes at a time, 40 MB."""


def expected_counts(
    decoder: CountDecoder, z: NDArray[np.float32], sizes: NDArray, shift: Tensor | None = None
) -> NDArray[np.float32]:
    """Return what the decoder expects of cells of these library sizes, (cells, genes).

    Parameters
    ----------
    decoder : CountDecoder
    z : ndarray of shape (cells, n_latent)
    sizes : ndarray of shape (cells, 1)
    shift : Tensor of shape (cells, genes), optional
        What the cells' classes add to the logits of the genes.
    """
    weight, bias = decoder.genes.weight.T, decoder.genes.bias
    size = torch.from_numpy(np.asarray(sizes, dtype=np.float32))
    with torch.no_grad():
        hidden = decoder.hidden(torch.from_numpy(np.ascontiguousarray(z)))
        found = torch.empty(len(z), len(bias))
        rows = max(1, ENTRIES // len(bias))
        for start in range(0, len(z), rows):
            some = slice(start, start + rows)
            logits = torch.addmm(bias, hidden[some], weight, out=found[some])
            if shift is not None:
                logits += shift[some]
            logits -= logits.amax(dim=1, keepdim=True)
            logits.exp_()
            logits *= size[some] / logits.sum(dim=1, keepdim=True)
    return found.numpy()
