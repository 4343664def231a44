"""One block of new cells, from a seed of its own: the same wherever and whenever it is drawn."""

from __future__ import annotations

import copy
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from scdiff_augment.compute.devices import device_of
from scdiff_augment.compute.training_loop import bounded_threads

from .draw import drawer
from .plan import Drawing

if TYPE_CHECKING:
    from scdiff_augment.generator import LatentDiffusion
    from scdiff_augment.streaming.blocks import Matrix

_one_at_a_time = threading.Lock()
"""Thread counts belong to the process: two blocks at once would change each other's."""


def lean(model: LatentDiffusion) -> LatentDiffusion:
    """Copy what draws cells, without what remembers those of `fit`: it is sent to workers."""
    ours = copy.copy(model)
    for name, nothing in (
        ("_z", None),
        ("_weight", None),
        ("_kept", None),
        ("_codes", {}),
        ("history_", {}),
    ):
        setattr(ours, name, nothing)
    ours.training_hashes_ = np.empty(0, dtype=np.uint64)
    return ours.set_params(verbose=False, device=str(device_of(model.device)))


def draw_block(model: LatentDiffusion, drawing: Drawing, n: int, seed: int, number: int) -> Any:
    """Draw all cells of a drawing.

    Parameters
    ----------
    model : LatentDiffusion
    drawing : Drawing
        Of these cells alone.
    n : int
        How many.
    seed, number : int
        Seed of the run, and number of the block.

    Returns
    -------
    values : csr_matrix of counts, or ndarray of real values, (n, n_genes), float32
    factor : ndarray of shape (n,), or None
        Scale of log1p values.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))
    generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
    with _one_at_a_time, bounded_threads(model.n_jobs):
        return drawer(model, drawing).stored(slice(0, n), generator, rng)


def log_values(
    counts: sparse.csr_matrix, total: float | None, factor: NDArray | None
) -> sparse.csr_matrix:
    """log1p of counts that are scaled to a total, or by a factor, for each cell."""
    if total is not None:
        sums = np.asarray(counts.sum(axis=1, dtype=np.float64)).ravel()
        factor = total / np.maximum(sums, 1.0)
    scale = np.repeat(np.asarray(factor, dtype=np.float32), np.diff(counts.indptr))
    data = np.log1p(counts.data * scale)
    return sparse.csr_matrix((data, counts.indices, counts.indptr), shape=counts.shape)


def annotated_block(
    model: LatentDiffusion, drawing: Drawing, n: int, seed: int, number: int
) -> dict[str, Matrix]:
    """Matrices of a block as `LatentDiffusion.sample_adata` lays them out."""
    values, factor = draw_block(model, drawing, n, seed, number)
    if model._kind == "real":
        return {"X": values}
    total = 1e4 if model._kind == "counts" else model._total
    return {"X": log_values(values, total, factor), "layers/counts": values}


def block_on_scale(
    model: LatentDiffusion, drawing: Drawing, n: int, seed: int, number: int
) -> dict[str, Matrix]:
    """One matrix on the scale that the model was fitted on, as an oversampled file holds it."""
    values, factor = draw_block(model, drawing, n, seed, number)
    if model._kind != "log1p":
        return {"X": values}
    return {"X": log_values(values, model._total, factor)}
