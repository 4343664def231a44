"""``scdiff-bench compare``: the standard strategies on your own h5ad file."""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from scdiff_bench.commands import run
from scdiff_bench.commands.run import add_tracking_uri
from scdiff_bench.data.datasets import describe
from scdiff_bench.messages import duration
from scdiff_bench.pages.recipe import recommendation
from scdiff_bench.running.backends import BACKENDS
from scdiff_bench.running.estimate import estimate
from scdiff_bench.running.store import prepare_folder, read, write_text
from scdiff_bench.statistics.pipelines import verdicts
from scdiff_bench.strategies.catalogue import STRATEGIES as CATALOGUE

STRATEGIES = (
    "none",
    "thresholds",
    "class_weight",
    "class_weight_thresholds",
    "random_oversampler",
    "smote",
    "latent_gaussian",
    "diffusion",
    "diffusion_thresholds",
    "null",
)
CLASSIFIERS = ("logistic_regression", "random_forest", "knn", "balanced_forest", "lda")
QUICK_STRATEGIES = ("none", "class_weight_thresholds", "random_oversampler", "diffusion")
QUICK_FOLDS, QUICK_CELLS, QUICK_MINUTES = 3, 2000, 3.5
SCORES = ["macro_f1", "rare_f1", "balanced_accuracy", "rare_pr_auc", "log_loss", "brier", "ece"]
TUNED = "_thresholds"
CONFIG = "compare.yaml"


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    found = argparse.ArgumentParser(
        prog="scdiff-bench compare",
        description="Compare the standard strategies on an h5ad file: does augmentation help "
        "there, and by which pipeline? It first says how long it will take, computes fold by fold, "
        "makes the page wherever it is stopped (Ctrl-C, --minutes), and ends with the recommended "
        "pipeline as Python code. The config is written beside the results, so that you can edit "
        "it and run it again with `scdiff-bench run`.",
    )
    found.add_argument("file", type=Path, nargs="?", metavar="FILE", help="an h5ad file")
    found.add_argument("--data", type=Path, dest="data", metavar="FILE", help=argparse.SUPPRESS)
    found.add_argument("--label-key", required=True, help="column of obs with the cell types")
    found.add_argument("--layer", help="layer with counts (default: X)")
    found.add_argument(
        "--donor-key", help="column of obs with the donors, which are then held out in turn"
    )
    found.add_argument(
        "--quick",
        action="store_true",
        help=f"a first answer in about five minutes on idle cores: {QUICK_FOLDS} folds, "
        f"{len(QUICK_STRATEGIES)} strategies, {QUICK_CELLS} training cells in which rare types "
        f"keep all of theirs, --minutes {QUICK_MINUTES}; options that you give yourself come first",
    )
    found.add_argument(
        "--minutes",
        type=float,
        help="start nothing new after so many minutes; the page is made of what is there, and the "
        "same command resumes",
    )
    found.add_argument(
        "--strategies",
        metavar="A,B,...",
        help=f"what is compared, with commas between (default: {','.join(STRATEGIES)})",
    )
    found.add_argument(
        "--classifiers",
        metavar="A,B,...",
        help=f"what it is compared on (default: {','.join(CLASSIFIERS)})",
    )
    found.add_argument("--folds", type=int, help="folds of the cross-validation (5)")
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
    """Write the study's config, say how long it will take, run it, and recommend a pipeline.

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
    folder = given.out / name_of(files[0], given)
    new = not folder.exists()
    arguments = run.parser().parse_args(arguments_of_run(files[0], given))
    again = f"scdiff-bench compare {shlex.join(argv)}"
    before = partial(announce, jobs=arguments.jobs, minutes=arguments.minutes)
    code = run.run_study(arguments, again, before, recommend)
    if new and code == run.BAD_INPUT:
        remove_unused(folder)
    return code


def remove_unused(folder: Path) -> None:
    """Remove the folder of a study that could not begin: it holds its config and nothing else."""
    if {path.name for path in folder.glob("**/*")} <= {"units", CONFIG}:
        shutil.rmtree(folder, ignore_errors=True)


def announce(plan: Any, folder: Path, jobs: int, minutes: float | None = None) -> None:
    """Say what will be computed, and about how long it will take.

    Parameters
    ----------
    plan : Comparison
        With its data loaded; what its units are expected to take is noted in it.
    folder : Path
        Of the study.
    jobs : int
        Processes.
    minutes : float, optional
        After which nothing new is started.
    """
    (data,) = plan.datasets
    types, counts = np.unique(data.y, return_counts=True)
    folds = len({unit.fold.index for unit in plan.units})
    print(
        f"{data.name}: {data.X.shape[0]:,} cells x {data.X.shape[1]:,} genes, {len(types)} types, "
        f"the rarest {types[counts.argmin()]} with {counts.min()} cells.\n"
        f"{folds} folds x {len(plan.config.strategies)} strategies x "
        f"{len(plan.config.classifiers)} classifiers."
    )
    most = plan.config.split_params.get("max_train")
    if most is not None and any(len(u.fold.train) == most for u in plan.units):
        print(
            f"Training sets are thinned to {most:,} cells; rare types keep all of theirs, so they "
            "are less rare than in the file. Without --quick all cells train."
        )
    todo = [u for u in plan.units if read(folder, u.key) is None]
    if not todo:
        return
    print("Timing a small fit of each ...", flush=True)
    found = estimate(todo, jobs)
    plan.expected = found.seconds
    ends = "" if minutes is None else f"Nothing new is started after {minutes:g} minutes in all. "
    print(
        f"Estimate: about {duration(found.total)} on {found.jobs} processes, scaled up from "
        f"{found.cells:,} training cells that took {duration(found.spent)}; it may be half or "
        f"twice that, more where other work shares the cores. {ends}Ctrl-C ends it at any "
        "time with a page of what is there, and the same command goes on.",
        flush=True,
    )


def recommend(plan: Any, results: Any, folder: Path) -> None:
    """Print the recommended pipeline as code, and keep it beside the page.

    Parameters
    ----------
    plan : Comparison
        The study.
    results : Results
        Its rows.
    folder : Path
        Of the study.
    """
    found = verdicts(plan.config, results.rows)
    if not found:
        return
    if found[0].pending:
        print("No pipeline is recommended yet: the same command goes on.")
        return
    text = recommendation(plan.config, found[0], describe(plan.datasets[0]))
    write_text(folder / "pipeline.py", text)
    print(f"Recommended pipeline, also in {folder / 'pipeline.py'}:\n\n{text}")


def name_of(file: Path, given: argparse.Namespace) -> str:
    """Return the name of the study, which is its folder's."""
    ending = "_quick" if given.quick else ""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", given.name or f"compare_{file.stem}{ending}")


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
    name = name_of(file, given)
    strategies = _listed(given.strategies, QUICK_STRATEGIES if given.quick else STRATEGIES)
    split: dict[str, Any] = {
        "kind": "repeated_stratified_cv",
        "n_splits": given.folds or (QUICK_FOLDS if given.quick else 5),
        "n_repeats": given.repeats,
    }
    if given.donor_key:
        split = {"kind": "donor_held_out", "key": given.donor_key}
    if given.quick:
        split["max_train"] = QUICK_CELLS
    data = {"path": str(file.resolve()), "label_key": given.label_key}
    if given.layer:
        data["layer"] = given.layer
    if given.donor_key:
        data["group_key"] = given.donor_key
    config = {
        "name": name,
        "title": f"Does augmentation help on {file.stem}?",
        "description": "A quick comparison of strategies, on your own file and with few cells."
        if given.quick
        else "The standard comparison of strategies, on your own file.",
        "seed": given.seed,
        "datasets": [data],
        "split": split,
        "n_genes": given.genes,
        "sampling_strategy": "auto",
        "strategies": _entries(strategies),
        "classifiers": _listed(given.classifiers, CLASSIFIERS),
        "scores": SCORES,
    }
    try:
        prepare_folder(given.out / name)
    except OSError:
        path = Path(f"{name}.yaml")  # the run itself says what is wrong with the folder
    else:
        path = given.out / name / CONFIG
    write_text(path, yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
    minutes = given.minutes if given.minutes is not None or not given.quick else QUICK_MINUTES
    found = [str(path), "--out", str(given.out), "--tracking-uri", given.tracking_uri]
    found += ["--backend", given.backend]
    found += ["--scheduler", given.scheduler] if given.scheduler else []
    found += ["--minutes", str(minutes)] if minutes is not None else []
    return found + (["--jobs", str(given.jobs)] if given.jobs is not None else [])


def _listed(given: str | None, default: Sequence[str]) -> list[str]:
    """Return names that were given with commas between."""
    if given is None:
        return list(default)
    return [name.strip() for name in given.split(",") if name.strip()]


def _entries(names: Sequence[str]) -> list[Any]:
    """Return strategies as a config lists them, tuned thresholds as a key of theirs."""
    tuned = [n.removesuffix(TUNED) for n in names if n.endswith(TUNED) and n not in CATALOGUE]
    plain = [n for n in names if n in CATALOGUE or not n.endswith(TUNED)]
    return [
        {"name": name, "thresholds": True} if name in tuned else name
        for name in dict.fromkeys([*plain, *tuned])
    ]
