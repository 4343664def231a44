"""New cells into a store, block by block: in this process, or by the workers of a Dask cluster."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import torch
import zarr
from numpy.typing import NDArray
from torch import Tensor

from scdiff_augment.annotation.new_cells import new_obs, new_var
from scdiff_augment.compute.devices import device_of
from scdiff_augment.compute.progress import progress
from scdiff_augment.expression.marks import KEY
from scdiff_augment.streaming.block_sizes import block_sizes, cells_per_block
from scdiff_augment.streaming.dask_cluster import in_order
from scdiff_augment.streaming.zarr_store import CellStore, Layout

from .one_block import annotated_block
from .plan import SamplingPlan
from .requests import Request

MakeBlock = Callable[..., dict[str, Any]]
"""(plan, request, seed, number of the block) -> matrices of the block."""


def sample_to_store(
    plan: SamplingPlan,
    request: Request,
    out: Path,
    *,
    labels: Mapping[str, NDArray],
    n_genes: int,
    genes: NDArray | None,
    sources: list[str] | None,
    provenance: Mapping[str, Any],
    random_state: Any,
    rng: np.random.Generator,
    client: Any = None,
    overwrite: bool = False,
    verbose: bool = False,
) -> Path:
    """Draw cells into a zarr store; see `LatentDiffusion.sample_adata`.

    Parameters
    ----------
    plan, request
        How which cells are drawn.
    out : Path
        The store.
    labels : mapping of str to ndarray of shape (n_cells,)
        Class of each cell, by condition.
    n_genes, genes
        Number of genes, and their names where they have any.
    sources : list of str or None
        Name of the real cell that each started from.
    provenance : mapping
        Kept in ``uns``.
    random_state : object
        The model's; a store is only resumed for the same seed.
    rng : numpy.random.Generator
        Source of the store's own seed.
    client, overwrite, verbose
        As for `LatentDiffusion`.
    """
    counted, single = plan.scale.kind != "real", np.dtype(np.float32)
    layout = Layout(
        block_sizes(request.n_cells, cells_per_block(n_genes)),
        n_genes,
        {"X": single, "layers/counts": single} if counted else {"X": single},
        counted and plan.scale.keeps_zeros,
    )
    made_from = {
        "number of cells": request.n_cells,
        "conditions": {name: _hash([codes]) for name, codes in request.asked.items()},
        "options": {**provenance["options"], "steps": plan.sigmas.tolist()},
        "start": None if request.start is None else _hash([request.start]),
        "model": f"{plan_hash(plan)}-{provenance['training_hash']}",
        "sampler": plan.sampler,
        "overdispersion": float(plan.overdispersion),
        "device": str(device_of(plan.device)),
        "random_state": seed_of(random_state),
        "block size": max(layout.blocks, default=0),
    }
    seed = int(rng.integers(2**63))
    with CellStore(out, layout, made_from, seed, overwrite=overwrite) as store:

        def header(root: zarr.Group) -> None:
            ad.io.write_elem(root, "obs", new_obs(labels, request.n_cells, sources))
            ad.io.write_elem(root, "var", new_var(genes, n_genes))
            ad.io.write_elem(root, "uns", {KEY: {**provenance, "seed": str(store.seed)}})

        store.begin(header)
        parts = ((number, request.part(layout.span(number))) for number in store.todo)
        for number, matrices in made_blocks(
            plan,
            parts,
            annotated_block,
            store.seed,
            client=client,
            n_blocks=len(store.todo),
            verbose=verbose,
        ):
            store.append(number, matrices)
        return store.finish()


def made_blocks(
    plan: SamplingPlan,
    parts: Iterator[tuple[int, Request]],
    make: MakeBlock,
    seed: int,
    *,
    client: Any,
    n_blocks: int,
    first: int = 0,
    verbose: bool = False,
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (number, matrices) of each (number, request), in order.

    Blocks have seeds by their number less `first`.
    """
    plan = replace(plan, device=str(device_of(plan.device)))
    if client is None:
        results: Iterator[Any] = (
            (number, make(plan, request, seed, number - first)) for number, request in parts
        )
    else:
        tasks = ((number, (request, seed, number - first)) for number, request in parts)
        results = in_order(client, make, plan, tasks)
    with progress(n_blocks, "sampling", "block", verbose=verbose) as done:
        for result in results:
            yield result
            done(1)


def seed_of(random_state: Any) -> int | None:
    """Return a seed, where it is one that says something."""
    return int(random_state) if isinstance(random_state, int | np.integer) else None


def plan_hash(plan: SamplingPlan) -> str:
    """Hash what draws cells."""
    modules = [plan.denoiser, *plan.classifiers.values()]
    modules += [m for m in vars(plan.codec).values() if isinstance(m, torch.nn.Module)]
    tensors = [t for module in modules for t in module.state_dict().values()]
    tensors += plan.gene_effects.values()
    arrays = (v for v in vars(plan.codec).values() if isinstance(v, np.ndarray))
    tensors += [torch.from_numpy(np.ascontiguousarray(a)) for a in arrays]
    return _hash(tensors)


def _hash(tensors: list[Tensor]) -> str:
    found = hashlib.sha256()
    for tensor in tensors:
        found.update(np.ascontiguousarray(tensor.detach().numpy()).data)
    return found.hexdigest()[:16]
