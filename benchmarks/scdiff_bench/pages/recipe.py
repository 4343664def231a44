"""A pipeline of a comparison as Python code to paste."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from imblearn.over_sampling import SMOTE
from scdiff_bench.classifiers.catalogue import build_classifier
from scdiff_bench.config.entries import DatasetSpec, StrategySpec
from scdiff_bench.config.study import Config
from scdiff_bench.data.datasets import DatasetInfo
from scdiff_bench.pages.verdict import explanation
from scdiff_bench.statistics.pipelines import Pipeline, Verdict
from scdiff_bench.strategies.catalogue import build_strategy
from sklearn.base import BaseEstimator

WIDTH = 92


def recommendation(config: Config, verdict: Verdict, data: DatasetInfo) -> str:
    """Return the recommended pipeline of a data set that was read from a file.

    Parameters
    ----------
    config : Config
        The study.
    verdict : Verdict
        What came out of it for the data set.
    data : DatasetInfo
        The data set.

    Returns
    -------
    str
        Python code that reads the file and fits the pipeline to all of its cells; it begins with
        the gain that was measured.
    """
    said = textwrap.wrap(explanation(verdict, config.main_score), WIDTH)
    return "\n".join([*(f"# {line}" for line in said), code(config, verdict.recommended, data)])


def code(config: Config, pipeline: Pipeline, data: DatasetInfo) -> str:
    """Return Python code that fits a pipeline to all cells of a file.

    Parameters
    ----------
    config : Config
        The study.
    pipeline : Pipeline
        Strategy and classifier.
    data : DatasetInfo
        The data set.

    Returns
    -------
    str
        It defines ``X``, ``labels`` and the fitted ``model``.
    """
    spec = config.specs[pipeline.strategy]
    file = next(d for d in config.datasets if d.name == data.name)
    strategy = build_strategy(spec.name, config.sampling_strategy, config.seed, spec.params)
    model, _ = build_classifier(
        pipeline.classifier, strategy.class_weight, config.seed, (), strategy.balance_cell_type
    )
    imports = {"import anndata as ad"}
    text = _text(model, imports)
    if strategy.sampler is not None:
        imports.add("from imblearn.pipeline import make_pipeline")
        sampler = _sampler(config, spec, strategy.sampler, data, imports)
        text = f"make_pipeline(\n    {sampler},\n    {text},\n)"
    if strategy.thresholds or pipeline.strategy != spec.label:
        imports.add("from scdiff_bench.classifiers.thresholds import TunedThresholds")
        inner = textwrap.indent(text, "    ").strip()
        text = f"TunedThresholds(\n    {inner},\n    random_state={config.seed},\n)"
    lines = list(_cells(config, file, data, imports))
    return "\n".join(
        [
            *_merged(imports),
            "",
            *lines,
            f"model = {text}",
            "model.fit(X, labels)",
            "# New cells, with the same genes in the same order and on the same scale:",
            "# model.predict(new)",
            "",
        ]
    )


def _merged(imports: set[str]) -> list[str]:
    """Return imports as a formatter would order them, one line for each module."""
    names: dict[str, list[str]] = {}
    for line in sorted(imports):
        if line.startswith("from "):
            _, module, _, name = line.split()
            names.setdefault(module, []).append(name)
    whole = sorted(line for line in imports if line.startswith("import "))
    return whole + [f"from {module} import {', '.join(names[module])}" for module in sorted(names)]


def _cells(
    config: Config, file: DatasetSpec, data: DatasetInfo, imports: set[str]
) -> Iterator[str]:
    """Yield the lines that read the cells as the harness does."""
    yield f"cells = ad.read_h5ad({str(file.path)!r})"
    if file.layer:
        yield f"cells.X = cells.layers[{file.layer!r}].copy()"
    if data.provenance["values"].startswith("counts"):
        imports.add("import scanpy as sc")
        yield "sc.pp.normalize_total(cells, target_sum=1e4)"
        yield "sc.pp.log1p(cells)"
    yield "X = cells.to_df().to_numpy()"
    if config.n_genes is not None and config.n_genes < data.genes:
        imports.add("from scdiff_bench.data.genes import most_variable")
        yield f"X = X[:, most_variable(X, {config.n_genes})]"
    yield f"labels = cells.obs[{file.label_key!r}].astype(str).to_numpy()"
    yield ""


def _sampler(
    config: Config, spec: StrategySpec, sampler: Any, data: DatasetInfo, imports: set[str]
) -> str:
    if spec.name == "smote":
        fewest = min(data.types.values()) - 1
        k = max(1, min(spec.params.get("k_neighbors", 5), fewest))
        sampler = SMOTE(
            sampling_strategy=config.sampling_strategy, random_state=config.seed, k_neighbors=k
        )
    if isinstance(sampler, BaseEstimator) and spec.share == 1:
        return _text(sampler, imports)
    imports.add("from imblearn import FunctionSampler")
    imports.add("from scdiff_bench.strategies.catalogue import build_strategy")
    given = f"{spec.name!r}, {config.sampling_strategy!r}, {config.seed}, {spec.params!r}"
    return (
        f"FunctionSampler(\n        func=build_strategy({given}).sampler.fit_resample,\n"
        "        validate=False,\n    )"
    )


def _text(estimator: Any, imports: set[str]) -> str:
    """Return an estimator as an expression, and note what the expression imports."""
    parameters = estimator.get_params(deep=True)
    if "genes" in parameters:  # of CellTypist: names for its own model, not needed to classify
        estimator.set_params(genes=None)
    text = " ".join(estimator.__repr__(N_CHAR_MAX=10**6).split())
    for part in [estimator, *parameters.values()]:
        if isinstance(part, BaseEstimator) and f"{type(part).__name__}(" in text:
            imports.add(f"from {_home(type(part))} import {type(part).__name__}")
    return text


def _home(kind: type) -> str:
    """Return the shortest module that offers a class."""
    parts = kind.__module__.split(".")
    names = [".".join(parts[:i]) for i in range(1, len(parts) + 1)]
    return next(n for n in names if getattr(import_module(n), kind.__name__, None) is kind)
