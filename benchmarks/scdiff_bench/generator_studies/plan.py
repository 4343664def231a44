"""A study of the generator as the command line runs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from scdiff_bench.data.datasets import load_dataset
from scdiff_bench.generator_studies import page
from scdiff_bench.generator_studies.parts import Arrays, StudyConfig
from scdiff_bench.generator_studies.registry import STUDIES
from scdiff_bench.generator_studies.units import make_units, run_study_unit
from scdiff_bench.pages.index_page import write_index
from scdiff_bench.results_version import results_version, versions
from scdiff_bench.running.results import frame
from scdiff_bench.running.runner import compute
from scdiff_bench.tracking.runs import log_metrics


@dataclass(frozen=True)
class StudyResults:
    """What a run of a study leaves.

    Attributes
    ----------
    rows : DataFrame
        Rows of all units; a unit that failed has one, with the message.
    arrays : mapping of str to dict of str to ndarray
        Arrays of the units that gave some, under the unit's name.
    computed, reused : int
        Units computed in this run and taken from an earlier one.
    missing : int
        None ever is: the page needs all units.
    """

    rows: pd.DataFrame
    arrays: Mapping[str, Arrays]
    computed: int
    reused: int
    missing: int = 0

    @property
    def good(self) -> pd.DataFrame:
        """Rows of the units that did not fail."""
        return self.rows[self.rows["status"] == "ok"].reset_index(drop=True)


class GeneratorStudy:
    """A study of the generator: data sets and whatever the study sets, unit by unit.

    Parameters
    ----------
    config : StudyConfig
        The study.
    """

    in_parts, culprit = False, "unit_name"

    def __init__(self, config: StudyConfig) -> None:
        self.config = config
        self.study = STUDIES[config.study]

    def load(self) -> None:
        """Read the data sets, and list what is to be computed."""
        specs = self.config.datasets
        self.datasets = [load_dataset(d.name, d.path, d.label_key, d.layer) for d in specs]
        self.units = make_units(self.config, self.datasets)

    def run(
        self, folder: Path, jobs: int, force: bool, minutes: float | None = None
    ) -> StudyResults:
        """Compute the units that are missing; there is no stopping early."""
        name, units = self.config.name, self.units
        done = compute(name, units, folder, run_study_unit, jobs, force)
        now = results_version().columns  # units of before rows stated them; their keys are of now
        rows = [now | row for result in done.results for row in result["rows"]]
        if self.study.annotate is not None:
            rows = [row | self.study.annotate(self.config, row) for row in rows]
        return StudyResults(
            rows=frame(rows),
            arrays={r["name"]: r["arrays"] for r in done.results if r.get("arrays")},
            computed=done.computed,
            reused=done.reused,
        )

    def stored(self, folder: Path) -> StudyResults:
        """Refuse: a page needs all units, which `run` takes from disk where they are there."""
        raise ValueError(f"{self.config.name!r} is a study of the generator; run it instead.")

    def write(self, results: StudyResults, folder: Path) -> list[Path]:
        """Write tables, figures and the page, and list the study in the index."""
        rows, arrays = results.rows, results.arrays
        files = page.write_study(self.config, self.datasets, rows, arrays, folder)
        write_index(folder.parent)
        return files

    def summary(self, results: StudyResults) -> str:
        """Return what the run ends with on the command line."""
        return page.text(self.study, results.good)

    def verdict(self, results: StudyResults) -> list[str]:
        """Return nothing: the summary begins with it."""
        return []

    def log(self, uri: str, results: StudyResults, files: list[Path], folder: Path) -> str:
        """Send the numbers of the tables, and all files, to MLflow."""
        metrics: dict[str, float] = {}
        for table in page.tables(self.study, results.good):
            metrics |= table.metrics()
        complete = bool((results.rows["status"] == "ok").all())
        params = self.config.flat()
        return log_metrics(
            uri, self.config, params, self.datasets, metrics, files, versions(), complete
        )
