"""Several conditions at once, and whether generated cells agree with all of them."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scdiff_bench.classifiers.catalogue import CLASSIFIERS
from scdiff_bench.data.datasets import Dataset
from scdiff_bench.generator_studies.joint_conditions.evaluators import Labels, train_judge
from scdiff_bench.generator_studies.models import check_model, make_model
from scdiff_bench.generator_studies.parts import Output, StudyConfig
from scdiff_bench.messages import choose
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split

VERSION = 2
"""Raised when the same unit gives other rows than before."""

LIBRARIES = ("celltypist",)
JOINED = " | "
COMPONENTS = 50


@dataclass(frozen=True)
class Parameters:
    """Parameters of the study.

    Attributes
    ----------
    splits : int
        Random splits of the cells: generator (half), evaluators and tests (a quarter each).
    conditions : list of str
        Annotations that are asked for at once: "cell_type", and columns of the data set.
    guidance_scales : list of float
        Weights of the gradients to try, beside those that are found from the training cells.
    judges : list of str
        Classifiers that evaluate agreement.
    model : dict
        Parameters of the generator.
    """

    splits: int = 5
    conditions: list[str] = field(default_factory=lambda: ["cell_type", "condition", "donor"])
    guidance_scales: list[float] = field(default_factory=lambda: [1.0, 2.0, 3.0])
    judges: list[str] = field(default_factory=lambda: ["logistic_regression", "random_forest"])
    model: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_model(self.model)
        for name in self.judges:
            choose("judge", name, CLASSIFIERS)
        if self.splits < 2:
            raise ValueError(f"params: splits={self.splits} must be at least 2 for an interval.")
        for key in ("conditions", "guidance_scales", "judges"):
            if not getattr(self, key):
                raise ValueError(f"params: {key} must not be empty.")


def units(config: StudyConfig, datasets: Sequence[Dataset]) -> list[dict[str, Any]]:
    """One unit per data set and split."""
    p: Parameters = config.params
    for data in datasets:
        labels = labels_of(data, p.conditions)
        names, counts = np.unique(joined(labels), return_counts=True)
        if counts.min() < 4:
            raise ValueError(
                f"Data set {data.name!r}: the combination {str(names[counts.argmin()])!r} has "
                f"{counts.min()} cells; a half and two quarters need at least 4."
            )
    shared = {
        "conditions": p.conditions,
        "guidance_scales": p.guidance_scales,
        "judges": p.judges,
        "model": p.model,
    }
    return [
        {"dataset": data.name, "name": f"{data.name} split {split}", "split": split, **shared}
        for data in datasets
        for split in range(p.splits)
    ]


def labels_of(data: Dataset, conditions: Sequence[str]) -> dict[str, NDArray[np.str_]]:
    """Return annotations of a data set's cells.

    Parameters
    ----------
    data : Dataset
        The cells.
    conditions : sequence of str
        "cell_type", and names of its groups.

    Returns
    -------
    dict of str to ndarray
        By name.
    """
    known = {"cell_type": data.y, **data.groups}
    return {name: known[choose(f"condition of {data.name!r}", name, known)] for name in conditions}


def joined(labels: Labels) -> NDArray[np.str_]:
    """Return the combination that each cell belongs to, as one name.

    Parameters
    ----------
    labels : mapping of str to ndarray
        By annotation.

    Returns
    -------
    ndarray of str
        One per cell.
    """
    return np.array([JOINED.join(names) for names in zip(*labels.values(), strict=True)])


def compute(unit: dict[str, Any], data: Dataset, seed: int) -> Output:
    """Generate a cell for each held-out one, with its conditions; evaluators classify both."""
    labels = labels_of(data, unit["conditions"])
    combined = joined(labels)
    everyone = np.arange(len(data.X))
    mine, rest = train_test_split(everyone, test_size=0.5, stratify=combined, random_state=seed)
    judging, held_out = train_test_split(
        rest, test_size=0.5, stratify=combined[rest], random_state=seed
    )
    wanted = {name: y[held_out] for name, y in labels.items()}
    made = _generate(unit, data.X[mine], {k: y[mine] for k, y in labels.items()}, wanted, seed)
    components = PCA(min(COMPONENTS, len(judging) - 1), random_state=seed, svd_solver="arpack").fit(
        data.X[judging].astype(float)
    )
    groups = joined(wanted)
    cells = {("real", 0.0): data.X[held_out], **made}
    real_spread = _spread(components.transform(data.X[held_out]), groups)
    rows = []
    for name in unit["judges"]:
        labels_seen = {k: y[judging] for k, y in labels.items()}
        judge = train_judge(name, data.X[judging], labels_seen, data.genes.tolist(), seed)
        for (arm, scale), X in cells.items():
            right = judge.right(X, wanted)
            rows.append(
                {
                    "split": unit["split"],
                    "judge": name,
                    "arm": arm,
                    "guidance_scale": scale,
                    "n_generator": len(mine),
                    "n_judge": len(judging),
                    "n_held_out": len(held_out),
                    "combinations": len(np.unique(combined)),
                    **{f"agrees_{k}": float(hits.mean()) for k, hits in right.items()},
                    "by_combination": json.dumps(_by_combination(right["jointly"], groups)),
                    "spread": _spread(components.transform(X), groups) / real_spread,
                }
            )
    return Output(rows)


def _generate(
    unit: dict[str, Any], X: NDArray[np.float32], labels: Labels, wanted: Labels, seed: int
) -> dict[tuple[str, float], NDArray[np.float32]]:
    """Cells without condition, with several at once by scale, and with their product as one.

    Scale 0 stands for those that are found from the training cells.
    """
    backbone = make_model(unit["model"], seed).fit(X)
    n = len(next(iter(wanted.values())))
    several, one = copy.deepcopy(backbone), copy.deepcopy(backbone)
    for name, y in labels.items():
        several.add_condition(name, y)
    one.add_condition("combination", joined(labels))
    found = {("unguided", 0.0): copy.deepcopy(backbone).sample(n=n)}
    for scale in unit["guidance_scales"]:
        # Copies have one random state: every scale starts from the same noise.
        chain = copy.deepcopy(several)
        found["several", scale] = chain.sample(wanted, n, guidance_scale=scale)
    found["found", 0.0] = copy.deepcopy(several).sample(wanted, n)
    found["one", 0.0] = one.sample({"combination": joined(wanted)}, n)
    return found


def _by_combination(right: NDArray[np.bool_], groups: NDArray[np.str_]) -> dict[str, list[int]]:
    """Count the cells of each combination: those that are called right, and all."""
    return {
        str(name): [int(right[groups == name].sum()), int((groups == name).sum())]
        for name in np.unique(groups)
    }


def _spread(z: NDArray, groups: NDArray[np.str_]) -> float:
    """Mean variance within groups, over the groups that have two cells or more."""
    squares, degrees = 0.0, 0
    for name in np.unique(groups):
        part = z[groups == name]
        squares += float(((part - part.mean(axis=0)) ** 2).sum())
        degrees += len(part) - 1
    return squares / max(degrees, 1)
