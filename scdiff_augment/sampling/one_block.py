"""One block of new cells, from a seed of its own: the same wherever and whenever it is drawn."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from scdiff_augment.compute.threads import bounded_threads
from scdiff_augment.streaming.block_readers import Matrix

from .draw import drawer
from .plan import SamplingPlan
from .requests import Request

_one_at_a_time = threading.Lock()
"""Thread counts belong to the process: two blocks at once would change each other's."""


def draw_block(plan: SamplingPlan, request: Request, seed: int, number: int) -> Any:
    """Draw all cells of a request.

    Parameters
    ----------
    plan : SamplingPlan
    request : Request
        Of these cells alone.
    seed, number : int
        Seed of the run, and number of the block.

    Returns
    -------
    values : csr_matrix of counts, or ndarray of real values, (n_cells, n_genes), float32
    factor : ndarray of shape (n_cells,), or None
        Scale of log1p values.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))
    generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
    with _one_at_a_time, bounded_threads(plan.n_jobs):
        return drawer(plan).stored(request, generator, rng)


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
    plan: SamplingPlan, request: Request, seed: int, number: int
) -> dict[str, Matrix]:
    """Matrices of a block as `LatentDiffusion.sample_adata` lays them out."""
    values, factor = draw_block(plan, request, seed, number)
    if plan.scale.kind == "real":
        return {"X": values}
    total = 1e4 if plan.scale.kind == "counts" else plan.scale.total
    return {"X": log_values(values, total, factor), "layers/counts": values}


def block_on_scale(
    plan: SamplingPlan, request: Request, seed: int, number: int
) -> dict[str, Matrix]:
    """One matrix on the scale that the model was fitted on, as an oversampled file holds it."""
    return {"X": block_with_counts(plan, request, seed, number)["X"]}


def block_with_counts(
    plan: SamplingPlan, request: Request, seed: int, number: int
) -> dict[str, Matrix]:
    """Two matrices of a model that knows counts: the one on that scale, and the counts."""
    values, factor = draw_block(plan, request, seed, number)
    if plan.scale.kind != "log1p":
        return {"X": values, "layers/counts": values}
    return {"X": log_values(values, plan.scale.total, factor), "layers/counts": values}
