"""A study's config: read from YAML, checked before any work."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml

from benchmarks.classifiers import CLASSIFIERS
from benchmarks.datasets import DATASETS
from benchmarks.messages import choose
from benchmarks.scores import SCORES
from benchmarks.splits import SPLITS
from benchmarks.strategies import STRATEGIES, check_params

T = TypeVar("T")
SAMPLING_STRATEGIES = ("auto", "minority", "not minority", "not majority", "all")
KEYS = (
    "name",
    "title",
    "description",
    "seed",
    "datasets",
    "split",
    "sampling_strategy",
    "strategies",
    "classifiers",
    "scores",
)
REQUIRED = ("name", "title", "datasets", "split", "strategies", "classifiers")


@dataclass(frozen=True)
class DatasetSpec:
    """A data set by name, or a file with its label key."""

    name: str
    path: Path | None = None
    label_key: str | None = None
    layer: str | None = None


@dataclass(frozen=True)
class StrategySpec:
    """A strategy with its parameters, under the label that tables show."""

    label: str
    name: str
    params: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Config:
    """A study.

    Attributes
    ----------
    name, title, description : str
        Folder and experiment name; headline; what the study asks.
    seed : int
        Every random number of the study comes from it.
    datasets : tuple of DatasetSpec
        What is classified.
    split_kind : str
        A name in ``SPLITS``.
    split_params : dict
        Keywords of that split.
    sampling_strategy : str or dict
        Which classes are topped up; the same for every strategy.
    strategies : tuple of StrategySpec
        What is compared.
    classifiers : tuple of str
        What it is compared on.
    scores : tuple of str
        Scores to show; the first is the main one.
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

    @property
    def main_score(self) -> str:
        """The score that the verdict is about."""
        return self.scores[0]


def read_yaml(path: Path) -> Any:
    """Read a config without checking it.

    Parameters
    ----------
    path : Path
        A YAML file.

    Returns
    -------
    object
        Whatever the file holds; a config is a mapping.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is no YAML.
    """
    if not path.is_file():
        folder = path.parent
        there = sorted(p.name for p in folder.glob("*.yaml")) if folder.is_dir() else []
        hint = f" There: {', '.join(there)}." if there else ""
        raise FileNotFoundError(f"There is no config {path.name!r} in {folder.resolve()}.{hint}")
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid YAML: {error}") from error


def read_with(path: Path, parse: Callable[[Any, Path], T]) -> T:
    """Read a config and have it checked; errors begin with the file.

    Parameters
    ----------
    path : Path
        A YAML file.
    parse : callable
        Takes what the file holds and its folder.

    Returns
    -------
    object
        What `parse` returns.
    """
    raw = read_yaml(path)
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
        If the file is no YAML mapping, or a key or a value is not valid.
    """
    return read_with(path, parse_config)


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
    kind, params = _split(raw["split"])
    classifiers = [choose("classifier", c, CLASSIFIERS) for c in _list(raw, "classifiers")]
    default_scores = ["macro_f1", "balanced_accuracy", "rare_f1", "log_loss"]
    scores = [choose("score", s, SCORES) for s in _list(raw, "scores", default_scores)]
    strategies = [_strategy(entry) for entry in _list(raw, "strategies")]
    _unique("strategy", [s.label for s in strategies])
    _unique("classifier", classifiers)
    _unique("score", scores)
    return Config(
        **shared,
        split_kind=kind,
        split_params=params,
        sampling_strategy=_sampling_strategy(raw.get("sampling_strategy", "auto")),
        strategies=tuple(strategies),
        classifiers=tuple(classifiers),
        scores=tuple(scores),
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
        raise ValueError(f"a config is a mapping with the keys {', '.join(keys)}.")
    for key in raw:
        choose("key", key, keys)
    if missing := [key for key in required if raw.get(key) in (None, "", [])]:
        raise ValueError(f"the key {missing[0]!r} is missing or empty. Needed: {required}.")
    name = raw["name"]
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise ValueError(
            f"name={name!r} becomes a folder: use letters, digits, '_', '-' and '.' only."
        )
    datasets = [_dataset(entry, folder) for entry in _list(raw, "datasets")]
    _unique("data set", [d.name for d in datasets])
    return {
        "name": name,
        "title": str(raw["title"]),
        "description": str(raw.get("description") or ""),
        "seed": _whole("seed", raw.get("seed", 0), least=0),
        "datasets": tuple(datasets),
    }


def _list(raw: Mapping[str, Any], key: str, default: list[Any] | None = None) -> list[Any]:
    value = raw.get(key, default)
    if not isinstance(value, list) or not value:
        raise ValueError(f"{key}={value!r} must be a list with at least one entry.")
    return value


def _unique(rule: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            label = " Give one of them another label." if rule == "strategy" else ""
            raise ValueError(f"{rule} {name!r} is there twice.{label}")


def _whole(key: str, value: Any, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{key}={value!r} must be a whole number of at least {least}.")
    return value


def _dataset(entry: Any, folder: Path) -> DatasetSpec:
    if not isinstance(entry, Mapping):
        return DatasetSpec(choose("data set", entry, DATASETS))
    for key in entry:
        choose("key of a data set", key, ("path", "label_key", "layer", "name"))
    for key in ("path", "label_key"):
        if not entry.get(key):
            raise ValueError(f"a data set given as a mapping needs {key!r}: {dict(entry)}.")
    path = folder / str(entry["path"])
    layer = entry.get("layer")
    return DatasetSpec(str(entry.get("name") or path.stem), path, str(entry["label_key"]), layer)


def _strategy(entry: Any) -> StrategySpec:
    if not isinstance(entry, Mapping):
        return StrategySpec(choose("strategy", entry, STRATEGIES), entry)
    for key in entry:
        choose("key of a strategy", key, ("name", "label", "params"))
    name = choose("strategy", entry.get("name"), STRATEGIES)
    params = entry.get("params") or {}
    if not isinstance(params, Mapping):
        raise ValueError(f"params={params!r} of strategy {name!r} must be a mapping.")
    check_params(name, dict(params))
    return StrategySpec(str(entry.get("label") or name), name, dict(params))


def _sampling_strategy(value: Any) -> str | dict[str, int]:
    if isinstance(value, Mapping):
        if not value:
            raise ValueError("sampling_strategy={} names no type. Use 'auto', or type: cells.")
        return {str(k): _whole(f"sampling_strategy[{k!r}]", v, 1) for k, v in value.items()}
    return choose("sampling_strategy", value, SAMPLING_STRATEGIES)


def _split(raw: Any) -> tuple[str, dict[str, Any]]:
    if not isinstance(raw, Mapping) or "kind" not in raw:
        raise ValueError(f"split={raw!r} must be a mapping with the key 'kind'.")
    kind = choose("split", raw["kind"], SPLITS)
    declared = [
        p for p in inspect.signature(SPLITS[kind]).parameters.values() if p.kind is p.KEYWORD_ONLY
    ]
    params = {}
    for key, value in raw.items():
        if key == "kind":
            continue
        choose(f"key of split {kind!r}", key, [p.name for p in declared])
        params[key] = _split_value(key, value)
    for p in declared:
        if p.default is p.empty and p.name not in params:
            raise ValueError(f"split {kind!r} needs the key {p.name!r}.")
        params.setdefault(p.name, p.default)
    return kind, params


def _split_value(key: str, value: Any) -> Any:
    if key == "rare":
        if not isinstance(value, list) or not value or not all(isinstance(v, str) for v in value):
            raise ValueError(f"split: rare={value!r} must be a list of type names.")
        return value
    if key == "n":
        values = value if isinstance(value, list) and value else [value]
        return [_whole("split: n", v, 1) for v in values]
    if key == "n_other" and value is None:
        return None
    return _whole(f"split: {key}", value, least=2 if key == "n_splits" else 1)
