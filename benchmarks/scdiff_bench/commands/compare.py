"""``scdiff-bench compare``: the standard strategies on your own h5ad file."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from scdiff_bench.commands import run
from scdiff_bench.commands.run import add_tracking_uri
from scdiff_bench.running.backends import BACKENDS
from scdiff_bench.running.store import prepare_folder, write_text

STRATEGIES: list[Any] = [
    "none",
    "thresholds",
    "class_weight",
    "class_weight_thresholds",
    "random_oversampler",
    "smote",
    "latent_gaussian",
    {"name": "diffusion", "thresholds": True},
    "null",
]
CLASSIFIERS = ["logistic_regression", "random_forest", "knn"]
SCORES = ["macro_f1", "rare_f1", "balanced_accuracy", "rare_pr_auc", "log_loss", "brier", "ece"]


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    found = argparse.ArgumentParser(
        prog="scdiff-bench compare",
        description="Compare the standard strategies on an h5ad file: does augmentation help "
        "there? The config is written beside the results, so that you can edit it and run it "
        "again with `scdiff-bench run`.",
    )
    found.add_argument("file", type=Path, nargs="?", metavar="FILE", help="an h5ad file")
    found.add_argument("--data", type=Path, dest="data", metavar="FILE", help=argparse.SUPPRESS)
    found.add_argument("--label-key", required=True, help="column of obs with the cell types")
    found.add_argument("--layer", help="layer with counts (default: X)")
    found.add_argument(
        "--donor-key", help="column of obs with the donors, which are then held out in turn"
    )
    found.add_argument(
        "--folds", type=int, default=5, help="folds of the cross-validation (%(default)s)"
    )
    found.add_argument(
        "--repeats", type=int, default=1, help="repeats of the cross-validation (%(default)s)"
    )
    found.add_argument(
        "--genes",
        type=int,
        default=2000,
        help="most variable genes that each fold selects on its training set (%(default)s)",
    )
    found.add_argument("--name", help="name of the study and its folder (default: the file's)")
    found.add_argument("--seed", type=int, default=0, help="random seed (%(default)s)")
    found.add_argument(
        "--out",
        type=Path,
        default=Path("reports"),
        help="folder that the study's own folder goes to (%(default)s)",
    )
    found.add_argument("--jobs", type=int, help="processes, one thread each (default: cores)")
    add_tracking_uri(found)
    found.add_argument(
        "--backend",
        choices=BACKENDS,
        default="loky",
        help="where to compute: processes of this machine, or a cluster (%(default)s)",
    )
    found.add_argument("--scheduler", help="address of the cluster, for example tcp://HOST:8786")
    return found


def main(argv: Sequence[str]) -> int:
    """Write the study's config, and run it.

    Parameters
    ----------
    argv : sequence of str
        Arguments of the command.

    Returns
    -------
    int
        As of ``scdiff-bench run``.
    """
    command = parser()
    given = command.parse_args(list(argv))
    files = [file for file in (given.file, given.data) if file is not None]
    if len(files) != 1:
        command.error("give one h5ad file: scdiff-bench compare FILE --label-key COLUMN")
    return run.main(arguments_of_run(files[0], given))


def arguments_of_run(file: Path, given: argparse.Namespace) -> list[str]:
    """Write the study's config, and return the arguments that run it.

    Parameters
    ----------
    file : Path
        An h5ad file.
    given : Namespace
        Arguments of the command.

    Returns
    -------
    list of str
        For ``scdiff-bench run``.
    """
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", given.name or f"compare_{file.stem}")
    split: dict[str, Any] = {
        "kind": "repeated_stratified_cv",
        "n_splits": given.folds,
        "n_repeats": given.repeats,
    }
    if given.donor_key:
        split = {"kind": "donor_held_out", "key": given.donor_key}
    data = {"path": str(file.resolve()), "label_key": given.label_key}
    if given.layer:
        data["layer"] = given.layer
    if given.donor_key:
        data["group_key"] = given.donor_key
    config = {
        "name": name,
        "title": f"Does augmentation help on {file.stem}?",
        "description": "The standard comparison of strategies, on your own file.",
        "seed": given.seed,
        "datasets": [data],
        "split": split,
        "n_genes": given.genes,
        "sampling_strategy": "auto",
        "strategies": STRATEGIES,
        "classifiers": CLASSIFIERS,
        "scores": SCORES,
    }
    try:
        prepare_folder(given.out / name)
    except OSError:
        path = Path(f"{name}.yaml")  # the run itself says what is wrong with the folder
    else:
        path = given.out / name / "compare.yaml"
    write_text(path, yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
    found = [str(path), "--out", str(given.out), "--tracking-uri", given.tracking_uri]
    found += ["--backend", given.backend]
    found += ["--scheduler", given.scheduler] if given.scheduler else []
    return found + (["--jobs", str(given.jobs)] if given.jobs is not None else [])
