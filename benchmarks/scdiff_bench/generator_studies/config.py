"""The config of a study of the generator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from scdiff_bench.config.study import parse_head
from scdiff_bench.generator_studies.parts import StudyConfig
from scdiff_bench.generator_studies.registry import STUDIES
from scdiff_bench.messages import choose

KEYS = ("name", "title", "description", "seed", "datasets", "study", "params")
REQUIRED = ("name", "title", "datasets", "study")


def parse_study_config(raw: Any, folder: Path) -> StudyConfig:
    """Check a config that has been read already.

    Parameters
    ----------
    raw : mapping
        The keys and values of the YAML file.
    folder : Path
        Folder that paths in the config are relative to.

    Returns
    -------
    StudyConfig
        With all defaults filled in.
    """
    shared = parse_head(raw, folder, KEYS, REQUIRED)
    study = choose("study", raw["study"], STUDIES)
    return StudyConfig(**shared, study=study, params=_parameters(study, raw.get("params") or {}))


def _parameters(study: str, given: Any) -> Any:
    """Return the study's parameters, each of its default's kind."""
    kind = STUDIES[study].parameters
    if not isinstance(given, Mapping):
        raise ValueError(f"params={given!r} must be a mapping.")
    defaults, values = kind(), {}
    for key, value in given.items():
        choose(f"key of params of study {study!r}", key, [f.name for f in fields(kind)])
        default = getattr(defaults, key)
        if isinstance(default, float) and type(value) is int:
            value = float(value)
        if type(value) is not type(default):
            raise ValueError(
                f"params: {key}={value!r} must be of type {type(default).__name__}, as its "
                f"default {default!r} is."
            )
        values[key] = value
    return kind(**values)
