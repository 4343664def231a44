"""Diffusion against Gaussians: one codec, several descriptions of its latents, the same noise."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scdiff_bench.data.datasets import Dataset
from scdiff_bench.generator_studies.models import check_model, make_model
from scdiff_bench.generator_studies.parts import Output, StudyConfig
from scdiff_bench.messages import choose

from scdiff_augment import LatentDiffusion
from scdiff_augment.metrics import evaluate

VERSION = 1
"""Raised when the same unit gives other rows than before."""

REAL, RECODED = "real", "recoded"
METRICS = ("forest_auc_pca", "forest_auc_genes", "mmd", "coverage")
ONE, TYPES, CLUSTERS = "one", "types", "clusters"


class Arm(NamedTuple):
    """A description of the latents.

    Attributes
    ----------
    title : str
    groups : {"one", "types", "clusters"}
        What gets a Gaussian of its own: all cells, each type, each k-means cluster.
    trained : bool
        Whether a denoiser that starts from these Gaussians is trained.
    """

    title: str
    groups: str
    trained: bool


ARMS = {
    "gaussian": Arm("one Gaussian", ONE, trained=False),
    "gaussian_diffusion": Arm("diffusion from one Gaussian", ONE, trained=True),
    "types": Arm("a Gaussian for each type (needs labels)", TYPES, trained=False),
    "clusters": Arm("a Gaussian for each k-means cluster", CLUSTERS, trained=False),
    "diffusion": Arm("diffusion from the clusters (default)", CLUSTERS, trained=True),
}
CONTROLS = {
    RECODED: "real cells, encoded and decoded",
    REAL: "other real cells",
}


@dataclass(frozen=True)
class Parameters:
    """Parameters of the study.

    Attributes
    ----------
    sizes : list of int
        Training cells; where half of a data set are fewer, that half once.
    draws : int
        Random divisions of each data set.
    n_score : int
        Held-out cells that are compared with, and cells drawn.
    n_estimators : int
        Trees of the forests.
    arms : list of str
        Descriptions of the latents.
    steps : list of int
        Lengths of training that trained arms are tried with.
    model : dict
        Parameters of the generator.
    """

    sizes: list[Any] = field(default_factory=lambda: [300, 1000, 3000, 6000])
    draws: int = 5
    n_score: int = 1500
    n_estimators: int = 200
    arms: list[Any] = field(default_factory=lambda: list(ARMS))
    steps: list[Any] = field(default_factory=lambda: [300, 3000])
    model: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_model(self.model)
        for name in self.arms:
            choose("arm", name, list(ARMS))
        for key in ("draws", "n_score", "n_estimators"):
            if getattr(self, key) < 1:
                raise ValueError(f"params: {key}={getattr(self, key)} must be at least 1.")
        for key in ("sizes", "steps"):
            if not all(type(n) is int and n >= 1 for n in getattr(self, key)):
                raise ValueError(f"params: {key}={getattr(self, key)} must be whole numbers.")


def units(config: StudyConfig, datasets: Sequence[Dataset]) -> list[dict[str, Any]]:
    """One unit per draw, data set and number of cells: all arms share its codec."""
    p: Parameters = config.params
    shared = {
        "n_score": p.n_score,
        "n_estimators": p.n_estimators,
        "arms": p.arms,
        "steps": p.steps,
        "model": p.model,
    }
    return [
        {
            "dataset": data.name,
            "name": f"{data.name}, {n} cells, draw {draw}",
            "draw": draw,
            "n_train": n,
            **shared,
        }
        for draw in range(p.draws)
        for data in datasets
        for n in sorted({min(size, len(data.X) // 2) for size in p.sizes})
    ]


def compute(unit: dict[str, Any], data: Dataset, seed: int) -> Output:
    """Fit one codec, describe its latents in every way, and compare the cells with real ones."""
    n_train = unit["n_train"]
    order = np.random.default_rng(seed).permutation(len(data.X))
    n = min(unit["n_score"], (len(data.X) - n_train) // 2)
    train, held_out, others = np.split(order[: n_train + 2 * n], [n_train, n_train + n])
    real = data.X[held_out]

    def row(arm: str, steps: int, seconds: float, cells: NDArray) -> dict[str, Any]:
        found = evaluate(
            real,
            cells,
            training=data.X[train],
            figures=METRICS,
            random_state=seed,
            n_estimators=unit["n_estimators"],
        ).set_index("figure")["synthetic"]
        shared = {"draw": unit["draw"], "n_train": n_train, "n": n}
        scores = {name: float(found[name]) for name in METRICS}
        return {**shared, "arm": arm, "steps": steps, "seconds": seconds, **scores}

    model = make_model({**unit["model"], "denoiser_steps": 0}, seed).fit(data.X[train])
    rows = [
        row(REAL, 0, 0.0, data.X[others]),
        row(RECODED, 0, 0.0, copy.deepcopy(model).decode(model.encode(real))),
    ]
    for name in unit["arms"]:
        for steps in unit["steps"] if ARMS[name].trained else [0]:
            start = time.process_time()
            other = _described(model, ARMS[name].groups, data.y[train], steps)
            seconds = time.process_time() - start
            rows.append(row(name, steps, seconds, other.sample(n=n)))
    return Output(rows)


def _described(
    model: LatentDiffusion, groups: str, labels: NDArray[np.str_], steps: int
) -> LatentDiffusion:
    """Copy a model, its randomness too, and train another denoiser on its latents."""
    other = copy.deepcopy(model).set_params(denoiser_steps=steps)
    codes = {
        ONE: np.zeros(len(labels), dtype=np.int64),
        TYPES: np.unique(labels, return_inverse=True)[1].astype(np.int64),
        CLUSTERS: None,
    }[groups]
    assert other.cells_ is not None
    other._fit_denoiser(other.cells_, codes)
    return other
