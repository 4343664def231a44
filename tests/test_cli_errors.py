"""Command line: bad input is explained, and what was changed is reported."""

import re
from pathlib import Path

import anndata as ad
import numpy as np
import pytest
from command_line import FIT, STEPS, done, listing, run, small
from imblearn.utils import check_sampling_strategy
from sklearn.utils import check_array

from scdiff_augment import LatentDiffusion
from scdiff_augment.cli.name_lookup import matching_value

SAMPLE = ["sample", "model", "new.h5ad", "--n", "5"]
OVERSAMPLE = ["oversample", "cells.h5ad", "new.h5ad", "--label-key", "cell_type"]
PATH = ["interpolate", "model", "cells.h5ad", "new.h5ad", "--condition", "cell_type"]
PATH += ["--from", "NK cells", "--to", "B cells"]
START = ["--start", "cells.h5ad"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit", "cell.h5ad", "m"], "cell.h5ad does not exist. Did you mean 'cells.h5ad'?"),
        (["fit", "cells.csv", "m"], "matrix.mtx, but cells.csv is none of them"),
        (["fit", "cells.h5ad", "m.h5ad"], "a model is a folder"),
        (["fit", "cells.h5ad", "no/m"], "there is no folder no. Create it"),
        (["fit", "cells.h5ad", "cells.h5ad/m"], "Not a directory"),
        (["fit", "cells.h5ad", "m", "--n-latent", "-3"], "--n-latent takes 'auto' or an integer"),
        (["fit", "cells.h5ad", "m", "--encoder", "pcaa"], "none of these. Did you mean 'pca'?"),
        (["fit", "cells.h5ad", "m", "--encoder", "model"], "encoder.ckpt"),
        (["fit", "cells.h5ad", "m", "--layer", "count"], "no layer 'count'. Did you mean 'counts'"),
        (
            ["fit", "cells.h5ad", "m", "--label-key", "celltype"],
            "Did you mean 'cell_type'? It has:",
        ),
        (["fit", "cells.h5ad", "m", "--expression", "log1p"], "expression='log1p' needs"),
        (
            ["fit", "cells.h5ad", "m", "--decoder-steps", "-1"],
            "--decoder-steps takes 'auto' or an integer of at least 0, got '-1'",
        ),
        (["fit", "cells.h5ad", "m", "--label-key", "share"], "holds measurements such as 0.01"),
        (["fit", "cells.h5ad", "m", "--jobs", "0"], "0 threads cannot work"),
        (["fit", "cells.h5ad", "m", "--seed", "-1"], "Invalid value for '--seed'"),
        (["add-condition", "cells.h5ad", "model", "--label-key", "donor"], "model comes first"),
        (["add-condition", "model", "cells.h5ad"], "Missing option '--label-key'"),
        (
            ["add-condition", "model", "cells.h5ad", "--label-key", "cell_type"],
            "model already has a condition 'cell_type'",
        ),
        (
            ["sample", "modell", "new.h5ad", "--n", "5"],
            "modell does not exist. Models in that folder: model",
        ),
        (["sample", ".", "new.h5ad", "--n", "5"], "is not a saved model: it has no model.json"),
        (["sample", "model", "new.h5ad"], "the number of cells is missing. Add --n"),
        (["sample", "model", "new.h5ad", "--n", "-5"], "Invalid value for '--n'"),
        (["sample", "model", "new.csv", "--n", "5"], "must end in .h5ad or .zarr"),
        ([*SAMPLE, "--where", "celltype=B cells"], "no condition 'celltype'. Did you mean 'cell_t"),
        ([*SAMPLE, "--where", "cell_type=b cell"], "no class 'b cell'. Did you mean 'B cells'?"),
        ([*SAMPLE, "--where", "cell_type"], "--where takes NAME=VALUE, got 'cell_type'"),
        ([*SAMPLE, "--where", "condition=ctrl", "--where", "condition=stim"], "'condition' twice"),
        ([*SAMPLE, "--where", "condition=ctrl", "--each", "condition"], "draws all classes"),
        ([*SAMPLE, "--each", "type"], "no condition 'type'"),
        ([*SAMPLE, "--scale", "2"], "--scale needs conditions, but none are requested"),
        ([*SAMPLE, "--where", "condition=ctrl", "--scale", "big"], "--scale takes NUMBER"),
        ([*SAMPLE, "--where", "condition=ctrl", "--scale", "-1"], "must be at least 0"),
        ([*SAMPLE, "--where", "condition=ctrl", "--scale", "donor=1"], "--scale names 'donor'"),
        ([*SAMPLE, "--interval", "3", "1"], "0 <= low < high"),
        ([*SAMPLE, "--strength", "0.5"], "--strength concerns the cells of --start"),
        ([*SAMPLE, *START, "--strength", "1.5"], "--strength must be above 0 and below 1, got 1.5"),
        ([*SAMPLE, *START, "--start-where", "donor=d3"], "no value 'd3'. It has: d1, d2."),
        ([*SAMPLE, *START, "--each", "condition"], "--each cannot be combined with --start"),
        ([*OVERSAMPLE, "--strategy", "most"], "--strategy takes one of auto, minority"),
        ([*OVERSAMPLE, "--strategy", "B cells=5"], "there are 10 such cells"),
        ([*OVERSAMPLE, "--strategy", "B cell=50"], "no class 'B cell'. Did you mean 'B cells'?"),
        ([*OVERSAMPLE, "--only-rare", "half"], "a number of cells, such as 200; got 'half'"),
        ([*OVERSAMPLE, "--only-rare", "1.5"], "at most 1 and with a decimal point"),
        ([*OVERSAMPLE, "--only-rare", "0.5", "--strategy", "B cells=50"], "Leave one of them out"),
        ([*OVERSAMPLE, "--donor-key", "donors"], "no column 'donors'. Did you mean 'donor'?"),
        ([*OVERSAMPLE, "--strength", "0"], "'strength' parameter"),
        ([*PATH, "--weights", "0,2"], "--weights takes a number of weights of at least 2"),
        ([*PATH, "--sigma", "0"], "--sigma must be above 0, got 0"),
        ([*PATH, "--label-key", "type"], "obs of cells.h5ad has no column 'type'"),
        (["evaluate", "cells.h5ad", "no.h5ad"], "no.h5ad does not exist"),
        (["evaluate", "cells.h5ad", "synthetic.h5ad", "--out", "t.txt"], "in .csv or .json"),
        (["evaluate", "synthetic.h5ad", "cells.h5ad"], "Check the order of the files."),
        (["evaluate", "cells.h5ad", "synthetic.h5ad", "--label-key", "donor"], "no column 'donor'"),
        (["paint", "cells.h5ad"], "No such command 'paint'"),
    ],
)
def test_bad_input_is_named_and_nothing_is_written(arguments, message, here):
    before = listing()
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in re.sub(r"\s+", " ", result.stderr)
    assert result.stdout == ""
    assert listing() == before


def repeated_genes(adata):
    adata.var_names = ["Gene0", *adata.var_names[:-1]]


def unlabelled(adata):
    adata.obs.loc["cell3", "cell_type"] = np.nan


def without_x(adata):
    adata.X = None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (repeated_genes, "names 1 genes more than once, the first of them 'Gene0'"),
        (unlabelled, "is missing for 1 of 100 cells, the first of them 'cell3'"),
        (without_x, "has no X. Name a layer with --layer: counts"),
    ],
)
@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_bad_cells_are_named(change, message, here):
    adata = small()
    change(adata)
    adata.write_h5ad("bad.h5ad")
    before = listing()
    for arguments in (["fit", "bad.h5ad", "m"], ["oversample", "bad.h5ad", "new.h5ad"]):
        result = run(*arguments, "--label-key", "cell_type")
        assert (result.exit_code, result.stdout) == (2, "")
        assert message in result.stderr
    assert listing() == before


@pytest.mark.parametrize("name", ["text.h5ad", "cut.h5ad", "empty.zarr"])
def test_damaged_files_are_named(name, here):
    Path("text.h5ad").write_text("not an HDF5 file")
    Path("cut.h5ad").write_bytes(Path("cells.h5ad").read_bytes()[:5000])
    Path("empty.zarr").mkdir()
    result = run("fit", name, "m")
    assert result.exit_code == 2
    assert f"{name} cannot be read as {name[-4:].strip('.')}" in result.stderr
    assert "Traceback" not in result.stderr


def test_files_without_cells_and_damaged_models_are_named(here):
    small()[:0].copy().write_h5ad("none.h5ad")
    result = run("fit", "none.h5ad", "m")
    assert (result.exit_code, "none.h5ad is empty: 0 cells" in result.stderr) == (2, True)
    tensors = next(Path("model").glob("tensors-*"))
    tensors.write_bytes(tensors.read_bytes()[:-10])
    result = run(*SAMPLE)
    assert (result.exit_code, "was cut off or altered" in result.stderr) == (2, True)


def test_values_of_another_kind_and_missing_genes_are_named(here):
    adata = small()
    adata.layers["logged"] = np.log1p(adata.X.toarray())
    adata[:, :30].copy().write_h5ad("few.h5ad")
    adata.write_h5ad("cells.h5ad")
    arguments = [*SAMPLE, "--start"]
    result = run(*arguments, "cells.h5ad", "--layer", "logged")
    assert result.exit_code == 2
    assert "layer 'logged' of cells.h5ad does not hold counts" in result.stderr
    result = run(*arguments, "few.h5ad")
    assert result.exit_code == 2
    assert "lacks 10 of the 40 genes that are needed, the first of them 'Gene30'" in result.stderr


@pytest.mark.filterwarnings("ignore:Observation names are not unique")
def test_repeated_cell_names_get_a_suffix_and_a_note(here):
    adata = small()
    adata.obs_names = ["cell1", *adata.obs_names[1:]]
    adata.write_h5ad("cells.h5ad")
    result = done(*SAMPLE, *START)
    assert "1 cell names of cells.h5ad were repeated" in result.stderr
    assert ad.read_h5ad("new.h5ad").n_obs == 5


def test_the_layer_of_fit_is_remembered_and_raw_is_read(here):
    adata = small()
    adata.raw = adata.copy()
    adata.layers["mine"] = adata.X.copy()
    adata.X = adata.X.toarray() * 0.37 - 1
    adata.write_h5ad("scaled.h5ad")
    for layer in ("mine", "raw"):
        told = done("fit", "scaled.h5ad", layer, *STEPS, "--layer", layer, "--seed", "1").stderr
        assert "genes, counts\n" in told
        assert LatentDiffusion.load(layer).history_["expression"] == "counts"
        done("add-condition", layer, "scaled.h5ad", "--label-key", "donor")
    draws = [LatentDiffusion.load(name, random_state=0).sample(n=3) for name in ("mine", "raw")]
    np.testing.assert_array_equal(*draws)
    result = done("fit", "scaled.h5ad", "real", *STEPS)
    assert "genes, real values\n" in result.stderr
    assert "holds neither counts nor values that lead back to them" in result.stderr
    assert "Other layers: counts, mine, raw" in result.stderr


def test_classes_may_be_numbers(here):
    done(*FIT, "--label-key", "code", "--force")
    done(*SAMPLE, "--where", "code=2")
    assert ad.read_h5ad("new.h5ad").obs["code"].tolist() == [2] * 5


def test_a_random_seed_is_printed_and_repeats_the_run(here):
    seed = re.search(r"seed (\d+)", done(*SAMPLE).stderr)[1]
    done("sample", "model", "again.h5ad", "--n", "5", "--seed", seed)
    first, again = (ad.read_h5ad(name).X.toarray() for name in ("new.h5ad", "again.h5ad"))
    np.testing.assert_array_equal(first, again)
    assert ad.read_h5ad("new.h5ad").uns["scdiff_augment"]["parameters"]["random_state"] == seed
    result = done("sample", "model", "third.h5ad", "--n", "5", "--quiet")
    assert (result.stdout, result.stderr) == ("", "")
    assert not np.array_equal(ad.read_h5ad("third.h5ad").X.toarray(), first)


def test_too_little_memory_is_reported(here, monkeypatch):
    def too_much(*_, **__):
        raise MemoryError("Unable to allocate 7 TiB")

    monkeypatch.setattr(LatentDiffusion, "sample_adata", too_much)
    result = run(*SAMPLE)
    assert result.exit_code == 1
    assert result.stderr == "error: not enough memory. Unable to allocate 7 TiB\n"


def check_of_scikit_learn():
    check_array([[np.nan]])


def check_of_imbalanced_learn():
    check_sampling_strategy("most", ["a", "b"], "over-sampling")


def check_over_several_lines():
    matching_value("c", ["a", "b"], "the file", "class")


@pytest.mark.parametrize(
    "check", [check_of_scikit_learn, check_of_imbalanced_learn, check_over_several_lines]
)
def test_what_a_check_refuses_is_bad_input(check, here, monkeypatch):
    monkeypatch.setattr(LatentDiffusion, "sample_adata", lambda *_, **__: check())
    result = run(*SAMPLE)
    assert (result.exit_code, result.stderr.startswith("error: ")) == (2, True)


def test_a_defect_is_not_taken_for_bad_input(here, monkeypatch):
    monkeypatch.setattr("scdiff_augment.generator.new_adata", None)
    with pytest.raises(TypeError, match="not callable"):
        run(*SAMPLE)
    assert not Path("new.h5ad").exists()


def test_a_defect_within_the_message_of_a_check_is_not_taken_for_bad_input(here, monkeypatch):
    monkeypatch.setattr("scdiff_augment.cli.name_lookup.listed", None)
    with pytest.raises(TypeError, match="not callable"):
        run(*SAMPLE, "--where", "type=B cells")


def test_an_error_raised_outside_the_checking_packages_is_a_defect(here, monkeypatch):
    def fails(*_, **__):
        raise ValueError("a defect of another package")

    monkeypatch.setattr(LatentDiffusion, "sample_adata", fails)
    with pytest.raises(ValueError, match="a defect of another package"):
        run(*SAMPLE)


def test_a_strategy_may_name_classes_with_an_equals_sign(here):
    small(types=("a", "b", "c=1")).write_h5ad("odd.h5ad")
    options = ["--label-key", "cell_type", "--strategy", "c=1=12", *STEPS, "--seed", "0"]
    done("oversample", "odd.h5ad", "more.h5ad", *options)
    assert (ad.read_h5ad("more.h5ad").obs["cell_type"] == "c=1").sum() == 12
