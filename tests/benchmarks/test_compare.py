"""The standard study on a user's file, and the page that lists studies."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from scdiff_bench import commands as cli
from scdiff_bench.commands import compare
from scdiff_bench.config.study import parse_config
from scdiff_bench.data.datasets import describe, from_h5ad
from scdiff_bench.pages import recipe
from scdiff_bench.pages.index_page import write_index
from scdiff_bench.running import runner
from scdiff_bench.statistics.pipelines import Pipeline

pytestmark = [
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
]
FEW = {"STRATEGIES": ("none", "class_weight", "smote", "oracle"), "CLASSIFIERS": ("knn",)}


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
    # What it will do and about how long that takes comes before it is done.
    head = out[: out.index("12 units: 12 computed")]
    assert "136 cells x 60 genes, 4 types, the rarest D with 12 cells." in head
    assert "3 folds x 4 strategies x 1 classifiers." in head
    assert re.search(
        r"Estimate: about \d+ seconds on 1 processes, scaled up from 90 training", head
    )
    rows = pd.read_parquet("reports/compare_my_cells/rows.parquet")
    assert set(rows["strategy"]) == set(FEW["STRATEGIES"])
    assert set(rows["n_genes"]) == {30}
    assert rows["fold"].nunique() == 3
    # The config is kept, and is a study like any other.
    path = file.parent / "reports" / "compare_my_cells" / "compare.yaml"
    assert yaml.safe_load(path.read_text())["n_genes"] == 30
    assert cli.main(["run", str(path), "--jobs", "1", "--tracking-uri", "sqlite:///mlflow.db"]) == 0
    assert "0 computed" in capsys.readouterr().out

    # It ends with code that runs as it stands.
    code = path.with_name("pipeline.py").read_text()
    assert code in out
    assert code.startswith("# No generative method has finished")
    names = {}
    exec(compile(code, "pipeline.py", "exec"), names)
    assert names["X"].shape == (136, 30)
    assert (names["model"].predict(names["X"]) == names["labels"]).mean() > 0.7


TINY = {"n_latent": 5, "width": 16, "decoder_steps": 20, "denoiser_steps": 20}


@pytest.mark.parametrize(
    ("strategy", "classifier", "needed"),
    [
        ("none", "balanced_forest", "from imblearn.ensemble import BalancedRandomForestClassifier"),
        ("class_weight_thresholds", "logistic_regression", "TunedThresholds(\n    LogisticRegr"),
        ("smote", "lda", "SMOTE(random_state=3)"),
        ("adasyn", "knn", "build_strategy('adasyn', 'auto', 3, {}).sampler.fit_resample"),
        ("diffusion", "random_forest", "from scdiff_augment import DiffusionOversampler"),
        ("diffusion_thresholds", "knn", "TunedThresholds(\n    make_pipeline(\n        Diffusion"),
    ],
)
def test_any_pipeline_as_code_that_runs(file, strategy, classifier, needed):
    data = from_h5ad(file, "my cells", "cell_type")
    config = parse_config(
        {
            "name": "mine",
            "title": "Mine",
            "seed": 3,
            "datasets": [{"path": str(file), "label_key": "cell_type"}],
            "split": {"kind": "repeated_stratified_cv"},
            "strategies": [
                *("none", "class_weight_thresholds", "smote", "adasyn"),
                {"name": "diffusion", "params": TINY, "thresholds": True},
            ],
            "classifiers": [classifier],
        },
        file.parent,
    )
    text = recipe.code(config, Pipeline(strategy, classifier, 0.5), describe(data))
    assert needed in text
    names = {}
    exec(compile(text, "pipeline.py", "exec"), names)
    np.testing.assert_allclose(names["X"], data.X, rtol=1e-6)
    assert (names["model"].predict(data.X) == data.y).mean() > 0.7


def test_strategies_and_classifiers_are_chosen_by_name(file, capsys):
    chosen = ["--strategies", "none,smote_thresholds", "--classifiers", "lda,knn"]
    assert run(str(file), *chosen, "--folds", "2") == 0
    rows = pd.read_parquet("reports/compare_my_cells/rows.parquet")
    assert set(rows["strategy"]) == {"none", "smote", "smote_thresholds"}
    assert set(rows["classifier"]) == {"lda", "knn"}
    capsys.readouterr()
    assert run(str(file), "--strategies", "none,smoot") == cli.BAD_INPUT
    assert "Unknown strategy 'smoot'. Did you mean 'smote'" in capsys.readouterr().err


def test_quick_trains_on_few_cells_and_keeps_the_rare_ones(file, capsys, monkeypatch):
    monkeypatch.setattr(compare, "QUICK_CELLS", 50)
    monkeypatch.setattr(compare, "QUICK_STRATEGIES", ("none", "smote"))
    assert run(str(file), "--quick") == 0
    assert "Training sets are thinned to 50 cells" in capsys.readouterr().out
    rows = pd.read_parquet("reports/compare_my_cells_quick/rows.parquet")
    assert set(rows["n_train"]) == {50}
    assert rows.groupby("strategy")["n_test"].sum().tolist() == [136, 136]
    made = rows[rows["strategy"] == "smote"]["n_synthetic"] + 50
    assert (made < 4 * 40).all()


def test_a_stop_in_the_first_fold_still_leaves_a_page_and_code(file, capsys, monkeypatch):
    real, done = runner.run_unit, []

    def stops(unit):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(unit.fold.index)
        return real(unit)

    monkeypatch.setattr(runner, "run_unit", stops)
    assert run(str(file), "--folds", "2") == cli.STOPPED
    said = capsys.readouterr()
    assert "this command resumes:\n  scdiff-bench compare --label-key cell_type" in said.err
    assert "page compares what has finished on one fold" in Path(
        "reports/compare_my_cells/index.html"
    ).read_text(encoding="utf-8")
    assert "model.fit(X, labels)" in said.out
    # Fold by fold: with time for one more unit after the first fold, that fold is the page.
    clock = iter(range(1000))
    monkeypatch.setattr(runner, "run_unit", real)
    monkeypatch.setattr(runner.time, "monotonic", lambda: next(clock))
    assert run(str(file), "--folds", "2", "--minutes", "0.07") == 0
    said = capsys.readouterr().out
    assert "Nothing new is started after 0.07 minutes in all" in said
    assert "of 8 units are missing" in said
    table = Path("reports/compare_my_cells/table.md").read_text(encoding="utf-8")
    assert "\n| D | " in table.partition("F1 of each type, ")[2]
    rows = pd.read_parquet("reports/compare_my_cells/rows.parquet")
    assert set(rows["fold_index"]) == {0}
    assert set(rows["strategy"]) == set(FEW["STRATEGIES"])


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
    assert not Path("reports/compare_my_cells").exists()


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
