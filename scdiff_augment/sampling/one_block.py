"""One block of new cells, from a seed of its own: the same wherever and whenever it is drawn."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import torch

from scdiff_augment.compute.threads import bounded_threads
from scdiff_augment.expression.scales import Scale
from scdiff_augment.streaming.block_readers import Matrix

from .draw import drawer
from .plan import SamplingPlan
from .requests import Request

_one_at_a_time = threading.Lock()
"""Thread counts belong to the process: two blocks at once would change each other's."""


def draw_block(
    plan: SamplingPlan, request: Request, seed: int, number: int, scale: Scale
) -> tuple[Any, Matrix]:
    """Draw all cells of a request.

    Parameters
    ----------
    plan : SamplingPlan
    request : Request
        Of these cells alone.
    seed, number : int
        Seed of the run, and number of the block.
    scale : Scale
        To which the cells are brought.

    Returns
    -------
    drawn : csr_matrix of counts, or ndarray of real values, (n_cells, n_genes), float32
    values : csr_matrix or ndarray of shape (n_cells, n_genes), float32
        The same cells on the scale.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))
    generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
    with _one_at_a_time, bounded_threads(plan.n_jobs):
        drawn, factor = drawer(plan).stored(request, generator, rng)
    if scale.kind == "real":
        return drawn, drawn
    return drawn, scale.normalise_sparse(drawn, factor, rng)


def annotated_block(
    plan: SamplingPlan, request: Request, seed: int, number: int
) -> dict[str, Matrix]:
    """Matrices of a block as `LatentDiffusion.sample_adata` lays them out."""
    scale = Scale("log1p", 1e4) if plan.scale.kind == "counts" else plan.scale
    drawn, values = draw_block(plan, request, seed, number, scale)
    if scale.kind == "real":
        return {"X": values}
    counts = drawn if scale.keeps_zeros else drawn.toarray()
    return {"X": values, "layers/counts": counts}


def block_on_scale(
    plan: SamplingPlan, request: Request, seed: int, number: int
) -> dict[str, Matrix]:
    """One matrix on the scale that the model was fitted on, as an oversampled file holds it."""
    return {"X": block_with_counts(plan, request, seed, number)["X"]}


def block_with_counts(
    plan: SamplingPlan, request: Request, seed: int, number: int
) -> dict[str, Matrix]:
    """Two matrices of a model that knows counts: the one on that scale, and the counts."""
    drawn, values = draw_block(plan, request, seed, number, plan.scale)
    return {"X": values, "layers/counts": drawn}
