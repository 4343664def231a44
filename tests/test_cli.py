"""Command line: what the help promises, and the same done in Python."""

import inspect
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from command_line import FIT, STEPS, done, listing, run, small
from distributed import LocalCluster
from tiny import reseed

from scdiff_augment import DiffusionOversampler, LatentDiffusion, oversample_adata
from scdiff_augment.annotation.labels import balanced_weights
from scdiff_augment.expression.kinds import depth_normalised
from scdiff_augment.metrics import evaluate

ROOT = Path(__file__).parents[1]
COMMANDS = ("fit", "add-condition", "sample", "oversample", "interpolate", "evaluate")


def commands_in(text):
    """Command lines of a help text or a page, continued lines joined."""
    joined = text.replace("\\\n", " ")
    return re.findall(r"^ *(?:\$ )?(scdiff-augment .+)$", joined, flags=re.MULTILINE)


def examples(command):
    """Command lines under "Examples:" of a command's help."""
    return commands_in(done(command, "--help").stdout.partition("Examples:")[2])


EXAMPLES = [(command, line) for command in COMMANDS for line in examples(command)]


@pytest.fixture
def model(here):
    """The model of the folder, loaded."""
    return LatentDiffusion.load("model", random_state=3)


# --- help ---------------------------------------------------------------------------------------


def test_every_command_has_examples():
    assert {command for command, _ in EXAMPLES} == set(COMMANDS)


CLUSTERED = [(command, line) for command, line in EXAMPLES if re.search("--(devices|sched)", line)]


def made_since(before):
    """Files and folders that are new or changed."""
    now = listing()
    return {name.split("/")[0] for name, content in now.items() if before.get(name) != content}


@pytest.mark.parametrize(("command", "line"), [e for e in EXAMPLES if e not in CLUSTERED])
def test_examples_of_the_help_run(command, line, here):
    if "--batch-key study" in line:
        cells = small()
        cells.obs["study"] = pd.Categorical(["mine", "theirs"] * 50)
        cells.write_h5ad("cells.h5ad")
    if "--reference" in line:
        small().write_h5ad("mine.h5ad")
        small(seed=1, types=("T", "NK", "B")).write_h5ad("atlas.h5ad")
        names = {"reference": ["T", "NK", "B"], "own": ["T cells", "NK cells", "B cells"]}
        pd.DataFrame(names).to_csv("names.csv", index=False)
    if command == "fit":
        shutil.rmtree("model")
    if command == "add-condition":
        done(*FIT, "--label-key", "cell_type", "--force")
    words = shlex.split(line)
    assert words[:2] == ["scdiff-augment", command]
    before = listing()
    done(*words[1:])
    wanted = [words[2 + (command not in ("add-condition", "evaluate"))]]
    if command == "interpolate":
        wanted = [words[4]]
    if command == "evaluate":
        wanted = [word for word in words if word.endswith((".csv", ".json"))]
    assert made_since(before) == set(wanted)


def on_this_machine(line, scheduler="none"):
    """The example, on a small file, two processes, and a cluster that is there."""
    words = {"atlas.h5ad": "cells.h5ad", "1000000": "60", "tcp://host:8786": scheduler}
    line = re.sub("--devices [0-9]+", "--devices 2 --accelerator cpu", line)
    return [words.get(word, word) for word in shlex.split(line)]


def test_examples_for_clusters_are_these_two():
    assert [command for command, _ in CLUSTERED] == ["fit", "sample"]


def test_the_example_for_several_devices_runs(here):
    (line,) = (line for command, line in CLUSTERED if command == "fit")
    shutil.rmtree("model")
    before = listing()
    words = on_this_machine(line)
    environment = {k: v for k, v in os.environ.items() if not k.endswith("_RANK")}
    subprocess.run(
        [sys.executable, "-m", "scdiff_augment", *words[1:], *STEPS], check=True, env=environment
    )
    assert made_since(before) == {"model"}


def test_the_example_for_a_scheduler_runs(here):
    (line,) = (line for command, line in CLUSTERED if command == "sample")
    before = listing()
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0"
    ) as cluster:
        done(*on_this_machine(line, cluster.scheduler_address)[1:])
    assert made_since(before) == {"atlas.zarr"}
    assert ad.read_zarr("atlas.zarr").n_obs == 60


def test_commands_of_the_guide_run(here):
    page = (ROOT / "docs" / "user_guide" / "command_line.md").read_text(encoding="utf-8")
    lines = commands_in(page.partition("<!-- commands -->")[0])
    assert {shlex.split(line)[1] for line in lines} == set(COMMANDS)
    for name in ("model", "synthetic.h5ad"):
        shutil.rmtree(name) if Path(name).is_dir() else Path(name).unlink()
    for line in lines:
        done(*shlex.split(line)[1:])


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom scdiff_augment.cli import app\n"
        f"for command in {COMMANDS}: assert CliRunner().invoke(app, [command, '--help']).stdout\n"
        "print([m for m in ('torch', 'scanpy', 'anndata', 'sklearn', 'pandas', 'numpy') "
        "if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (out.stdout, out.stderr) == ("[]\n", "")


def test_the_entry_point_exists():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    module, _, name = project["scripts"]["scdiff-augment"].partition(":")
    assert callable(getattr(import_module(module), name))
    assert run("--version").stdout.strip() == project["version"]


# --- each command does what the package does ----------------------------------------------------


def test_fit_is_latent_diffusion_fit(here):
    keys = ["--label-key", "cell_type", "--weight-key", "cell_type", "--group-key", "donor"]
    done(*FIT, *keys, "--force")
    adata = small()
    types = adata.obs["cell_type"].to_numpy()
    weight = adata.obs["cell_type"].map({"T cells": 60, "NK cells": 30, "B cells": 10})
    frame = adata.to_df()
    ours = LatentDiffusion(n_latent=5, decoder_steps=20, denoiser_steps=20, random_state=0)
    ours.fit(frame, sample_weight=weight.astype(float) ** -0.5, groups=adata.obs["donor"])
    ours.add_condition("cell_type", types)
    theirs = LatentDiffusion.load("model")
    np.testing.assert_array_equal(theirs.genes_, adata.var_names)
    np.testing.assert_array_equal(theirs.encode(frame), ours.encode(frame))
    for mine, other in zip(ours.denoiser_.parameters(), theirs.denoiser_.parameters(), strict=True):
        np.testing.assert_array_equal(mine.detach(), other.detach())
    assert theirs.get_params()["verbose"] is False


def test_sample_is_sample_adata(here, model):
    arguments = ["--where", "cell_type=B cells", "--where", "condition=stim", "--seed", "3"]
    more = ["--scale", "2", "--scale", "condition=0.5", "--interval", "0.1", "5"]
    done("sample", "model", "new.h5ad", "--n", "20", *arguments, *more)
    expected = model.sample_adata(
        {"cell_type": "B cells", "condition": "stim"},
        20,
        guidance_scale={"cell_type": 2, "condition": 0.5},
        guidance_interval=(0.1, 5),
    )
    found = ad.read_h5ad("new.h5ad")
    np.testing.assert_array_equal(found.X.toarray(), expected.X.toarray())
    np.testing.assert_array_equal(
        found.layers["counts"].toarray(), expected.layers["counts"].toarray()
    )
    assert found.var_names.tolist() == small().var_names.tolist()
    assert set(zip(found.obs["cell_type"], found.obs["condition"], strict=True)) == {
        ("B cells", "stim")
    }


def test_sample_changes_the_sampler_when_asked(here, model):
    done(
        "sample",
        "model",
        "new.h5ad",
        "--n",
        "9",
        "--sampler",
        "ddim",
        "--n-steps",
        "7",
        "--seed",
        3,
    )
    expected = model.set_params(sampler="ddim", n_steps=7).sample_adata(None, 9)
    np.testing.assert_array_equal(ad.read_h5ad("new.h5ad").X.toarray(), expected.X.toarray())


def test_each_draws_every_class_equally(here):
    done("sample", "model", "new.zarr", "--n", "4", "--each", "cell_type")
    counts = ad.read_zarr("new.zarr").obs["cell_type"].value_counts().to_dict()
    assert counts == {"T cells": 4, "NK cells": 4, "B cells": 4}


def test_start_cells_are_those_that_were_asked_for(here, model):
    start = ["--start", "cells.h5ad", "--start-where", "condition=ctrl"]
    start += ["--start-where", "cell_type=B cells", "--strength", "0.4"]
    done("sample", "model", "new.h5ad", *start, "--where", "condition=stim", "--seed", "3")
    adata = small()
    chosen = adata[(adata.obs["condition"] == "ctrl") & (adata.obs["cell_type"] == "B cells")]
    expected = model.sample_adata({"condition": "stim"}, start=chosen.to_df(), strength=0.4)
    found = ad.read_h5ad("new.h5ad")
    assert found.obs["synthetic_source"].tolist() == chosen.obs_names.tolist()
    np.testing.assert_array_equal(found.X.toarray(), expected.X.toarray())
    result = done("sample", "model", "more.h5ad", *start, "--n", "12")
    assert "12 cells are needed, but cells.h5ad has only 5 such cells" in result.stderr
    assert ad.read_h5ad("more.h5ad").n_obs == 12


def test_add_condition_is_add_condition_and_reads_the_models_genes(here):
    done(*FIT, "--weight-key", "cell_type", "--force")
    expected = LatentDiffusion.load("model", random_state=0)
    adata = small()
    types = adata.obs["cell_type"].to_numpy()
    expected.add_condition("type", types, adata.to_df(), sample_weight=balanced_weights(types))
    more = small()[:, ::-1].copy()
    other = ad.AnnData(np.ones((100, 3)), more.obs, pd.DataFrame(index=["a", "b", "c"]))
    other.layers["counts"] = other.X
    ad.concat([other, more], axis=1, merge="first").write_h5ad("wide.h5ad")
    done("add-condition", "model", "wide.h5ad", "--label-key", "cell_type", "--name", "type")
    found = LatentDiffusion.load("model", random_state=0)
    assert found.conditions_["type"].tolist() == expected.conditions_["type"].tolist()
    options = {"conditions": {"type": "B cells"}, "n": 10}
    reseed(expected)
    np.testing.assert_array_equal(found.sample(**options), expected.sample(**options))


def test_interpolate_is_interpolate(here, model):
    arguments = ["--condition", "cell_type", "--from", "NK cells", "--to", "B cells"]
    arguments += ["--weights", "3", "--sigma", "0.7", "--scale", "1.2", "--seed", "3"]
    arguments += ["--noise", "inverted"]
    done("interpolate", "model", "cells.h5ad", "path.h5ad", *arguments)
    start = small()[small().obs["cell_type"] == "NK cells"]
    weights = [0, 0.5, 1]
    expected = model.interpolate(
        start.to_df(),
        "cell_type",
        "NK cells",
        "B cells",
        weights,
        sigma=0.7,
        guidance_scale=1.2,
        noise="inverted",
    )
    found = ad.read_h5ad("path.h5ad")
    assert found.n_obs == 90
    for weight in weights:
        part = found[found.obs["weight"] == weight]
        assert part.obs["synthetic_source"].tolist() == start.obs_names.tolist()
        counts = expected.loc[weight].to_numpy()
        np.testing.assert_array_equal(part.layers["counts"].toarray(), counts)
        np.testing.assert_allclose(part.X.toarray(), depth_normalised(counts), rtol=1e-6)


def test_oversample_is_oversample_adata(here):
    strategy = ["--strategy", "B cells=40", "--strategy", "NK cells=35"]
    arguments = [*strategy, *STEPS, "--n-latent", "5", "--seed", "1", "--donor-key", "donor"]
    done("oversample", "cells.h5ad", "more.zarr", "--label-key", "cell_type", *arguments)
    sampler = DiffusionOversampler(
        sampling_strategy={"B cells": 40, "NK cells": 35},
        n_latent=5,
        decoder_steps=20,
        denoiser_steps=20,
        random_state=1,
    )
    expected = oversample_adata(small(), "cell_type", donor_key="donor", sampler=sampler)
    found = ad.read_zarr("more.zarr")
    np.testing.assert_array_equal(found.X.toarray(), expected.X.toarray())
    assert found.obs["is_synthetic"].sum() == 35
    assert found.obs["donor"].tolist() == expected.obs["donor"].tolist()


@pytest.mark.parametrize(("text", "n"), [("1.0", 30), ("15", 15)])
def test_oversample_tops_up_rare_classes_alone(text, n, here):
    arguments = [*STEPS, "--n-latent", "5", "--seed", "1", "--only-rare", text]
    result = done("oversample", "cells.h5ad", "more.h5ad", "--label-key", "cell_type", *arguments)
    assert f"added: B cells {n - 10}" in result.stderr
    assert ad.read_h5ad("more.h5ad").obs["cell_type"].value_counts()["B cells"] == n


def test_oversample_warns_that_a_model_has_seen_the_cells(here):
    arguments = ["--label-key", "cell_type", "--model", "model"]
    result = done("oversample", "cells.h5ad", "more.h5ad", *arguments)
    assert "has seen 100 of the 100 cells" in result.stderr
    result = run("oversample", "cells.h5ad", "x.h5ad", *arguments, "--on-overlap", "raise")
    assert result.exit_code == 2
    result = run("oversample", "heldout.h5ad", "x.h5ad", *arguments, "--decoder-steps", "3")
    assert "--decoder-steps concerns training" in result.stderr
    assert not Path("x.h5ad").exists()


def test_defaults_are_those_of_the_package():
    """A default that is changed in one place only would make the two ways in disagree."""
    shown = {command: re.sub(r"\s+", " ", done(command, "--help").stdout) for command in COMMANDS}
    in_python = inspect.signature(LatentDiffusion.interpolate).parameters
    for option, name in (("sigma", "sigma"), ("scale", "guidance_scale"), ("noise", "noise")):
        text = shown["interpolate"].partition(f" --{option} ")[2].partition(" --")[0]
        assert f"[default: {in_python[name].default}" in text
    parameters = LatentDiffusion().get_params()
    for option in ("decoder-steps", "denoiser-steps", "classifier-steps", "n-latent", "encoder"):
        text = shown["fit"].partition(f" --{option} ")[2].partition(" --")[0]
        assert f"[default: {parameters[option.replace('-', '_')]}" in text


def test_a_condition_within_another_reaches_unseen_combinations(here):
    adata = small()
    unseen = (adata.obs["cell_type"] == "B cells") & (adata.obs["condition"] == "stim")
    adata[~unseen].copy().write_h5ad("cells.h5ad")
    done(*FIT, "--label-key", "cell_type", "--force")
    arguments = ["add-condition", "model", "cells.h5ad", "--label-key", "condition"]
    result = run(*arguments, "--within", "type")
    assert (result.exit_code, "no condition 'type'" in result.stderr) == (2, True)
    result = done(*arguments, "--within", "cell_type")
    assert "B cells" in result.stderr
    loaded = LatentDiffusion.load("model")
    assert loaded.conditions_.learnt["condition"].effects.within == "cell_type"


# --- evaluate -----------------------------------------------------------------------------------


def halves(X, seed):
    """Every second cell of a random order, as the help says."""
    order = np.random.default_rng(seed).permutation(len(X))
    return X[order[::2]], X[order[1::2]]


def test_evaluate_is_metrics_evaluate(here):
    settings = ["--trees", "5", "--seed", "4", "--repeats", "1"]
    arguments = ["evaluate", "heldout.h5ad", "synthetic.h5ad", *settings]
    done(*arguments, "--training", "cells.h5ad", "--out", "table.csv")
    result = done(*arguments, "--training", "cells.h5ad", "--out", "table.json")
    real, null = halves(small(seed=1).X.toarray(), 4)
    expected = evaluate(
        real,
        ad.read_h5ad("synthetic.h5ad").layers["counts"].toarray(),
        null=null,
        training=small().X.toarray(),
        n_estimators=5,
        random_state=4,
    )
    for table in (pd.read_csv("table.csv"), pd.read_json("table.json")):
        pd.testing.assert_frame_equal(
            table[expected.columns], pd.DataFrame(expected), check_dtype=False, rtol=1e-5
        )
    assert result.stdout == f"{expected}\n"  # verdict and compact table
    full = done(*arguments, "--training", "cells.h5ad", "--full").stdout
    verdict, _, block = full.partition("\nall cells, ")
    assert verdict == result.stdout
    shown = {line.split()[0] for line in block.splitlines()[2:]}
    assert shown == set(expected.dropna(subset="synthetic")["figure"])


def test_evaluate_compares_classes_with_themselves(here):
    done("oversample", "cells.h5ad", "more.h5ad", "--label-key", "cell_type", *STEPS)
    settings = ["--trees", "5", "--repeats", "1"]
    arguments = ["evaluate", "heldout.h5ad", "more.h5ad", *settings, "--out", "t.csv"]
    result = done(*arguments, "--label-key", "cell_type")
    assert "more.h5ad: using the 80 synthetic cells of 180" in result.stderr
    assert "real cells of T cells left out" in result.stderr
    assert "class proportions differ" in result.stderr
    assert set(pd.read_csv("t.csv")["class"]) == {"all cells", "B cells", "NK cells"}
    result = done(*arguments, "--force", "--training", "heldout.h5ad")
    assert "made by class of 'cell_type'; --label-key" in result.stderr
    assert "100 of 100 real cells are in --training" in result.stderr


def test_evaluate_brings_files_to_one_scale_and_one_set_of_genes(here):
    """Counts in X on one side, log1p in X and counts in a layer on the other; more genes."""
    counts = small(seed=1)
    del counts.layers["counts"]
    more = ad.AnnData(np.ones((100, 2)), counts.obs, pd.DataFrame(index=["a", "b"]))
    ad.concat([more, counts[:, ::-1]], axis=1, merge="first").write_h5ad("wide.h5ad")
    arguments = ["synthetic.h5ad", "--trees", "5", "--repeats", "1", "--full"]
    first = done("evaluate", "heldout.h5ad", *arguments)
    again = done("evaluate", "wide.h5ad", *arguments)
    assert first.stdout == again.stdout
    logged = small(seed=1)
    logged.X = depth_normalised(logged.X.toarray())
    logged.write_h5ad("logged.h5ad")
    third = done("evaluate", "logged.h5ad", *arguments, "--layer", "X")
    values = {
        text.partition("real and as many synthetic\n")[2].splitlines()[1].split()[1]
        for text in (first.stdout, third.stdout)
    }
    assert len(values) == 1
    only = ad.read_h5ad("synthetic.h5ad")
    only.X = only.layers["counts"]
    only.write_h5ad("counted.h5ad")
    result = run("evaluate", "logged.h5ad", "counted.h5ad", "--layer", "X")
    assert result.exit_code == 2
    assert "counted.h5ad holds counts, so they cannot be compared" in result.stderr
