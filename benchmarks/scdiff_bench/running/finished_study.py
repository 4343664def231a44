"""What a finished study leaves on disk, so that pages and MLflow need no recomputing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
from scdiff_bench.config.study import Config, parse_config
from scdiff_bench.data.datasets import DatasetInfo
from scdiff_bench.running.store import write_text

FILE = "study.json"


@dataclass(frozen=True)
class Study:
    """A finished study, read back.

    Attributes
    ----------
    config : Config
        What was asked for.
    datasets : list of DatasetInfo
        What it was asked of.
    versions : dict of str to str
        Of the libraries that ran it.
    verdict : list of str
        Its verdict in sentences.
    rows : DataFrame
        Its results.
    files : list of Path
        All its files.
    missing : int
        Units that were still to be computed when its page was made.
    """

    config: Config
    datasets: list[DatasetInfo]
    versions: dict[str, str]
    verdict: list[str]
    rows: pd.DataFrame
    files: list[Path]
    missing: int = 0


def write_study(
    folder: Path,
    config: Config,
    datasets: Sequence[DatasetInfo],
    versions: Mapping[str, str],
    verdict: Sequence[str],
    files: Sequence[Path],
    missing: int = 0,
) -> Path:
    """Write what `read_study` needs beside the rows.

    Parameters
    ----------
    folder : Path
        The study's folder.
    config : Config
        The study.
    datasets : sequence of DatasetInfo
        Its data sets.
    versions : mapping of str to str
        Versions of the libraries.
    verdict : sequence of str
        Sentences.
    files : sequence of Path
        The study's other files.
    missing : int, default=0
        Units that are still to be computed.

    Returns
    -------
    Path
        The file.
    """
    content = {
        "config": config.raw,
        "datasets": [asdict(d) for d in datasets],
        "versions": dict(versions),
        "verdict": list(verdict),
        "files": [str(f.relative_to(folder)) for f in files],
        "missing": missing,
    }
    write_text(folder / FILE, json.dumps(content, indent=1, default=str) + "\n")
    return folder / FILE


def read_study(folder: Path) -> Study:
    """Read a finished study.

    Parameters
    ----------
    folder : Path
        Its folder.

    Returns
    -------
    Study
        With its rows.

    Raises
    ------
    FileNotFoundError
        If the folder holds no finished study; the message says how to finish it.
    """
    for name in (FILE, "rows.parquet"):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"{folder} has no {name}, so no study was finished there. Run the study, or name "
                "the folder of one that is finished."
            )
    content = json.loads((folder / FILE).read_text(encoding="utf-8"))
    return Study(
        parse_config(content["config"], folder),
        [DatasetInfo(**d) for d in content["datasets"]],
        content["versions"],
        content["verdict"],
        pd.read_parquet(folder / "rows.parquet"),
        [folder / name for name in [*content["files"], FILE]],
        content.get("missing", 0),
    )
