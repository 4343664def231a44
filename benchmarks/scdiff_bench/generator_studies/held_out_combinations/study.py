"""Combinations absent from training: made from what a condition changes in other types."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scdiff_bench.data.datasets import Dataset
from scdiff_bench.generator_studies.models import check_model, make_model
from scdiff_bench.generator_studies.parts import Arrays, Output, StudyConfig
from scipy.stats import ttest_ind
from sklearn.decomposition import PCA
from sklearn.metrics import r2_score

from scdiff_augment import LatentDiffusion
from scdiff_augment.expression.kinds import depth_normalised
from scdiff_augment.metrics import mmd, r2_top_genes

VERSION = 2
"""Raised when the same unit gives other rows than before."""

TYPE = "cell_type"
ARMS = {
    "null": "real cells, the other half",
    "control": "control cells as they are",
    "smooth": "latent arithmetic, smooth",
    "counts": "latent arithmetic, counts drawn",
    "expression": "expression arithmetic",
    "gradients": "generator, gradients alone",
    "generator": "generator",
    "start": "generator from control cells",
    "carried": "control cells + the generator's change",
}
STRENGTH = 0.5


@dataclass(frozen=True)
class Parameters:
    """Parameters of the study.

    Attributes
    ----------
    condition, base, target : str
        The annotation besides cell type; its class that is always in training, and the one
        that is left out for a type.
    draws, design_draws : int
        Models for each type left out; models for each two types left out together, on which the
        method was chosen.
    n_genes : int
        Top responding genes of a type.
    n_splits : int
        Times that the left-out cells are split into halves: reference, and real cells to compare.
    model : dict
        Parameters of the generator.
    """

    condition: str = "condition"
    base: str = "ctrl"
    target: str = "stim"
    draws: int = 5
    design_draws: int = 2
    n_genes: int = 50
    n_splits: int = 10
    model: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_model(self.model)
        least = {"draws": 1, "design_draws": 0, "n_genes": 2, "n_splits": 1}
        for key, low in least.items():
            if getattr(self, key) < low:
                raise ValueError(f"params: {key}={getattr(self, key)} must be at least {low}.")


def units(config: StudyConfig, datasets: Sequence[Dataset]) -> list[dict[str, Any]]:
    """One model per draw and type left out, and per two types left out together."""
    p: Parameters = config.params
    names = ("condition", "base", "target", "n_genes", "n_splits", "model")
    shared = {name: getattr(p, name) for name in names}
    found = []
    for data in datasets:
        types = _types(data, p)
        stages = [("final", [[t] for t in types], p.draws)]
        stages.append(("design", [list(pair) for pair in combinations(types, 2)], p.design_draws))
        found += [
            {
                "dataset": data.name,
                "name": f"{data.name} {stage} {' + '.join(out)} draw {draw}",
                "stage": stage,
                "left_out": out,
                "draw": draw,
                **shared,
            }
            for stage, sets, draws in stages
            for out in sets
            for draw in range(draws)
        ]
    return found


def _types(data: Dataset, p: Parameters) -> list[str]:
    if p.condition not in data.groups:
        raise ValueError(
            f"params: condition={p.condition!r} is not an annotation of {data.name!r}, which has "
            f"{list(data.groups)}."
        )
    labels = data.groups[p.condition]
    types = sorted(map(str, set(data.y)))
    for t in types:
        for level in (p.base, p.target):
            if (n := int(((data.y == t) & (labels == level)).sum())) < 4:
                raise ValueError(
                    f"{data.name!r} has {n} cells of {t!r} with {p.condition} {level!r}; at least "
                    f"4 are needed. Leave the type out of the file."
                )
    return types


def compute(unit: dict[str, Any], data: Dataset, seed: int) -> Output:
    """Fit without the left-out cells, generate them by every method, and score each."""
    name, target = unit["condition"], unit["target"]
    labels = data.groups[name]
    train = ~(np.isin(data.y, unit["left_out"]) & (labels == target))
    X, types = data.X[train], data.y[train]
    model = make_model(unit["model"], seed).fit(X)
    model.add_condition(TYPE, types).add_condition(name, labels[train])
    sizes = {t: int(((data.y == t) & (labels == unit["base"])).sum()) for t in unit["left_out"]}
    plain = {t: model.sample({TYPE: t, name: target}, n) for t, n in sizes.items()}
    model.add_condition(name, labels[train], within={TYPE: types})
    notes = [note for note in model.history_["notes"] if "was never seen with" in note]
    rows, arrays = [], {}
    for t in unit["left_out"]:
        arms = {**_made(model, X, types, labels[train], t, unit), "gradients": plain[t]}
        real = data.X[(data.y == t) & (labels == target)]
        shared = {k: unit[k] for k in ("stage", "draw")}
        shared |= {"left_out": " + ".join(unit["left_out"]), TYPE: t}
        source = next(note for note in notes if f"{TYPE} {t} was" in note)
        for arm, scores in score(real, arms, unit["n_genes"], unit["n_splits"], seed).items():
            rows.append({**shared, "arm": arm, "source": source, **scores})
        if unit["stage"] == "final" and unit["draw"] == 0:
            arrays = _shown(data, real, arms, unit["n_genes"])
    return Output(rows, arrays)


def _made(
    model: LatentDiffusion,
    X: NDArray,
    types: NDArray,
    labels: NDArray,
    t: str,
    unit: dict[str, Any],
) -> dict[str, NDArray]:
    """Cells of the unseen combination, as many as there are control cells, by every method."""
    name, base, target = unit["condition"], unit["base"], unit["target"]
    z = model.encode(X)
    others = [u for u in np.unique(types) if u not in unit["left_out"]]
    control = (types == t) & (labels == base)

    def change(values: NDArray) -> NDArray:
        """Mean over the other types of their mean response."""
        parts = [
            values[(types == u) & (labels == target)].mean(axis=0)
            - values[(types == u) & (labels == base)].mean(axis=0)
            for u in others
        ]
        return np.mean(parts, axis=0)

    wanted = {TYPE: t, name: target}
    moved = (z[control] + change(z)).astype(np.float32)
    effects = model.conditions_.learnt[name].effects
    codes = [int(np.flatnonzero(model.conditions_[k] == v)[0]) for k, v in wanted.items()]
    return {
        "control": X[control],
        "smooth": depth_normalised(model.codec_.rates(moved)[0]),
        "counts": model.decode(moved),
        "expression": np.maximum(X[control] + change(X), 0),
        "generator": model.sample(wanted, int(control.sum())),
        "start": model.sample(wanted, start=X[control], strength=STRENGTH),
        "carried": model.decode(z[control] + effects.shift[codes[0], codes[1]].numpy()),
    }


def top_genes(real: NDArray, control: NDArray, n_genes: int) -> NDArray[np.intp]:
    """Genes of largest absolute Welch t between real target and control cells."""
    t = ttest_ind(real, control, axis=0, equal_var=False).statistic
    return np.argsort(-np.abs(np.nan_to_num(t)), kind="stable")[:n_genes]


def score(
    real: NDArray, arms: dict[str, NDArray], n_genes: int, n_splits: int, seed: int
) -> dict[str, dict[str, float]]:
    """Mean scores over halves of the real cells; every method has as many cells as a half.

    ``r2`` takes the genes whose mean changes most in the reference half, ``r2_welch`` those of
    largest Welch t over all real cells.
    """
    control = arms["control"]
    genes = top_genes(real, control, n_genes)
    n = min(len(real) // 2, *map(len, arms.values()))
    found: dict[str, list[dict[str, float]]] = {arm: [] for arm in ["null", *arms]}
    for split in range(n_splits):
        rng = np.random.default_rng([seed, split])
        reference, null = real[rng.permutation(len(real))[: 2 * n]].reshape(2, n, -1)
        for arm, cells in {"null": null, **arms}.items():
            made = cells[rng.permutation(len(cells))[:n]]
            a, b = (values[:, genes].mean(axis=0, dtype=np.float64) for values in (reference, made))
            found[arm].append(
                {
                    "mmd": mmd(reference, made, random_state=seed),
                    "r2": r2_top_genes(reference, made, control, n_genes=n_genes),
                    "r2_welch": float(r2_score(a, b)),
                }
            )
    return {
        arm: {key: float(np.mean([s[key] for s in scores])) for key in scores[0]} | {"n": n}
        for arm, scores in found.items()
    }


def _shown(data: Dataset, real: NDArray, arms: dict[str, NDArray], n_genes: int) -> Arrays:
    """Return changes of the genes' means, and cells in two components of all real cells."""
    change = real.mean(axis=0) - arms["control"].mean(axis=0)
    genes = np.argsort(-np.abs(change), kind="stable")[:n_genes]
    control = arms["control"][:, genes].mean(axis=0)
    sets = {"real": real, "generator": arms["generator"], "arithmetic": arms["counts"]}
    shown = {f"change_{k}": v[:, genes].mean(axis=0) - control for k, v in sets.items()}
    pca = PCA(2, random_state=0).fit(data.X)
    cells = {"real": real, "generator": arms["generator"], "control": arms["control"]}
    cells["all"] = data.X
    return shown | {f"pca_{k}": pca.transform(v).astype(np.float32) for k, v in cells.items()}
