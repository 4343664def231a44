"""From one type to another by mixed gradients, with the type in between left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scdiff_bench.data.datasets import Dataset
from scdiff_bench.generator_studies.interpolation.paths import (
    GENE_LINE,
    GRADIENTS,
    LATENT_LINE,
    LATENT_LINE_RANDOM,
    PathScorer,
    draw,
)
from scdiff_bench.generator_studies.interpolation.trajectory import (
    Points,
    Trajectory,
    learn_trajectory,
)
from scdiff_bench.generator_studies.models import check_model, make_model
from scdiff_bench.generator_studies.parts import Arrays, Output, StudyConfig
from scdiff_bench.messages import choose
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from scdiff_augment import LatentDiffusion

VERSION = 1
"""Raised when the same unit gives other rows than before."""

TEST = {
    "dataset": "pancreas_endocrinogenesis",
    "root": "Ductal",
    "source": "Ngn3 high EP",
    "target": "Beta",
    "left_out": ["Pre-endocrine"],
}
VALIDATION = [
    {
        "dataset": "pancreas_endocrinogenesis",
        "root": "Ductal",
        "source": "Ductal",
        "target": "Ngn3 high EP",
        "left_out": ["Ngn3 low EP"],
    },
    {
        "dataset": "paul15",
        "root": "7MEP",
        "source": "7MEP",
        "target": "3Ery",
        "left_out": ["4Ery", "5Ery", "6Ery"],
    },
]


GRIDS = {
    "drawn": {"sigma": [1.0, 2.0, 4.0, 8.0, 16.0], "guidance_scale": [0.5, 1.0, 1.5, 2.0]},
    "inverted": {"sigma": [2.0, 8.0], "guidance_scale": [1.0, 1.5]},
}


@dataclass(frozen=True)
class Parameters:
    """Parameters of the study.

    Attributes
    ----------
    test : dict
        ``dataset``, type of the ``root`` of pseudotime, ``source``, ``target``, and the list of
        types that are ``left_out`` of training.
    validation : list of dict
        Transitions of the same form on which sigma, guidance scale and latent are compared.
    repeats, validation_repeats : int
        Models, each with a seed and starting cells of its own.
    n_starts, n_weights : int
        Starting cells; weights of the target, evenly spaced from 0 to 1.
    middle : list of float
        Lowest and highest weight that count as the middle of the path.
    sigma, guidance_scale : float
        Of the test.
    model : dict
        Parameters of the generator in the test.
    grids : dict of str to dict
        Compared on the validation transitions, for each kind of noise: lists of ``sigma`` and
        ``guidance_scale``, every one with every other.
    models : dict of str to dict
        Parameters of the generators compared there.
    """

    test: dict[str, Any] = field(default_factory=lambda: dict(TEST))
    validation: list[dict[str, Any]] = field(default_factory=lambda: [dict(v) for v in VALIDATION])
    repeats: int = 5
    validation_repeats: int = 2
    n_starts: int = 100
    n_weights: int = 11
    middle: list[float] = field(default_factory=lambda: [0.3, 0.7])
    sigma: float = 8.0
    guidance_scale: float = 1.5
    model: dict[str, Any] = field(default_factory=dict)
    grids: dict[str, dict[str, list[float]]] = field(default_factory=lambda: dict(GRIDS))
    models: dict[str, dict[str, Any]] = field(default_factory=lambda: {"default": {}})

    def __post_init__(self) -> None:
        for model in (self.model, *self.models.values()):
            check_model(model)
        for key, least in (("repeats", 0), ("validation_repeats", 0), ("n_starts", 2)):
            if getattr(self, key) < least:
                raise ValueError(f"params: {key}={getattr(self, key)} must be at least {least}.")
        for kind, grid in self.grids.items():
            choose("kind of noise in params: grids", kind, GRADIENTS)
            if grid.keys() != {"sigma", "guidance_scale"}:
                raise ValueError(
                    f"params: grids: {kind} must list sigma and guidance_scale, got {sorted(grid)}."
                )
        if self.n_weights < 3:
            raise ValueError(f"params: n_weights={self.n_weights} must be at least 3.")
        if len(self.middle) != 2 or not 0 < self.middle[0] <= self.middle[1] < 1:
            raise ValueError(
                f"params: middle={self.middle} must be two rising weights between 0 and 1."
            )
        for transition in (self.test, *self.validation):
            if transition.keys() != TEST.keys():
                raise ValueError(
                    f"params: a transition must have exactly the keys {sorted(TEST)}, got "
                    f"{sorted(transition)}."
                )


def units(config: StudyConfig, datasets: Sequence[Dataset]) -> list[dict[str, Any]]:
    """One unit per repeat of the test; one per repeat, transition and model of the validation."""
    p: Parameters = config.params
    labels = {d.name: set(d.y.tolist()) for d in datasets}
    for t in (p.test, *p.validation):
        if t["dataset"] not in labels:
            raise ValueError(f"dataset {t['dataset']!r} of a transition is not in `datasets`.")
        named = {t["root"], t["source"], t["target"], *t["left_out"]}
        if unknown := named - labels[t["dataset"]]:
            raise ValueError(
                f"dataset {t['dataset']!r} has no type {sorted(unknown)[0]!r}; it has "
                f"{sorted(labels[t['dataset']])}."
            )
    shared = {"n_starts": p.n_starts, "n_weights": p.n_weights, "middle": p.middle}
    found = [
        {
            **shared,
            **p.test,
            "name": f"test {i + 1}",
            "role": "test",
            "model_name": "final",
            "model": p.model,
            "settings": [[kind, p.sigma, p.guidance_scale] for kind in GRADIENTS],
        }
        for i in range(p.repeats)
    ]
    grid = [
        [kind, sigma, scale]
        for kind, levels in p.grids.items()
        for sigma in levels["sigma"]
        for scale in levels["guidance_scale"]
    ]
    for t in p.validation:
        for name, model in p.models.items():
            found += [
                {
                    **shared,
                    **t,
                    "name": f"{t['source']} to {t['target']}, {name} {i + 1}",
                    "role": "validation",
                    "model_name": name,
                    "model": model,
                    "settings": grid,
                }
                for i in range(p.validation_repeats)
            ]
    return found


def compute(unit: dict[str, Any], data: Dataset, seed: int) -> Output:
    """Fit without the left-out types, lead cells along, and score the paths."""
    rng = np.random.default_rng(seed)
    weights = np.linspace(0, 1, unit["n_weights"])
    space = learn_trajectory(data.X, data.y, unit["root"])
    left_out = np.isin(data.y, unit["left_out"])
    training = np.flatnonzero(~left_out)
    model = make_model(unit["model"], seed).fit(data.X[training])
    model.add_condition("type", data.y[training])
    starts = draw(rng, np.flatnonzero(data.y == unit["source"]), unit["n_starts"])
    halves = np.array_split(rng.permutation(np.flatnonzero(left_out)), 2)
    ends = rng.choice(np.flatnonzero(data.y == unit["target"]), len(starts))
    made_from = np.concatenate([starts, ends])
    scorer = PathScorer(unit, space.without(made_from), weights, starts, halves, seed)

    rows: list[dict[str, Any]] = []
    arrays: Arrays = {}
    for kind, sigma, scale in unit["settings"]:
        path = model.interpolate(
            data.X[starts],
            "type",
            unit["source"],
            unit["target"],
            weights,
            sigma=sigma,
            guidance_scale=scale,
            noise=kind,
        )
        points = [space.project(cells) for cells in path]
        settings = {"sigma": sigma, "guidance_scale": scale}
        rows += scorer.path(GRADIENTS[kind], points, settings)
        if unit["role"] == "test":
            arrays |= {f"path_{kind}": np.stack(points)[:, :, :2].astype(np.float32)}
    if unit["role"] == "test":
        arrays |= {"real": space.points[:, :2].astype(np.float32), "labels": space.labels}
    for method, points in lines(model, space, data, weights, starts, ends):
        rows += scorer.path(method, points, {})
    rows += scorer.controls(model, data, rng)
    return Output(rows, arrays)


def lines(
    model: LatentDiffusion,
    space: Trajectory,
    data: Dataset,
    weights: Points,
    starts: NDArray[np.intp],
    ends: NDArray[np.intp],
) -> list[tuple[str, list[Points]]]:
    """Straight lines from the starting cells to real cells of the target, on projected cells."""
    z0, z1 = model.encode(data.X[starts]), model.encode(data.X[ends])
    matched = linear_sum_assignment(cdist(z0, z1, "sqeuclidean"))[1]
    x0, x1 = data.X[starts], data.X[ends][matched]

    def decoded(partners: NDArray[np.intp] | slice) -> list[Points]:
        latents = ((1 - w) * z0 + w * z1[partners] for w in weights)
        return [space.project(model.decode(z)) for z in latents]

    return [
        (LATENT_LINE, decoded(matched)),
        (LATENT_LINE_RANDOM, decoded(slice(None))),
        (GENE_LINE, [space.project((1 - w) * x0 + w * x1) for w in weights]),
    ]
