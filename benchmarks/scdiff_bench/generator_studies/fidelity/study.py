"""How real are the cells: metrics on held-out cells, beside those of other real cells."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scdiff_bench.data.datasets import Dataset
from scdiff_bench.generator_studies.fidelity import metrics as figures
from scdiff_bench.generator_studies.fidelity.cells import Parts, cut, matched, part, rare_types
from scdiff_bench.generator_studies.models import check_model, make_model
from scdiff_bench.generator_studies.parts import Arrays, Output, StudyConfig
from scdiff_bench.messages import choose

from scdiff_augment.metrics import telling_genes
from scdiff_augment.metrics.intervals import prediction_interval

VERSION = 2
"""Raised when the same unit gives other rows than before."""

LIBRARIES = ("celltypist",)

REAL = "real cells"
"""The variant's name in rows of the reference: real cells in the place of synthetic ones."""

DRAWN = 1000
"""Cells of each side that the pictures show."""

SAMPLING = ("temperature", "guidance_scale")
"""Options of `LatentDiffusion.sample` that a variant may set."""

N_MARKERS = 2
"""Markers of each class in the dot plot."""


@dataclass(frozen=True)
class Parameters:
    """Parameters of the study.

    Attributes
    ----------
    draws : int
        Random splits of each data set, each with models of its own.
    n_train, n_score : int
        Cells that the model learns from, at most half of all; synthetic cells, and real cells in
        each of the two parts they are compared with, at most half of the rest.
    n_estimators : int
        Trees of the random forests. AUCs of forests of different sizes must not be compared.
    null_repeats : int
        Random halvings of the held-out cells in each repeat, for the interval of real cells.
    rare_n : list of int
        Training cells that the smallest types are cut to, in models of their own that are checked
        for memorisation.
    variants : dict of str to dict
        Parameters of the generator by the name of the variant; the first is the one pictured.
        The key ``note`` says in a line what the variant tests; it changes no result. The key
        ``sampling`` holds options of `LatentDiffusion.sample`: "temperature", "guidance_scale".
    """

    draws: int = 2
    n_train: int = 4000
    n_score: int = 1500
    n_estimators: int = 200
    null_repeats: int = 8
    rare_n: list[int] = field(default_factory=lambda: [10])
    variants: dict[str, dict[str, Any]] = field(default_factory=lambda: {"default": {}})

    def __post_init__(self) -> None:
        if not self.variants:
            raise ValueError("params: variants must name at least one, for example {default: {}}.")
        for name, params in self.variants.items():
            if name == REAL:
                raise ValueError(
                    f"params: a variant must not be named {REAL!r}: that is the reference."
                )
            if not isinstance((params or {}).get("note", ""), str):
                raise ValueError(f"params: the note of variant {name!r} must be a line of text.")
            check_model(_model(params))
            for key in _sampling(params):
                choose(f"option of sampling in variant {name!r}", key, list(SAMPLING))
        for key in ("draws", "n_train", "n_score", "n_estimators"):
            if getattr(self, key) < 1:
                raise ValueError(f"params: {key}={getattr(self, key)} must be at least 1.")
        if self.null_repeats < 2:
            raise ValueError(
                f"params: null_repeats={self.null_repeats} must be at least 2, for an "
                "interval to be estimated."
            )
        for n in self.rare_n:
            if type(n) is not int or n < 2:
                raise ValueError(f"params: rare_n={n!r} must be a whole number of at least 2.")


def units(config: StudyConfig, datasets: Sequence[Dataset]) -> list[dict[str, Any]]:
    """For each draw one unit of the null, and of each variant one and one for each cut."""
    p: Parameters = config.params
    found = []
    for data in datasets:
        cuts = [n for n in p.rare_n if rare_types(data.y, n)]
        for draw in range(p.draws):
            base = {
                "dataset": data.name,
                "draw": draw,
                "n_train": p.n_train,
                "n_score": p.n_score,
                "split": config.seed + draw,
            }
            trees = {"n_estimators": p.n_estimators}
            found.append(
                base | trees | {
                    "name": f"{data.name} {REAL} draw {draw}", "kind": "null",
                    "repeats": p.null_repeats, "cuts": cuts,
                }
            )  # fmt: skip
            for i, (variant, params) in enumerate(p.variants.items()):
                own = base | {"variant": variant, "model": _model(params)}
                own |= {"sampling": _sampling(params)}
                name = f"{data.name} {variant}"
                found.append(
                    own | trees | {
                        "name": f"{name} draw {draw}", "kind": "variant",
                        "pictured": draw == 0 and i == 0,
                    }
                )  # fmt: skip
                found += [
                    own | {"name": f"{name} rare {n} draw {draw}", "kind": "rare", "rare_n": n}
                    for n in cuts
                ]
    return found


def annotate(config: StudyConfig, row: Mapping[str, Any]) -> dict[str, Any]:
    """Say what the variant of a row tests."""
    params = config.params.variants.get(row.get("variant")) or {}
    return {"note": params.get("note", "")}


def compute(unit: dict[str, Any], data: Dataset, seed: int) -> Output:
    """Score the null, a variant, or a variant's cells of rare types."""
    parts = part(len(data.X), unit["n_train"], unit["n_score"], unit["split"])
    base = {"draw": unit["draw"], "variant": unit.get("variant", REAL)}
    base |= {"n_train": len(parts.train), "low": np.nan, "high": np.nan}
    if unit["kind"] == "null":
        return Output([base | row for row in _null(unit, data, parts)])
    if unit["kind"] == "rare":
        parts = cut(data.y, parts, unit["rare_n"], unit["n_score"])
    model = make_model(unit["model"], seed)
    start = time.process_time()
    model.fit(data.X[parts.train])
    if unit["kind"] == "rare":
        model.add_condition("label", data.y[parts.train])
        cells = model.sample({"label": data.y[parts.real]}, **unit["sampling"])
        base["seconds"] = time.process_time() - start
        rows = figures.memorised(data, parts, cells, f"rare {unit['rare_n']}", unit["split"])
        return Output([base | row for row in rows])
    plain = {k: v for k, v in unit["sampling"].items() if k != "guidance_scale"}
    new = model.sample(n=len(parts.real), **plain)
    base["seconds"] = time.process_time() - start
    real, _ = matched(data.y, parts)
    model.add_condition("label", data.y[parts.train])
    by_name = model.sample({"label": data.y[real]}, **unit["sampling"])
    base["seconds_with_label"] = time.process_time() - start
    table = figures.natural(
        data.X[parts.real], new, data.X[parts.train], unit["split"], unit["n_estimators"]
    )
    rows = [*figures.plain(table, "none"), *_named(unit, data, parts, by_name, new, real)]
    arrays = _pictured(unit, data, parts, new, by_name, real) if unit["pictured"] else {}
    return Output([base | row for row in rows], arrays)


def _named(
    unit: Mapping[str, Any],
    data: Dataset,
    parts: Parts,
    cells: figures.Matrix,
    unnamed: figures.Matrix,
    real: figures.Index,
    null: bool = False,
) -> Iterator[figures.Row]:
    """Figures of cells with labels, and those of the published protocol."""
    seed = unit["split"]
    table = figures.by_class(data, real, cells, parts.train, seed, null=null)
    yield from figures.plain(table, "label", null)
    trees = unit["n_estimators"]
    yield from figures.published(data.X[parts.train], unnamed, seed, trees)
    # CellTypist is trained on the cells that stand in for synthetic ones elsewhere, so its
    # reference is the part that is compared with: the same labels, none of its training cells.
    judged = data.X[real] if null else cells
    for judging, conditions in ((parts.others, "label"), (parts.train, "published")):
        yield from figures.called_right(data, judging, judged, data.y[real], conditions)


def _null(unit: Mapping[str, Any], data: Dataset, parts: Parts) -> Iterator[figures.Row]:
    """Figures of real cells in the place of synthetic ones."""
    seed, n = unit["split"], len(parts.real)
    held_out = np.concatenate([parts.real, parts.others])
    tables = []
    for repeat in range(unit["repeats"]):
        if repeat:
            held_out = np.random.default_rng([seed, repeat]).permutation(held_out)
        real, null = data.X[held_out[:n]], data.X[held_out[n : 2 * n]]
        trees = unit["n_estimators"]
        tables.append(figures.natural(real, null, data.X[parts.train], seed + repeat, trees))
    for figure, rows in pd.concat(tables).groupby("figure", sort=False):
        low, high = prediction_interval(rows["synthetic"])
        yield {
            "class": "all cells", "figure": figure, "n": n, "conditions": "none",
            "value": rows["synthetic"].mean(), "low": low, "high": high,
        }  # fmt: skip
    real, others = matched(data.y, parts)
    yield from _named(unit, data, parts, data.X[others], data.X[parts.null], real, null=True)
    for rare_n in unit["cuts"]:
        rare = cut(data.y, parts, rare_n, unit["n_score"])
        cells = data.X[rare.null]
        yield from figures.memorised(data, rare, cells, f"rare {rare_n}", seed, null=True)


def _pictured(
    unit: Mapping[str, Any],
    data: Dataset,
    parts: Parts,
    new: figures.Matrix,
    by_name: figures.Matrix,
    real: figures.Index,
) -> Arrays:
    """Return what the pictures show."""
    trees = {"n_estimators": unit["n_estimators"], "random_state": unit["split"]}
    telling = telling_genes(data.X[parts.real], new, genes=data.genes, **trees).head(15)
    return {
        "real": data.X[parts.real[:DRAWN]],
        "synthetic": new[:DRAWN],
        "real_named": data.X[real[:DRAWN]],
        "labels": data.y[real[:DRAWN]],
        "synthetic_named": by_name[:DRAWN],
        "genes": data.genes,
        "markers": _markers(data.X[parts.train], data.y[parts.train]),
        "telling_gene": telling.index.to_numpy(dtype=str),
        **{f"telling_{c}": telling[c].to_numpy() for c in telling},
    }


def _markers(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Columns of the genes that stand out in each class of the training cells, (classes, n)."""
    found = []
    for label in np.unique(y):
        inside = y == label
        gap = X[inside].mean(axis=0) - X[~inside].mean(axis=0)
        found.append(np.argsort(-gap)[:N_MARKERS])
    return np.array(found)


def _model(params: Mapping[str, Any] | None) -> dict[str, Any]:
    apart = ("note", "sampling")
    return {key: value for key, value in (params or {}).items() if key not in apart}


def _sampling(params: Mapping[str, Any] | None) -> dict[str, Any]:
    return dict((params or {}).get("sampling", {}))
