"""``python -m benchmarks compare``: the standard study on a file of one's own."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from scdiff_bench.running.backends import BACKENDS
from scdiff_bench.running.store import prepare_folder, write_text
from scdiff_bench.tracking.tracking import DEFAULT_URI

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
    """Return the command's parser.

    Returns
    -------
    ArgumentParser
        A file, its label key, and what may be changed.
    """
    found = argparse.ArgumentParser(
        prog="python -m benchmarks compare",
        description="Run the standard study on an h5ad file: does augmentation help there? The "
        "study's config is kept beside its results, to be changed and run again.",
    )
    found.add_argument("--data", type=Path, required=True, help="an h5ad file")
    found.add_argument("--label-key", required=True, help="column of obs with the cell types")
    found.add_argument("--layer", help="layer with counts (default: X)")
    found.add_argument("--donor-key", help="column of obs; donors are then held out")
    found.add_argument("--folds", type=int, default=5, help="folds (%(default)s)")
    found.add_argument("--repeats", type=int, default=1, help="repeats (%(default)s)")
    found.add_argument(
        "--genes", type=int, default=2000, help="genes that each fold chooses (%(default)s)"
    )
    found.add_argument("--name", help="of the study (default: the file's)")
    found.add_argument("--seed", type=int, default=0)
    found.add_argument("--out", type=Path, default=Path("reports"))
    found.add_argument("--jobs", type=int, help="processes (default: cores)")
    found.add_argument("--tracking-uri", default=DEFAULT_URI)
    found.add_argument("--backend", choices=BACKENDS, default="loky")
    found.add_argument("--scheduler")
    return found


def main(argv: Sequence[str]) -> list[str]:
    """Write the study's config, and return the arguments that run it.

    Parameters
    ----------
    argv : sequence of str
        Arguments.

    Returns
    -------
    list of str
        For ``python -m benchmarks``.
    """
    given = parser().parse_args(list(argv))
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", given.name or f"compare_{given.data.stem}")
    split: dict[str, Any] = {
        "kind": "repeated_stratified_cv",
        "n_splits": given.folds,
        "n_repeats": given.repeats,
    }
    if given.donor_key:
        split = {"kind": "donor_held_out", "key": given.donor_key}
    data = {"path": str(given.data.resolve()), "label_key": given.label_key}
    if given.layer:
        data["layer"] = given.layer
    if given.donor_key:
        data["group_key"] = given.donor_key
    config = {
        "name": name,
        "title": f"Does augmentation help on {given.data.stem}?",
        "description": "The standard comparison of strategies, on a file of one's own.",
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
    run = [str(path), "--out", str(given.out), "--tracking-uri", given.tracking_uri]
    run += ["--backend", given.backend]
    run += ["--scheduler", given.scheduler] if given.scheduler else []
    return run + (["--jobs", str(given.jobs)] if given.jobs else [])
