"""New cells into a store, block by block: in this process, or by the workers of a Dask cluster."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anndata as ad
import numpy as np
import torch
import zarr
from torch import Tensor
from tqdm.auto import tqdm

from scdiff_augment.annotation.new_cells import KEY, new_obs, new_var, provenance_of
from scdiff_augment.compute.devices import device_of
from scdiff_augment.expression.hashes import digest
from scdiff_augment.streaming.block_sizes import block_sizes, cells_per_block
from scdiff_augment.streaming.zarr_store import CellStore, Layout

from .blocks import annotated_block, lean
from .plan import Drawing

if TYPE_CHECKING:
    from scdiff_augment.generator import LatentDiffusion

MakeBlock = Callable[..., dict[str, Any]]
"""(model, drawing, n cells, seed, number of the block) -> matrices of the block."""


def sample_to_store(
    model: LatentDiffusion,
    conditions: Mapping[str, Any],
    n: int | None,
    options: dict[str, Any],
    out: Path,
    *,
    client: Any = None,
    overwrite: bool = False,
) -> Path:
    """Draw cells into a zarr store; see `LatentDiffusion.sample_adata`."""
    drawing, wanted, n_cells = model._drawing(conditions, n, **options)
    start = options.pop("start")
    n_genes, counted = model.n_features_in_, model._kind != "real"
    single = np.dtype(np.float32)
    layout = Layout(
        block_sizes(n_cells, cells_per_block(n_genes)),
        n_genes,
        {"X": single, "layers/counts": single} if counted else {"X": single},
        counted,
    )
    plan = {
        "number of cells": n_cells,
        "conditions": {name: _hash([codes]) for name, codes in wanted.items()},
        "options": {k: str(v) for k, v in options.items()} | {"steps": drawing.sigmas.tolist()},
        "start": None if drawing.start is None else _hash([drawing.start]),
        "model": model_hash(model),
        "sampler": model.sampler,
        "overdispersion": float(model.overdispersion),
        "device": str(device_of(model.device)),
        "random_state": seed_of(model),
        "block size": max(layout.blocks, default=0),
    }
    seed = int(model._rng.integers(2**63))
    with CellStore(out, layout, plan, seed, overwrite=overwrite) as store:

        def header(root: zarr.Group) -> None:
            labels = {name: model.conditions_[name][c.numpy()] for name, c in wanted.items()}
            sources = None
            if start is not None:
                sources = [str(name) for name in getattr(start, "index", range(n_cells))]
            ad.io.write_elem(root, "obs", new_obs(labels, n_cells, sources))
            ad.io.write_elem(root, "var", new_var(model.genes_, n_genes))
            made = {**provenance_of(model, options), "seed": str(store.seed)}
            ad.io.write_elem(root, "uns", {KEY: made})

        store.begin(header)
        parts = ((i, drawing.part(layout.span(i)), layout.blocks[i]) for i in store.todo)
        for number, matrices in made_blocks(
            model, parts, annotated_block, store.seed, client=client, n_blocks=len(store.todo)
        ):
            store.append(number, matrices)
        return store.finish()


def made_blocks(
    model: LatentDiffusion,
    parts: Iterator[tuple[int, Drawing, int]],
    make: MakeBlock,
    seed: int,
    *,
    client: Any,
    n_blocks: int,
    first: int = 0,
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (number, matrices) of each (number, drawing, cells), in order.

    Blocks have seeds by their number less `first`.
    """
    bar = tqdm(total=n_blocks, desc="blocks", disable=not model.verbose)
    ours = lean(model)
    if client is None:
        results: Iterator[Any] = (
            (number, make(ours, drawing, n, seed, number - first)) for number, drawing, n in parts
        )
    else:
        from scdiff_augment.streaming.dask_cluster import in_order

        tasks = ((number, (drawing, n, seed, number - first)) for number, drawing, n in parts)
        results = in_order(client, make, ours, tasks)
    with bar:
        for result in results:
            yield result
            bar.update()


def seed_of(model: LatentDiffusion) -> int | None:
    """Return the model's seed, where it has one that says something."""
    state = model.random_state
    return int(state) if isinstance(state, int | np.integer) else None


def model_hash(model: LatentDiffusion) -> str:
    """Hash what draws cells: the networks, and which cells they were learnt from."""
    modules = [model.denoiser_, *model.classifiers_.values()]
    modules += [m for m in vars(model.codec_).values() if isinstance(m, torch.nn.Module)]
    tensors = [t for module in modules for t in module.state_dict().values()]
    tensors += model.gene_shifts_.values()
    arrays = (v for v in vars(model.codec_).values() if isinstance(v, np.ndarray))
    tensors += [torch.from_numpy(np.ascontiguousarray(a)) for a in arrays]
    return f"{_hash(tensors)}-{digest(model.training_hashes_)}"


def _hash(tensors: list[Tensor]) -> str:
    found = hashlib.sha256()
    for tensor in tensors:
        found.update(np.ascontiguousarray(tensor.detach().numpy()).data)
    return found.hexdigest()[:16]
