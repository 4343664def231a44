"""What a config asks for: a comparison of strategies, or a study of the generator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from scdiff_bench.commands import console
from scdiff_bench.config.study import Config, parse_config, parse_with, read_yaml
from scdiff_bench.pages.index_page import write_index
from scdiff_bench.pages.report import write_report
from scdiff_bench.results_version import versions
from scdiff_bench.running.results import Results, stored
from scdiff_bench.running.runner import load_datasets, make_units, run
from scdiff_bench.tracking.models import save_generators
from scdiff_bench.tracking.runs import log_study


class Plan(Protocol):
    """What ``scdiff-bench run`` does with either kind of study, step by step.

    Attributes
    ----------
    config : object
        The study; its name becomes the folder's.
    units : sequence
        What is computed, once `load` has read the data.
    in_parts : bool
        Whether a page can be made before all units are there.
    culprit : str
        Column of the rows that says what failed.
    """

    config: Any
    units: Sequence[Any]
    in_parts: bool
    culprit: str

    def load(self) -> None: ...

    def run(self, folder: Path, jobs: int, force: bool, minutes: float | None) -> Any: ...

    def stored(self, folder: Path) -> Any: ...

    def write(self, results: Any, folder: Path) -> list[Path]: ...

    def summary(self, results: Any) -> str: ...

    def verdict(self, results: Any) -> list[str]: ...

    def log(self, uri: str, results: Any, files: list[Path], folder: Path) -> str: ...


class Comparison:
    """A comparison of strategies: data sets x strategies x classifiers x folds.

    Parameters
    ----------
    config : Config
        The study.

    Attributes
    ----------
    expected : dict of str to float
        Seconds that units are expected to take, by key, where that is known.
    """

    in_parts, culprit = True, "strategy"

    def __init__(self, config: Config) -> None:
        self.config = config
        self.expected: dict[str, float] = {}

    def load(self) -> None:
        """Read the data sets, and list what is to be computed."""
        self.datasets = load_datasets(self.config)
        self.units = make_units(self.config, self.datasets)

    def run(self, folder: Path, jobs: int, force: bool, minutes: float | None = None) -> Results:
        """Compute the units that are missing."""
        return run(self.config, self.units, folder, jobs, force, minutes, self.expected)

    def stored(self, folder: Path) -> Results:
        """Return what is on disk, and compute nothing."""
        return stored(self.units, folder)

    def write(self, results: Results, folder: Path) -> list[Path]:
        """Write tables, figures and the page, and list the study in the index."""
        files = write_report(self.config, self.datasets, results, folder)
        write_index(folder.parent)
        return files

    def summary(self, results: Results) -> str:
        """Return what the run ends with on the command line."""
        return console.summary(self.config, results.rows)

    def verdict(self, results: Results) -> list[str]:
        """Return the winner of each data set and n, in a line each."""
        return console.winners(self.config, results.rows)

    def log(self, uri: str, results: Results, files: list[Path], folder: Path) -> str:
        """Refit and keep the generator of the first fold, then send the whole study to MLflow.

        The generator is kept before MLflow is asked: `sync` sends it where a server was away.
        """
        generators = save_generators(self.units, folder)
        return log_study(
            uri, self.config, self.datasets, results.rows, files, versions(), generators
        )


def make_plan(path: Path) -> Plan:
    """Return what a config asks for.

    Parameters
    ----------
    path : Path
        A YAML file.

    Returns
    -------
    Comparison or scdiff_bench.generator_studies.plan.GeneratorStudy
        The second where the config has the key ``study``.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If a key or a value is not valid.
    """
    raw = read_yaml(path)
    if isinstance(raw, Mapping) and "study" in raw:
        # torch, which a comparison may do without
        from scdiff_bench.generator_studies.config import parse_study_config
        from scdiff_bench.generator_studies.plan import GeneratorStudy

        return GeneratorStudy(parse_with(parse_study_config, raw, path))
    return Comparison(parse_with(parse_config, raw, path))
