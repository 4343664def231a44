"""What `speed` measures: each function is run in a process of its own and returns a row."""

from __future__ import annotations

import cProfile
import io
import pstats
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scdiff_bench.running.resources import Measure
from scdiff_bench.speed.cells import best, cells, doubled, gflop, timed
from scdiff_bench.speed.on_device import on_device
from scipy import sparse

COUNTED = 2_000
"""Genes of the measurement whose matrix products are counted, too."""

DRAWN = 10_000
"""New cells by which sampling and decoding are timed."""

SCALE = 1.0
"""Guidance scale of the sampler, whose work is timed: the denoiser's own start cancels."""


def parts(n_cells: int, n_genes: int, threads: int, device: str = "cpu") -> dict[str, Any]:
    """Time the steps of the generator one by one.

    Parameters
    ----------
    n_cells, n_genes, threads : int
        Of the training set; threads of torch.
    device : str, default="cpu"
        Where it runs.

    Returns
    -------
    dict
        Seconds of fit, condition, and, for 10,000 cells, of latents, decoding, and both.
    """
    from scdiff_augment import LatentDiffusion, as_blocks
    from scdiff_augment.compute.threads import bounded_threads
    from scdiff_augment.generator import SAMPLING
    from scdiff_augment.sampling.draw import drawer
    from scdiff_augment.streaming.block_sizes import cells_per_block

    X, y = cells(n_cells, n_genes)
    row: dict[str, Any] = {}
    model = LatentDiffusion(random_state=0, n_jobs=threads, device=device)
    with timed(row, "fit"):
        model.fit(as_blocks(X), groups=y)
    with timed(row, "condition"):
        model.add_condition("type", y)
    wanted = np.random.default_rng(1).choice(np.unique(y), DRAWN)
    as_sampler = {**SAMPLING, "guidance_scale": SCALE}
    plan, request = model.plan({"type": wanted}, DRAWN, **as_sampler)
    chance = model.random_
    size = cells_per_block(n_genes)
    blocks = [request.part(slice(i, min(i + size, DRAWN))) for i in range(0, DRAWN, size)]
    ours = drawer(plan)
    with bounded_threads(threads):
        for _ in range(2):  # the first round wakes threads and memory
            with timed(row, "latents"):
                for block in blocks:
                    ours.plan.latents(block, chance.torch)
            with timed(row, "sample_and_decode"):
                for block in blocks:
                    ours.stored(block, chance.torch, chance.numpy)
    row["cells_per_s"] = DRAWN / row["sample_and_decode_s"]
    if n_genes <= COUNTED:
        row["sample_gflop"] = gflop(
            lambda: [ours.stored(block, chance.torch, chance.numpy) for block in blocks]
        )
        row["fit_gflop"] = gflop(lambda: model.fit(as_blocks(X), groups=y))
    return row


def drawing(n_new: int, n_genes: int, threads: int, device: str = "cpu") -> dict[str, Any]:
    """Time the drawing of so many cells from a small model, block by block: the best of three.

    Parameters
    ----------
    n_new : int
        Cells to draw.
    n_genes, threads, device
        As in `parts`.

    Returns
    -------
    dict
        Seconds.
    """
    from scdiff_augment import LatentDiffusion
    from scdiff_augment.oversampling.base import in_blocks

    X, y = cells(2_000, n_genes)
    model = LatentDiffusion(random_state=0, n_jobs=threads, device=device)
    model.fit(X.toarray(), groups=y).add_condition("type", y)
    wanted = np.random.default_rng(1).choice(np.unique(y), n_new)
    seconds = best(
        lambda: in_blocks(
            lambda rows: model.sample({"type": wanted[rows]}, len(rows), guidance_scale=SCALE),
            n_new,
            n_genes,
        ),
        3,
    )
    return {"drawing_s": seconds}


def resample(n_cells: int, n_genes: int, threads: int, device: str = "cpu") -> dict[str, Any]:
    """Time `DiffusionOversampler.fit_resample`, which makes as many cells as there are.

    Parameters
    ----------
    n_cells, n_genes, threads, device
        As in `parts`.

    Returns
    -------
    dict
        Seconds, and how many cells are new.
    """
    from scdiff_augment import DiffusionOversampler

    X, y = cells(n_cells, n_genes)
    return _resampled(
        DiffusionOversampler(
            sampling_strategy=doubled(y), random_state=0, n_jobs=threads, device=device
        ),
        X,
        y,
    )


def other(name: str, n_cells: int, n_genes: int) -> dict[str, Any]:
    """Time another sampler on the same cells; matrices are dense, as all of them want it.

    Parameters
    ----------
    name : str
        "diffusion", "random_oversampler", "smote", "scvi", "ddpm" (ours by 1,000 steps),
        "latent_diffusion" (at its own defaults) or "latent_diffusion_groups" (with the types).
    n_cells, n_genes : int
        Of the cells.

    Returns
    -------
    dict
        Seconds, how many cells are new, and their MMD to as many other real cells of their types;
        of ours also the seconds of drawing alone.
    """
    from scdiff_bench.strategies.catalogue import build_strategy

    from scdiff_augment.expression.kinds import depth_normalised
    from scdiff_augment.metrics import mmd

    X, y = cells(2 * n_cells, n_genes)
    X = depth_normalised(X.toarray().astype(np.float32))
    held, held_y, X, y = X[n_cells:], y[n_cells:], X[:n_cells], y[:n_cells]
    strategy, params = name, {}
    if name in ("diffusion", "ddpm"):
        strategy, params = "diffusion", {"overdispersion": 1.0}
    if name == "ddpm":
        params |= {"sampler": "ddpm", "n_steps": 1000}
    if name in GENERATORS:
        sampler = GeneratorAlone(grouped=GENERATORS[name])
    else:
        sampler = build_strategy(strategy, doubled(y), 0, params).sampler
    row = _resampled(sampler, X, y)
    new, new_y = row.pop("new")
    ours, real = [], []
    for kind in np.unique(new_y):
        mine, theirs = np.flatnonzero(new_y == kind), np.flatnonzero(held_y == kind)
        size = min(len(mine), len(theirs))
        ours.append(mine[:size])
        real.append(theirs[:size])
    row["mmd"] = float(mmd(held[np.concatenate(real)], new[np.concatenate(ours)]))
    if hasattr(sampler, "generator_"):
        scale = {} if name in GENERATORS else {"guidance_scale": SCALE}
        with timed(row, "drawing"):
            sampler.generator_.sample({"y": new_y}, len(new_y), **scale)
    return row


GENERATORS = {"latent_diffusion": False, "latent_diffusion_groups": True}
"""Whether the types shape the denoiser's mixture, by name."""


class GeneratorAlone:
    """`LatentDiffusion` at its defaults, called as a sampler is.

    Parameters
    ----------
    grouped : bool
        Whether `fit` is given the types.
    """

    def __init__(self, grouped: bool):
        self.grouped = grouped

    def fit_resample(self, X: Any, y: Any) -> tuple[Any, Any]:
        """Append as many cells as there are, of the rare half of the types."""
        from scdiff_augment import LatentDiffusion

        self.generator_ = LatentDiffusion(random_state=0).fit(X, groups=y if self.grouped else None)
        self.generator_.add_condition("y", y)
        names, counts = np.unique(y, return_counts=True)
        wanted = doubled(y)
        there = dict(zip(names, counts, strict=True))
        new_y = np.repeat(list(wanted), [n - int(there[name]) for name, n in wanted.items()])
        new = self.generator_.sample({"y": new_y}, len(new_y))
        return np.vstack([X, new]), np.hstack([y, new_y])


def _resampled(sampler: Any, X: Any, y: Any) -> dict[str, Any]:
    row: dict[str, Any] = {}
    with Measure() as cost, timed(row, "fit_resample"):
        X_all, y_all = sampler.fit_resample(X, y)
    row |= {"n_new": len(y_all) - len(y), "sampler_added_gb": cost.added_mb / 1000}
    if not sparse.issparse(X_all):
        row["new"] = X_all[len(y) :], y_all[len(y) :]
    return row


def training(threads: int) -> dict[str, Any]:
    """Time the training of the default model on 2,530 cells × 1,287 genes.

    Parameters
    ----------
    threads : int
        Of torch.

    Returns
    -------
    dict
        Seconds of fit and condition.
    """
    from scdiff_augment import LatentDiffusion

    X, y = cells(2530, 1287)
    dense = X.toarray()
    row: dict[str, Any] = {}
    model = LatentDiffusion(random_state=0, n_jobs=threads)
    with timed(row, "training"):
        model.fit(dense, groups=y).add_condition("type", y)
    return row


def profile(threads: int, folder: Path) -> dict[str, Any]:
    """Write where the time of fit and of drawing goes, function by function.

    Parameters
    ----------
    threads : int
        Of torch.
    folder : Path
        Where ``profile_fit.txt`` and ``profile_sample.txt`` go.

    Returns
    -------
    dict
        Nothing to note.
    """
    from scdiff_augment import LatentDiffusion

    X, y = cells(2530, 2000)
    model = LatentDiffusion(random_state=0, n_jobs=threads)
    wanted = np.random.default_rng(1).choice(np.unique(y), DRAWN)
    work: dict[str, Callable[[], Any]] = {
        "fit": lambda: model.fit(X.toarray(), groups=y).add_condition("type", y),
        "sample": lambda: model.sample({"type": wanted}, DRAWN, guidance_scale=SCALE),
    }
    for name, run in work.items():
        if name == "sample":
            run()
        watch = cProfile.Profile()
        watch.runcall(run)
        text = io.StringIO()
        stats = pstats.Stats(watch, stream=text)
        stats.strip_dirs().sort_stats("tottime").print_stats(20)
        (folder / f"profile_{name}.txt").write_text(text.getvalue(), encoding="utf-8")
    return {}


TASKS: dict[str, Callable[..., dict[str, Any]]] = {
    "parts": parts,
    "drawing": drawing,
    "resample": resample,
    "other": other,
    "training": training,
    "profile": profile,
    "on_device": on_device,
}
"""By the name that rows have."""
