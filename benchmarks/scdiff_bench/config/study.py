"""A study's config: read from YAML, checked before any work."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml
from scdiff_bench.classifiers.catalogue import CLASSIFIERS
from scdiff_bench.config.entries import (
    DatasetSpec,
    StrategySpec,
    dataset_of,
    list_of,
    sampling_strategy_of,
    split_of,
    strategies_of,
    unique,
    whole,
)
from scdiff_bench.evaluation.scores import SCORES
from scdiff_bench.messages import choose
from scdiff_bench.strategies.catalogue import STRATEGIES

T = TypeVar("T")
KEYS = (
    "name",
    "title",
    "description",
    "seed",
    "datasets",
    "split",
    "sampling_strategy",
    "n_genes",
    "strategies",
    "classifiers",
    "tuned",
    "scores",
)
REQUIRED = ("name", "title", "datasets", "split", "strategies", "classifiers")


@dataclass(frozen=True)
class Config:
    """A study.

    Attributes
    ----------
    name, title, description : str
        Folder and experiment name; headline; what the study asks.
    seed : int
        Seed of every random number of the study.
    datasets : tuple of DatasetSpec
        Whose cells are classified.
    split_kind : str
        A name in ``SPLITS``.
    split_params : dict
        Keywords of that split.
    sampling_strategy : str or dict
        Which classes are oversampled; the same for every strategy.
    strategies : tuple of StrategySpec
        What is compared.
    classifiers : tuple of str
        What it is compared on.
    tuned : bool
        Whether each classifier's decisive settings are chosen in the training set, for every
        strategy alike, by cross-validation with macro-F1. Otherwise they are fixed.
    scores : tuple of str
        Scores to show; the first is the one that strategies are compared by.
    n_genes : int or None
        How many genes each fold keeps, selected on its training set; None keeps all.
    raw : dict
        The keys and values of the YAML file.
    """

    name: str
    title: str
    description: str
    seed: int
    datasets: tuple[DatasetSpec, ...]
    split_kind: str
    split_params: dict[str, Any]
    sampling_strategy: str | dict[str, int]
    strategies: tuple[StrategySpec, ...]
    classifiers: tuple[str, ...]
    scores: tuple[str, ...]
    n_genes: int | None = None
    tuned: bool = False
    raw: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def compared(self) -> tuple[str, ...]:
        """Labels of all that is compared, in order, those with tuned thresholds included."""
        return tuple(name for s in self.strategies for name in s.compared)

    @property
    def specs(self) -> dict[str, StrategySpec]:
        """The strategy behind each of `compared`."""
        return {name: s for s in self.strategies for name in s.compared}

    @property
    def baselines(self) -> tuple[str, ...]:
        """Labels of those that need no learnt model of expression."""
        return tuple(a for a, s in self.specs.items() if STRATEGIES[s.name].baseline)

    @property
    def controls(self) -> tuple[str, ...]:
        """Labels of the positive and negative controls."""
        return tuple(a for a, s in self.specs.items() if STRATEGIES[s.name].control)

    @property
    def main_score(self) -> str:
        """The score by which strategies are compared."""
        return self.scores[0]


def read_yaml(path: Path) -> Any:
    """Read a YAML file without checking what it holds.

    Parameters
    ----------
    path : Path
        A YAML file.

    Returns
    -------
    object
        What the file holds; a config is a mapping.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not valid YAML.
    """
    if not path.is_file():
        folder = path.parent
        there = sorted(p.name for p in folder.glob("*.yaml")) if folder.is_dir() else []
        hint = f" Configs there: {', '.join(there)}." if there else ""
        raise FileNotFoundError(f"There is no config {path.name!r} in {folder.resolve()}.{hint}")
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid YAML: {error}") from error


def parse_with(parse: Callable[[Any, Path], T], raw: Any, path: Path) -> T:
    """Check what a file holds; errors begin with the file.

    Parameters
    ----------
    parse : callable
        Takes what the file holds and its folder.
    raw : object
        What the file holds, from `read_yaml`.
    path : Path
        The file.

    Returns
    -------
    object
        What `parse` returns.
    """
    try:
        return parse(raw, path.parent)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def load_config(path: Path) -> Config:
    """Read and check a config.

    Parameters
    ----------
    path : Path
        A YAML file.

    Returns
    -------
    Config
        With all defaults filled in.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not a YAML mapping, or a key or a value is not valid.
    """
    return parse_with(parse_config, read_yaml(path), path)


def parse_config(raw: Any, folder: Path) -> Config:
    """Check a config that has been read already.

    Parameters
    ----------
    raw : mapping
        The keys and values of the YAML file.
    folder : Path
        Folder that paths in the config are relative to.

    Returns
    -------
    Config
        With all defaults filled in.
    """
    shared = parse_head(raw, folder, KEYS, REQUIRED)
    kind, params = split_of(raw["split"])
    classifiers = [choose("classifier", c, CLASSIFIERS) for c in list_of(raw, "classifiers")]
    default_scores = ["macro_f1", "balanced_accuracy", "rare_f1", "log_loss"]
    scores = [choose("score", s, SCORES) for s in list_of(raw, "scores", default_scores)]
    strategies = [s for entry in list_of(raw, "strategies") for s in strategies_of(entry)]
    n_genes = raw.get("n_genes")
    tuned = raw.get("tuned", False)
    if not isinstance(tuned, bool):
        raise ValueError(f"tuned={tuned!r} must be true or false.")
    unique("strategy", [name for s in strategies for name in s.compared])
    unique("classifier", classifiers)
    unique("score", scores)
    return Config(
        **shared,
        split_kind=kind,
        split_params=params,
        sampling_strategy=sampling_strategy_of(raw.get("sampling_strategy", "auto")),
        strategies=tuple(strategies),
        classifiers=tuple(classifiers),
        scores=tuple(scores),
        n_genes=None if n_genes is None else whole("n_genes", n_genes, least=2),
        tuned=tuned,
        raw=dict(raw),
    )


def parse_head(
    raw: Any, folder: Path, keys: tuple[str, ...], required: tuple[str, ...]
) -> dict[str, Any]:
    """Check the keys of a config, and what every kind of study has.

    Parameters
    ----------
    raw : mapping
        The keys and values of the YAML file.
    folder : Path
        Folder that paths in the config are relative to.
    keys, required : tuple of str
        Keys that it may have, and must have.

    Returns
    -------
    dict
        ``name``, ``title``, ``description``, ``seed`` and ``datasets``.
    """
    if not isinstance(raw, Mapping):
        raise ValueError(f"a config must be a mapping with the keys {', '.join(keys)}.")
    for key in raw:
        choose("key", key, keys)
    if missing := [key for key in required if raw.get(key) in (None, "", [])]:
        raise ValueError(
            f"the key {missing[0]!r} is missing or empty. Required keys: {', '.join(required)}."
        )
    name = raw["name"]
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise ValueError(
            f"name={name!r} becomes a folder: use letters, digits, '_', '-' and '.' only."
        )
    datasets = [dataset_of(entry, folder) for entry in list_of(raw, "datasets")]
    unique("data set", [d.name for d in datasets])
    return {
        "name": name,
        "title": str(raw["title"]),
        "description": str(raw.get("description") or ""),
        "seed": whole("seed", raw.get("seed", 0), least=0),
        "datasets": tuple(datasets),
    }
