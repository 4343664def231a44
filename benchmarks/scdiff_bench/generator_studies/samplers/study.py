"""Quality against steps: every sampler on one fitted model, and DDIM there and back."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scdiff_bench.data.datasets import Dataset
from scdiff_bench.generator_studies.models import check_model, make_model
from scdiff_bench.generator_studies.parts import Output, StudyConfig

from scdiff_augment import LatentDiffusion, diffusion
from scdiff_augment.metrics import forest_auc, mmd

VERSION = 1
"""Raised when the same unit gives other rows than before."""

REFERENCE = ("dpm++", 20)
TIMING = 0.5
"""Seconds that repeats of one setting may take."""

CLEAR = 0.01
"""Relative error above which a cell has not come back."""


@dataclass(frozen=True)
class Parameters:
    """Parameters of the study.

    Attributes
    ----------
    draws : int
        Random splits of each data set, each with a model of its own.
    n_train, n_score : int
        Cells that the model learns from, at most half of all; cells that each sampler makes, and
        real cells in each of the two parts they are compared with, at most half of the rest.
    samplers : dict of str to list of int
        Steps to try; the most steps of all are the reference for the others.
    inversion_steps : list of int
        Steps of DDIM there and back.
    n_invert : int
        Held-out cells that go there and back.
    model : dict
        Parameters of the generator.
    """

    draws: int = 3
    n_train: int = 4000
    n_score: int = 1500
    samplers: dict[str, list[int]] = field(
        default_factory=lambda: {
            "ddpm": [1000],
            "ddim": [10, 20, 50, 100, 200],
            "dpm++": [5, 10, 15, 20, 30, 50],
        }
    )
    inversion_steps: list[int] = field(default_factory=lambda: [5, 10, 20, 50, 100, 200])
    n_invert: int = 200
    model: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_model(self.model)
        for key in ("draws", "n_train", "n_score", "n_invert"):
            if getattr(self, key) < 1:
                raise ValueError(f"params: {key}={getattr(self, key)} must be at least 1.")
        for sampler, steps in self.samplers.items():
            for n_steps in steps:
                check_model({**self.model, "sampler": sampler, "n_steps": n_steps})
        if REFERENCE[1] not in self.samplers.get(REFERENCE[0], []):
            raise ValueError(
                f"params: samplers must hold {REFERENCE[0]!r} with {REFERENCE[1]} steps, which "
                f"times are relative to."
            )


def units(config: StudyConfig, datasets: Sequence[Dataset]) -> list[dict[str, Any]]:
    """One unit per data set and draw: all samplers share its model."""
    p: Parameters = config.params
    shared = {
        "n_train": p.n_train,
        "n_score": p.n_score,
        "samplers": [[name, n] for name, steps in p.samplers.items() for n in steps],
        "inversion_steps": p.inversion_steps,
        "n_invert": p.n_invert,
        "model": p.model,
    }
    return [
        {"dataset": data.name, "name": f"{data.name} draw {draw}", "draw": draw, **shared}
        for data in datasets
        for draw in range(p.draws)
    ]


def compute(unit: dict[str, Any], data: Dataset, seed: int) -> Output:
    """Fit one model, sample it in every way, and compare with cells it has not seen."""
    n_train = min(unit["n_train"], len(data.X) // 2)
    n = min(unit["n_score"], (len(data.X) - n_train) // 2)
    order = np.random.default_rng(seed).permutation(len(data.X))
    train, real, null = np.split(order[: n_train + 2 * n], [n_train, n_train + n])
    model = make_model(unit["model"], seed).fit(data.X[train])
    shared = {"draw": unit["draw"], "n_train": n_train, "n": n}
    rows = [{**shared, "kind": "null", **_distance(data.X[real], data.X[null], seed)}]
    for sampler, n_steps in unit["samplers"]:
        cells, row = _sample(model, sampler, n_steps, n)
        rows.append({**shared, **row, **_distance(data.X[real], cells, seed)})
    reference = next(r["cpu_seconds"] for r in rows[1:] if (r["sampler"], r["steps"]) == REFERENCE)
    for row in rows[1:]:
        row["seconds_ratio"] = row["cpu_seconds"] / reference
    there_and_back = data.X[real[: unit["n_invert"]]]
    for n_steps in unit["inversion_steps"]:
        rows += [{**shared, **row} for row in _inversion(model, there_and_back, n_steps)]
    return Output(rows)


def _distance(real: NDArray, other: NDArray, seed: int) -> dict[str, float]:
    return {
        "mmd": mmd(real, other, random_state=seed),
        "forest_auc": forest_auc(real, other, n_estimators=100, random_state=seed),
    }


def _sample(
    model: LatentDiffusion, sampler: str, n_steps: int, n: int
) -> tuple[NDArray, dict[str, Any]]:
    """Sample cells, and the least CPU time of as many repeats as fit into `TIMING`."""
    seconds: list[float] = []
    while not seconds or sum(seconds) + seconds[-1] < TIMING:
        # A copy has the model's random state: every sampler starts from the same noise.
        chain = copy.deepcopy(model).set_params(sampler=sampler, n_steps=n_steps)
        with _calls(chain) as calls:
            start = time.process_time()
            cells = chain.sample(n=n)
            seconds.append(time.process_time() - start)
    row = {
        "kind": "sampler",
        "sampler": sampler,
        "steps": n_steps,
        "evaluations": len(calls),
        "cpu_seconds": min(seconds) * 1000 / n,
    }
    return cells, row


def _inversion(model: LatentDiffusion, X: NDArray, n_steps: int) -> list[dict[str, Any]]:
    """Errors of latents that went to noise and back, for our inversion and the usual one."""
    z = model.encode(X)
    with _calls(model) as calls:
        noise = model.invert(X, n_steps=n_steps)
    found = {"fixed point": (model.from_noise(noise, n_steps=n_steps), _per_cell(calls, X))}
    sigmas = diffusion.select_sigmas(model.ladder_, n_steps, model.sigma_max_)
    with torch.no_grad():
        with _calls(model) as calls:
            start = torch.from_numpy(z)
            up = diffusion.invert_ddim(model.denoiser_, start, sigmas, n_iterations=0)
        down = diffusion.sample_ddim(model.denoiser_, up, sigmas).numpy()
    found["Euler"] = (down, _per_cell(calls, X))
    rows = []
    for method, (back, evaluations) in found.items():
        error = np.linalg.norm(back - z, axis=1) / np.linalg.norm(z, axis=1)
        rows.append(
            {
                "kind": "inversion",
                "method": method,
                "steps": n_steps,
                "evaluations": evaluations,
                "median_error": np.median(error),
                "error_99": np.quantile(error, 0.99),
                "worst_error": error.max(),
                "not_back": float((error > CLEAR).mean()),
            }
        )
    return rows


def _per_cell(calls: list[int], X: NDArray) -> int:
    """Return evaluations of the denoiser for a cell, on average: some need more than others."""
    return round(sum(calls) / len(X))


@contextmanager
def _calls(model: LatentDiffusion) -> Iterator[list[int]]:
    """Collect the number of cells of each call of the denoiser."""
    calls: list[int] = []
    hook = model.denoiser_.register_forward_hook(lambda module, given, out: calls.append(len(out)))
    try:
        yield calls
    finally:
        hook.remove()
