"""Entries of a config, each checked by itself; errors name the nearest valid name."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scdiff_bench.data.datasets import DATASETS
from scdiff_bench.evaluation.splits import SPLITS
from scdiff_bench.messages import choose
from scdiff_bench.strategies.catalogue import STRATEGIES, build_strategy, check_params

SAMPLING_STRATEGIES = ("auto", "minority", "not minority", "not majority", "all")


@dataclass(frozen=True)
class DatasetSpec:
    """A data set by name, or a file with its label key."""

    name: str
    path: Path | None = None
    label_key: str | None = None
    layer: str | None = None
    group_key: str | None = None


@dataclass(frozen=True)
class StrategySpec:
    """A strategy with its parameters, under the label that tables show.

    Attributes
    ----------
    label, name : str
        What tables show; a name in ``STRATEGIES``.
    params : dict
        Its parameters.
    thresholds : bool
        Whether it is compared with tuned thresholds too.
    share : float
        Synthetic cells, as a fraction of what ``sampling_strategy`` asks for.
    draws : int or None
        Repeats of the split in which it is run, the first ones; None for all. For a negative
        control, whose mean needs less precision than what is compared.
    sets : int
        Times that cells are drawn, each from a seed of its own; a classifier is trained on each
        set, and their probabilities are averaged.
    """

    label: str
    name: str
    params: dict[str, Any] = field(default_factory=dict)
    thresholds: bool = False
    share: float = 1.0
    draws: int | None = None
    sets: int = 1

    @property
    def compared(self) -> tuple[str, ...]:
        """Labels of what is compared: the strategy, and the same with tuned thresholds."""
        if not self.thresholds:
            return (self.label,)
        plain = self.label == self.name == "none"
        return (self.label, "thresholds" if plain else f"{self.label}_thresholds")


def list_of(raw: Mapping[str, Any], key: str, default: list[Any] | None = None) -> list[Any]:
    """Return a list of a config, with at least one entry."""
    value = raw.get(key, default)
    if not isinstance(value, list) or not value:
        raise ValueError(f"{key}={value!r} must be a list with at least one entry.")
    return value


def unique(rule: str, names: list[str]) -> None:
    """Raise an error if a name is listed twice."""
    for name in names:
        if names.count(name) > 1:
            label = " Give one of them another label." if rule == "strategy" else ""
            raise ValueError(f"{rule} {name!r} is listed twice.{label}")


def whole(key: str, value: Any, least: int) -> int:
    """Return a whole number that is large enough."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{key}={value!r} must be a whole number of at least {least}.")
    return value


def dataset_of(entry: Any, folder: Path) -> DatasetSpec:
    """Return a data set: a name, or a file with its label key."""
    if not isinstance(entry, Mapping):
        return DatasetSpec(choose("data set", entry, DATASETS))
    for key in entry:
        choose("key of a data set", key, ("path", "label_key", "layer", "name", "group_key"))
    for key in ("path", "label_key"):
        if not entry.get(key):
            raise ValueError(f"a data set given as a mapping needs {key!r}: {dict(entry)}.")
    path = folder / str(entry["path"])
    layer, group_key = entry.get("layer"), entry.get("group_key")
    return DatasetSpec(
        str(entry.get("name") or path.stem), path, str(entry["label_key"]), layer, group_key
    )


STRATEGY_KEYS = ("name", "label", "params", "thresholds", "shares", "draws", "sets")


def strategies_of(entry: Any) -> list[StrategySpec]:
    """Return the strategy of an entry, once for each of its shares.

    Parameters
    ----------
    entry : object
        As in the config.

    Returns
    -------
    list of StrategySpec
        Checked, not built.
    """
    if not isinstance(entry, Mapping):
        return [StrategySpec(choose("strategy", entry, STRATEGIES), entry)]
    for key in entry:
        choose("key of a strategy", key, STRATEGY_KEYS)
    name = choose("strategy", entry.get("name"), STRATEGIES)
    params = entry.get("params") or {}
    if not isinstance(params, Mapping):
        raise ValueError(f"params={params!r} of strategy {name!r} must be a mapping.")
    check_params(name, dict(params))
    thresholds, shares = entry.get("thresholds", False), entry.get("shares", [1])
    if not isinstance(thresholds, bool):
        raise ValueError(f"thresholds={thresholds!r} of strategy {name!r} must be true or false.")
    if name.endswith("thresholds") and thresholds:
        raise ValueError(
            f"Strategy {name!r} tunes thresholds already. Leave the key 'thresholds' out."
        )
    numbers = isinstance(shares, list) and all(
        isinstance(v, int | float) and not isinstance(v, bool) and v > 0 for v in shares
    )
    if not numbers or not shares:
        raise ValueError(f"shares={shares!r} of strategy {name!r} must be a list of numbers > 0.")
    label = str(entry.get("label") or name)
    draws = entry.get("draws")
    if draws is not None:
        draws = whole(f"draws of strategy {name!r}", draws, 1)
        if not STRATEGIES[name].control or name == "oracle":
            raise ValueError(
                f"draws={draws} of strategy {name!r}: strategies are compared on the same folds; "
                f"only the negative control 'null' may have fewer. Leave the key out."
            )
    sets = whole(f"sets of strategy {name!r}", entry.get("sets", 1), 1)
    if sets > 1 and build_strategy(name, "auto", 0, dict(params)).sampler is None:
        raise ValueError(
            f"sets={sets} of strategy {name!r}: it draws no cells, so that every set would be the "
            f"same. Leave the key out."
        )
    if sets > 1 and thresholds:
        raise ValueError(
            f"sets={sets} of strategy {name!r}: thresholds are tuned for one set. Leave out either "
            f"key."
        )
    if sets > 1:
        label = f"{label}_mean_of_{sets}"
    return [
        StrategySpec(
            label if share == 1 else f"{label}_x{share:g}",
            name,
            dict(params),
            thresholds,
            float(share),
            draws,
            sets,
        )
        for share in shares
    ]


def sampling_strategy_of(value: Any) -> str | dict[str, int]:
    """Return which classes are oversampled."""
    if isinstance(value, Mapping):
        if not value:
            raise ValueError(
                "sampling_strategy={} names no type. Use 'auto', or a mapping of type to cells."
            )
        return {str(k): whole(f"sampling_strategy[{k!r}]", v, 1) for k, v in value.items()}
    return choose("sampling_strategy", value, SAMPLING_STRATEGIES)


def split_of(raw: Any) -> tuple[str, dict[str, Any]]:
    """Return a split and its keywords.

    Parameters
    ----------
    raw : object
        As in the config.

    Returns
    -------
    tuple
        A name in ``SPLITS``, and keywords with their defaults filled in.
    """
    if not isinstance(raw, Mapping) or "kind" not in raw:
        raise ValueError(f"split={raw!r} must be a mapping with the key 'kind'.")
    kind = choose("split", raw["kind"], SPLITS)
    declared = [
        p for p in inspect.signature(SPLITS[kind]).parameters.values() if p.kind is p.KEYWORD_ONLY
    ]
    defaults = {p.name: p.default for p in declared}
    params = {}
    for key, value in raw.items():
        if key == "kind":
            continue
        choose(f"key of split {kind!r}", key, list(defaults))
        optional = (value is None and defaults[key] is None) or key == "n_other"
        params[key] = None if value is None and optional else _split_value(key, value)
    for p in declared:
        if p.default is p.empty and p.name not in params:
            raise ValueError(f"split {kind!r} needs the key {p.name!r}.")
        params.setdefault(p.name, p.default)
    return kind, params


def _split_value(key: str, value: Any) -> Any:
    if key == "rare":
        sets = value if isinstance(value, list) and value else [None]
        nested = all(isinstance(v, list) and v for v in sets)
        if not all(isinstance(v, str) for s in sets for v in (s if nested else [s])):
            raise ValueError(
                f"split: rare={value!r} must be a list of type names, or a list of such lists."
            )
        return value
    if key == "key":
        if not isinstance(value, str):
            raise ValueError(f"split: key={value!r} must name a column.")
        return value
    if key == "natural":
        if not isinstance(value, bool):
            raise ValueError(f"split: natural={value!r} must be true or false.")
        return value
    if key == "n":
        values = value if isinstance(value, list) and value else [value]
        return [whole("split: n", v, 1) for v in values]
    return whole(f"split: {key}", value, least=2 if key == "n_splits" else 1)
