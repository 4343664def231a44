"""From a file of cells to a store with more: real cells copied, new ones made, block by block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import zarr
from numpy.typing import NDArray
from scipy import sparse

from scdiff_augment.annotation.new_cells import threads_of
from scdiff_augment.annotation.obs import PEOPLE, extended_obs, labels_of
from scdiff_augment.compute.randomness import generators
from scdiff_augment.expression.checks import cast
from scdiff_augment.expression.hashes import digest
from scdiff_augment.expression.labels import balanced_weights
from scdiff_augment.expression.marks import KEY
from scdiff_augment.generator import LatentDiffusion
from scdiff_augment.oversampler import DiffusionOversampler
from scdiff_augment.oversampling.base import start_cells
from scdiff_augment.results_version import versions
from scdiff_augment.sampling.one_block import block_on_scale
from scdiff_augment.sampling.plan import SamplingPlan
from scdiff_augment.sampling.requests import Request
from scdiff_augment.sampling.sample_to_store import made_blocks
from scdiff_augment.streaming.block_readers import Slices, as_blocks
from scdiff_augment.streaming.block_sizes import as_csr, block_sizes, cells_per_block
from scdiff_augment.streaming.checked_blocks import checked, kind_of
from scdiff_augment.streaming.zarr_store import CellStore, Layout


def oversample_to_store(
    source: Any,
    label_key: str,
    *,
    layer: str | None,
    keys: Mapping[str, str | None],
    sampler: DiffusionOversampler,
    out: Path,
    client: Any = None,
    overwrite: bool = False,
) -> Path:
    """Append synthetic cells from file to file; see `oversample_adata`.

    Raises
    ------
    ValueError
        If the sampler has a `judge` or a `generator`.
    """
    for name in ("judge", "generator"):
        if getattr(sampler, name) is not None:
            raise ValueError(
                f"DiffusionOversampler({name}=...) looks at all cells at once, so it can't write "
                f"a store with out=.... Leave {name} out, or leave out and read the cells."
            )
    blocks = as_blocks(source, layer=layer)
    if not isinstance(blocks, Slices) or blocks.obs is None:
        raise TypeError(
            f"adata must be an AnnData or the path of an h5ad file or a zarr store, got "
            f"{type(source).__name__}."
        )
    obs = blocks.obs
    y = labels_of(obs, label_key).to_numpy()
    given = {name: key for name, key in keys.items() if key is not None}
    annotations = {name: labels_of(obs, key).to_numpy() for name, key in given.items()}
    labels = sampler.classes_to_make(y)
    used, content = _used_cells(blocks, sampler.expression)
    n_genes = blocks.shape[1]
    some = blocks.read(0, 1)
    copied = block_sizes(len(y), blocks.size)
    layout = Layout(
        copied + block_sizes(len(labels), cells_per_block(n_genes)),
        n_genes,
        {"X": some.dtype},
        sparse.issparse(some),
    )
    made_from = {
        "set of real cells": [len(y), n_genes, content],
        "label_key": label_key,
        "keys": given,
        "layer": layer,
        "number of new cells": {str(k): int(v) for k, v in sampler.sampling_strategy_.items()},
        "labels": f"{pd.util.hash_array(y, categorize=True).sum():016x}",
        "random_state": sampler.random_state,
        "parameters": {k: str(v) for k, v in sampler.get_params(deep=False).items()},
        "block size": [blocks.size, cells_per_block(n_genes)],
    }
    seed = int(generators(sampler.random_state)[0].integers(2**32))  # a random_state, too
    with CellStore(out, layout, made_from, seed, overwrite=overwrite) as store:
        like = start_cells(y[used], labels, np.random.default_rng(store.seed))
        new = {name: values[used][like] for name, values in annotations.items()}
        near = np.flatnonzero(used)[like]
        model = drawn = None
        if len(labels):
            truth = {name: values[used] for name, values in annotations.items()}
            model = _model(store, blocks.where(used), y[used], truth, sampler)
            drawn = _plan(model, {"y": labels, **new}, sampler, store.folder, blocks, near)
            sampler.generator_, sampler.history_, sampler.annotations_ = model, model.history_, new
        sampler.synthetic_source_ = near if sampler.strength < 1 else np.full(len(labels), -1)

        def header(root: zarr.Group) -> None:
            columns = {key: np.full(len(labels), "synthetic") for key in PEOPLE if key in obs}
            columns |= {given[name]: values for name, values in new.items()}
            sources = [
                None if row < 0 else str(obs.index[row]) for row in sampler.synthetic_source_
            ]
            series = pd.Series(labels, dtype=object)
            table = extended_obs(obs, label_key, series, columns, sources)
            ad.io.write_elem(root, "obs", table)
            ad.io.write_elem(root, "var", blocks.var)
            ad.io.write_elem(
                root, "uns", {KEY: _provenance(sampler, label_key, layer, labels, model)}
            )

        store.begin(header)
        for number in store.todo:
            if number < len(copied):
                rows = layout.span(number)
                store.append(number, {"X": _stored(blocks.read(rows.start, rows.stop), layout)})
        if drawn is not None:
            plan, request = drawn
            todo = [number for number in store.todo if number >= len(copied)]
            for number, matrices in made_blocks(
                plan,
                _parts(todo, request, layout, len(y)),
                block_on_scale,
                store.seed,
                client=client,
                n_blocks=len(todo),
                first=len(copied),
                verbose=sampler.verbose,
            ):
                store.append(number, {"X": _cast(matrices["X"], layout)})
        return store.finish()


def _used_cells(blocks: Slices, expression: str) -> tuple[NDArray[np.bool_], str]:
    """Which cells can be learnt from, (n_cells,), and a hash of what all of them hold."""
    sums, kind = [], None
    for block in checked(blocks):
        kind = kind or kind_of(block, expression)
        sums.append(block.sums())
    total = np.concatenate(sums)
    content = f"{pd.util.hash_array(total).sum():016x}"
    return (np.ones(len(total), dtype=bool) if kind == "real" else total > 0), content


def _model(
    store: CellStore,
    cells: Slices,
    y: NDArray,
    annotations: Mapping[str, NDArray],
    sampler: DiffusionOversampler,
) -> LatentDiffusion:
    """Learn the cells, or take the model that was learnt before an interruption."""
    folder = store.folder / "model"
    if not (folder / "model.json").is_file():
        weight = balanced_weights(y, sampler.balance)
        learnt = sampler.unfitted_model(store.seed)
        learnt.fit(cells, groups=y, sample_weight=weight)
        for name, labels in {"y": y, **annotations}.items():
            learnt.add_condition(name, labels)
        learnt.save(folder)
    model = LatentDiffusion.load(folder, random_state=store.seed)
    return model.set_params(device=sampler.device, n_jobs=sampler.n_jobs, verbose=sampler.verbose)


def _plan(
    model: LatentDiffusion,
    wanted: Mapping[str, NDArray],
    sampler: DiffusionOversampler,
    folder: Path,
    blocks: Slices,
    near: NDArray[np.intp],
) -> tuple[SamplingPlan, Request]:
    """How the new cells are drawn; real cells that they start from are encoded once."""
    start = None
    if sampler.strength < 1:
        file = folder / "start.npy"
        if not file.is_file():
            rows, back = np.unique(near, return_inverse=True)
            chosen = np.zeros(blocks.shape[0], dtype=bool)
            chosen[rows] = True
            latents = model.encode(blocks.where(chosen))[back]
            with (folder / "start.new").open("wb") as stream:
                np.save(stream, latents)
            (folder / "start.new").replace(file)
        start = np.load(file)
    return model.plan(
        wanted,
        len(near),
        guidance_scale=sampler.guidance_scale,
        guidance_interval=sampler.guidance_interval,
        start=None,
        strength=sampler.strength,
        temperature=sampler.temperature,
        latents=start,
    )


def _parts(
    numbers: list[int], request: Request, layout: Layout, n_real: int
) -> Iterator[tuple[int, Request]]:
    for number in numbers:
        rows = layout.span(number)
        yield number, request.part(slice(rows.start - n_real, rows.stop - n_real))


def _stored(matrix: Any, layout: Layout) -> Any:
    return as_csr(matrix) if layout.sparse else np.asarray(matrix)


def _cast(matrix: Any, layout: Layout) -> Any:
    """Bring new cells to the container and type of the real ones."""
    dtype = layout.dtypes["X"]
    if not layout.sparse:
        return cast(matrix.toarray() if sparse.issparse(matrix) else matrix, dtype)
    found = as_csr(matrix)
    return sparse.csr_matrix((cast(found.data, dtype), found.indices, found.indptr), found.shape)


def _provenance(
    sampler: DiffusionOversampler,
    label_key: str,
    layer: str | None,
    labels: NDArray,
    model: LatentDiffusion | None,
) -> dict[str, Any]:
    classes, sizes = np.unique(labels.astype(str), return_counts=True)
    return {
        **threads_of({} if model is None else model.history_),
        "label_key": label_key,
        "layer": layer or "X",
        "parameters": {k: str(v) for k, v in sampler.get_params(deep=False).items()},
        "synthetic_labels": classes.astype(str),
        "synthetic_cells": sizes,
        "training_hash": "" if model is None else digest(model.training_hashes_),
        "versions": versions(),
    }
