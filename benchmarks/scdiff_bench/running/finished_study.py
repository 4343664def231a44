"""A finished study as it stands on disk: what pages, MLflow and notebooks read."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

import pandas as pd
from scdiff_bench.config.study import Config, parse_config
from scdiff_bench.data.datasets import DatasetInfo
from scdiff_bench.results_version import FIRST, ResultsVersion
from scdiff_bench.running.store import write_text
from scdiff_bench.statistics.confusion_counts import read_confusion_counts
from scdiff_bench.statistics.summary import Summary

FILE = "study.json"
ROWS, CLASSES, CONFUSION_COUNTS = "rows.parquet", "classes.parquet", "tallies.parquet"


@dataclass(frozen=True)
class Study:
    """A finished comparison of strategies, read from its folder by `read_study`.

    Attributes
    ----------
    folder : Path
        Where it stands.
    config : Config
        What was asked for.
    datasets : list of DatasetInfo
        What it was asked of.
    versions : dict of str to str
        Results versions, and versions of the libraries that ran it.
    rows : DataFrame
        Its results, one row per data set, fold, strategy and classifier.
    findings : list of str
        What they say, in sentences.
    files : list of Path
        Its other files.
    missing : int
        Units that were still to be computed when its page was made.
    total : int or None
        Units of the study; None in studies of before this was noted.
    """

    folder: Path
    config: Config
    datasets: list[DatasetInfo]
    versions: dict[str, str]
    rows: pd.DataFrame
    findings: list[str] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    missing: int = 0
    total: int | None = None

    @property
    def results(self) -> ResultsVersion:
        """Results versions that it was computed with."""
        cells, harness = (self.versions.get(f"results.{name}") for name in ("cells", "harness"))
        return FIRST if not cells or not harness else ResultsVersion(int(cells), int(harness))

    @property
    def progress(self) -> tuple[int, int]:
        """Units that are there, and units of the study."""
        total = self.rows["unit"].nunique() + self.missing if self.total is None else self.total
        return total - self.missing, total

    def summary(self) -> Summary:
        """Return what the page is made of: means, comparisons, ranks, curves, calibration.

        Returns
        -------
        Summary
            The same object each time.
        """
        return self._summary

    @cached_property
    def _summary(self) -> Summary:
        classes, counts = self.folder / CLASSES, self.folder / CONFUSION_COUNTS
        return Summary(
            self.config,
            self.rows,
            pd.read_parquet(classes) if classes.is_file() else pd.DataFrame(),
            read_confusion_counts(counts) if counts.is_file() else pd.DataFrame(),
            self.progress,
        )


def write_study(study: Study) -> Path:
    """Write what `read_study` needs beside the tables.

    Parameters
    ----------
    study : Study
        The study.

    Returns
    -------
    Path
        The file.
    """
    content = {
        "config": study.config.raw,
        "datasets": [asdict(d) for d in study.datasets],
        "versions": study.versions,
        "verdict": study.findings,
        "files": [str(f.relative_to(study.folder)) for f in study.files],
        "missing": study.missing,
        "total": study.total,
    }
    write_text(study.folder / FILE, json.dumps(content, indent=1, default=str) + "\n")
    return study.folder / FILE


def read_study(folder: str | Path) -> Study:
    """Read a finished study.

    Parameters
    ----------
    folder : str or Path
        Its folder.

    Returns
    -------
    Study
        With its rows; ``summary()`` gives what its page is made of.

    Raises
    ------
    FileNotFoundError
        If the folder holds no finished study; the message says how to finish it.

    Examples
    --------
    >>> study = read_study("reports/kang_rare")  # doctest: +SKIP
    >>> study.rows.groupby(["strategy", "classifier"])["rare_f1"].mean()  # doctest: +SKIP
    >>> summary = study.summary()  # doctest: +SKIP
    >>> summary.blocks[0].title  # doctest: +SKIP
    'kang_pbmc_ctrl, 10 training cells per rare type'
    >>> for block, comparison, contrast in summary.against_baseline():  # doctest: +SKIP
    ...     print(block.title, comparison.classifier, contrast.strategy, contrast.difference)
    """
    folder = Path(folder)
    for name in (FILE, ROWS):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"{folder} has no {name}, so no study was finished there. Run the study with "
                "scdiff-bench run, or name the folder of one that is finished."
            )
    content = json.loads((folder / FILE).read_text(encoding="utf-8"))
    return Study(
        folder,
        parse_config(content["config"], folder),
        [DatasetInfo(**d) for d in content["datasets"]],
        content["versions"],
        pd.read_parquet(folder / ROWS),
        content["verdict"],
        [folder / name for name in [*content["files"], FILE]],
        content.get("missing", 0),
        content.get("total"),
    )
