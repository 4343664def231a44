"""The unit of work of a study of the generator."""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from scdiff_bench.data.datasets import Dataset
from scdiff_bench.generator_studies.parts import StudyConfig
from scdiff_bench.generator_studies.registry import STUDIES, Study
from scdiff_bench.results_version import depends_on, results_version
from scdiff_bench.running.units import Record, message, one_thread, texts


@dataclass(frozen=True)
class StudyUnit:
    """One part of a study that is computed by itself.

    Attributes
    ----------
    config : StudyConfig
        The study.
    dataset : Dataset
        Its cells.
    values : dict
        Everything else that it depends on, as plain values.
    """

    config: StudyConfig
    dataset: Dataset
    values: dict[str, Any]

    @property
    def study(self) -> Study:
        """What computes it."""
        return STUDIES[self.config.study]

    @property
    def seed(self) -> int:
        """Seed of its random numbers: that of its name, whatever its other values."""
        text = f"{self.config.seed}|{self.dataset.name}|{self.values['name']}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1

    @property
    def versions(self) -> dict[str, str | int]:
        """Versions that the result depends on."""
        libraries = self.study.libraries
        return depends_on(package=True, libraries=libraries) | {"study": self.study.version}

    @property
    def key(self) -> str:
        """Content hash over everything that its rows depend on or name."""
        content = {
            "config": self.config.name,
            "study": self.config.study,
            "dataset": [self.dataset.name, self.dataset.digest],
            "values": self.values,
            "seed": self.seed,
            "versions": self.versions,
        }
        text = json.dumps(content, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:24]


def make_units(config: StudyConfig, datasets: list[Dataset]) -> list[StudyUnit]:
    """Return the units of a study.

    Parameters
    ----------
    config : StudyConfig
        The study.
    datasets : list of Dataset
        Its data sets.

    Returns
    -------
    list of StudyUnit
        In the study's order.

    Raises
    ------
    ValueError
        If the data sets do not allow what the study asks, or two units share a name.
    """
    by_name = {d.name: d for d in datasets}
    listed = STUDIES[config.study].units(config, datasets)
    names = [values["name"] for values in listed]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"study {config.study!r} has several units named {sorted(twice)[0]!r}.")
    return [StudyUnit(config, by_name[values["dataset"]], values) for values in listed]


def run_study_unit(unit: StudyUnit) -> Record:
    """Compute a unit.

    Parameters
    ----------
    unit : StudyUnit
        What to compute.

    Returns
    -------
    dict
        Its key as ``unit``, its ``name``, ``rows`` and ``arrays``. If the study raises, there is
        one row with status ``failed`` and the message, and no array.
    """
    base = {
        "study": unit.config.name,
        "unit_name": unit.values["name"],
        "dataset": unit.dataset.name,
        "dataset_digest": unit.dataset.digest,
        "seed": unit.config.seed,
        "unit_seed": unit.seed,
        **results_version().columns,
        "versions": json.dumps(unit.versions),
        "unit": unit.key,
        "status": "ok",
        "error": "",
        "warnings": "",
    }
    result = {"unit": unit.key, "name": unit.values["name"]}
    try:
        with one_thread(), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            start = time.perf_counter()
            output = unit.study.compute(dict(unit.values), unit.dataset, unit.seed)
        if not output.rows:
            raise ValueError("the study gave no rows for this unit.")
        base |= {"unit_seconds": time.perf_counter() - start, "warnings": texts(caught)}
        return {**result, "rows": [_plain(base | r) for r in output.rows], "arrays": output.arrays}
    except Exception as raised:  # whatever a study raises becomes its row's message
        return {**result, "rows": [{**base, "status": "failed", "error": message(raised)}]}


def _plain(row: Record) -> Record:
    """Turn NumPy's numbers into Python's, which JSON takes."""
    return {k: v.item() if isinstance(v, np.generic) else v for k, v in row.items()}
