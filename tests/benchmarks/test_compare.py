"""The standard study on a user's file, and the page that lists studies."""

import pandas as pd
import pytest
import yaml
from scdiff_bench import commands as cli
from scdiff_bench.commands import compare
from scdiff_bench.pages.index_page import write_index

pytestmark = [
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
]
FEW = {"STRATEGIES": ["none", "class_weight", "smote", "oracle"], "CLASSIFIERS": ["knn"]}


@pytest.fixture
def file(tmp_path, make_anndata, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, value in FEW.items():
        monkeypatch.setattr(compare, name, value)
    adata = make_anndata()
    adata.obs["patient"] = [f"p{i % 4}" for i in range(adata.n_obs)]
    adata.write_h5ad(tmp_path / "my cells.h5ad")
    return tmp_path / "my cells.h5ad"


def run(*arguments, key="cell_type"):
    uri = "sqlite:///mlflow.db"
    command = ["compare", "--label-key", key, "--jobs", "1", "--tracking-uri", uri]
    return cli.main([*command, *arguments])


def test_the_standard_study_runs_on_a_file(file, capsys):
    assert run("--data", str(file), "--folds", "3", "--genes", "30") == 0
    out = capsys.readouterr().out
    assert "reports/compare_my_cells/index.html" in out
    rows = pd.read_parquet("reports/compare_my_cells/rows.parquet")
    assert set(rows["strategy"]) == set(FEW["STRATEGIES"])
    assert set(rows["n_genes"]) == {30}
    assert rows["fold"].nunique() == 3
    # The config is kept, and is a study like any other.
    path = file.parent / "reports" / "compare_my_cells" / "compare.yaml"
    assert yaml.safe_load(path.read_text())["n_genes"] == 30
    assert cli.main(["run", str(path), "--jobs", "1", "--tracking-uri", "sqlite:///mlflow.db"]) == 0
    assert "0 computed" in capsys.readouterr().out


def test_donors_of_a_file_are_held_out_by_their_own_column(file):
    assert run("--data", str(file), "--donor-key", "patient", "--name", "by_patient") == 0
    rows = pd.read_parquet("reports/by_patient/rows.parquet")
    assert set(rows["fold"]) == {f"patient p{i}" for i in range(4)}
    confusion_counts = pd.read_parquet("reports/by_patient/tallies.parquet")
    assert set(confusion_counts["donor"]) == {f"p{i}" for i in range(4)}


@pytest.mark.parametrize(
    ("change", "key", "message"),
    [
        ([], "celltype", "no label key 'celltype' in obs. Did you mean 'cell_type'"),
        (["--donor-key", "patients"], "cell_type", "'patients' in obs to hold out by. Did you"),
        (["--folds", "13"], "cell_type", "Type 'D' has 12 cells; n_splits=13 needs at least 13"),
        (["--backend", "dask"], "cell_type", "--backend dask needs --scheduler"),
    ],
)
def test_bad_input_is_one_line(file, capsys, change, key, message):
    assert run("--data", str(file), *change, key=key) == cli.BAD_INPUT
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said


def test_a_missing_file_is_said(file, capsys):
    assert run("--data", "other.h5ad") == cli.BAD_INPUT
    assert "there is no file 'other.h5ad'" in capsys.readouterr().err


def test_an_index_lists_every_study_old_ones_too(file):
    old = file.parent / "reports" / "old"
    old.mkdir(parents=True)
    (old / "index.html").write_text("<html><title>Old &amp; dusty</title></html>")
    assert run("--data", str(file), "--folds", "2") == 0
    html = (file.parent / "reports" / "index.html").read_text()
    assert 'href="old/index.html">Old &amp; dusty' in html
    assert 'href="compare_my_cells/index.html">Does augmentation help on my cells?' in html
    assert "4 strategies, 1 classifiers, 2 folds, 8 rows" in html
    assert write_index(file.parent / "reports").read_text() == html
