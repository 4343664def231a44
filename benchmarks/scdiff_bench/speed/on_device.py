"""One measurement of everything on one device, in one precision: a row of the GPU table.

TF32 and bfloat16 are tried where they matter: in the chain and the decoder. Beside each stands the
MMD to held-out real cells, which says whether its cells are still those of full precision.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
from scdiff_bench.speed.cells import cells, doubled, timed

PRECISIONS = ("fp32", "tf32", "bf16")

SIZES = ((10_000, 2_000), (100_000, 2_000), (100_000, 20_000))
"""Cells × genes."""

DRAWN = 100_000
"""New cells by which drawing is timed on a GPU; a tenth of them on a CPU."""

COMPARED = 1_000
"""New and held-out real cells of which the MMD is taken."""


def on_device(
    n_cells: int, n_genes: int, threads: int, device: str, precision: str = "fp32"
) -> dict[str, Any]:
    """Time fit, condition, latents, drawing into the host's memory, and the whole sampler.

    Parameters
    ----------
    n_cells, n_genes, threads : int
        Of the training set; threads of torch.
    device : str
        "cpu" or a GPU.
    precision : {"fp32", "tf32", "bf16"}, default="fp32"
        Of matrix products on the device, while cells are drawn; all else is single precision.

    Returns
    -------
    dict
        Seconds, cells a second, MMD, and the device's peak memory in GB, where it has its own.
    """
    import torch

    from scdiff_augment import DiffusionOversampler, LatentDiffusion, as_blocks
    from scdiff_augment.compute.threads import bounded_threads
    from scdiff_augment.expression.kinds import depth_normalised
    from scdiff_augment.generator import SAMPLING
    from scdiff_augment.metrics import mmd
    from scdiff_augment.sampling.draw import OnDevice, drawer
    from scdiff_augment.streaming.block_sizes import cells_per_block

    X, y = cells(n_cells + COMPARED, n_genes)
    held, X, y = X[n_cells:], X[:n_cells], y[:n_cells]
    row: dict[str, Any] = {"precision": precision}
    gpu = torch.device(device).type == "cuda"
    if gpu:
        torch.cuda.reset_peak_memory_stats()
    wait = torch.cuda.synchronize if gpu else lambda: None
    model = LatentDiffusion(random_state=0, n_jobs=threads, device=device)
    with timed(row, "fit"):
        model.fit(as_blocks(X), groups=y)
        wait()
    with timed(row, "condition"):
        model.add_condition("type", y)
        wait()
    n_new = DRAWN if gpu else DRAWN // 10
    wanted = np.random.default_rng(1).choice(y, n_new)
    plan, request = model.plan({"type": wanted}, n_new, **SAMPLING)
    size, chance = cells_per_block(n_genes), model.random_
    blocks = [request.part(slice(i, min(i + size, n_new))) for i in range(0, n_new, size)]
    ours = drawer(plan) if precision == "fp32" else OnDevice(plan, torch.device(device))
    with bounded_threads(threads), _products(precision, device):
        ours.stored(blocks[0], chance.torch, chance.numpy)  # wakes threads, kernels and memory
        with timed(row, "latents"):
            for block in blocks:
                ours.plan.latents(block.on(torch.device(device)), chance.torch)
            wait()
        with timed(row, "sample_and_decode"):
            drawn = [ours.stored(block, chance.torch, chance.numpy)[0] for block in blocks]
    row |= {"n_new": n_new, "cells_per_s": n_new / row["sample_and_decode_s"]}
    new = np.concatenate([part[: COMPARED // len(drawn) + 1].toarray() for part in drawn])
    real = depth_normalised(held.toarray().astype(np.float32))
    row["mmd"] = float(mmd(real, depth_normalised(new[:COMPARED])))
    del drawn
    if precision == "fp32":
        sampler = DiffusionOversampler(
            sampling_strategy=doubled(y), random_state=0, n_jobs=threads, device=device
        )
        with timed(row, "fit_resample"):
            sampler.fit_resample(X, y)
    row["device_gb"] = torch.cuda.max_memory_allocated() / 1e9 if gpu else None
    return row


@contextmanager
def _products(precision: str, device: str) -> Iterator[None]:
    """Compute matrix products in a precision, then as before."""
    import torch

    kind = torch.device(device).type
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    lower = torch.autocast(kind, torch.bfloat16) if precision == "bf16" else nullcontext()
    try:
        with lower:
            yield
    finally:
        torch.set_float32_matmul_precision(before)
