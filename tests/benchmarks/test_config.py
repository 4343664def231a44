import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from scdiff_bench.classifiers.catalogue import CLASSIFIERS
from scdiff_bench.commands.plans import make_plan
from scdiff_bench.config.study import load_config, parse_config
from scdiff_bench.data.datasets import data_folder
from scdiff_bench.evaluation.splits import make_folds
from scdiff_bench.running.runner import load_datasets

FOLDER = Path(__file__).parents[2] / "benchmarks" / "configs"
GOOD = {
    "name": "x",
    "title": "X",
    "datasets": ["pbmc68k_reduced"],
    "split": {"kind": "repeated_stratified_cv", "n_splits": 3},
    "strategies": ["none", "smote"],
    "classifiers": ["knn"],
}


def parse(**changes):
    return parse_config(GOOD | changes, Path("."))


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda p: p.stem)
def test_every_shipped_config_is_valid_and_named_after_its_file(path):
    config = make_plan(path).config
    assert config.name == path.stem
    assert "study" in yaml.safe_load(path.read_text()) or config.sampling_strategy == "auto"


def test_defaults_are_filled_in():
    config = parse()
    assert config.split_params == {"n_splits": 3, "n_repeats": 1, "max_train": None}
    assert config.main_score == "macro_f1"
    assert config.seed == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategies": ["smoot"]}, "Unknown strategy 'smoot'. Did you mean 'smote'"),
        ({"datasets": ["pbmc68"]}, "Unknown data set 'pbmc68'. Did you mean 'pbmc68k_reduced'"),
        ({"classifiers": ["KNN"]}, "Unknown classifier 'KNN'. Did you mean 'knn'"),
        ({"split": {"kind": "rare_draw"}}, "Unknown split 'rare_draw'. Did you mean 'rare_cell"),
        (
            {"split": {"kind": "repeated_stratified_cv", "nsplits": 3}},
            "Unknown key of split 'repeated_stratified_cv' 'nsplits'. Did you mean 'n_splits'",
        ),
        ({"split": {"kind": "rare_cell_draw", "n": 5}}, "needs the key 'rare'"),
        ({"split": {"kind": "repeated_stratified_cv", "n_splits": 1}}, "at least 2"),
        ({"strategy": ["none"]}, "Unknown key 'strategy'. Did you mean 'strategies'"),
        ({"scores": ["f1_macro"]}, "Unknown score 'f1_macro'. Did you mean 'macro_f1'"),
        ({"sampling_strategy": "automatic"}, "Unknown sampling_strategy 'automatic'. Did you"),
        ({"sampling_strategy": {"A": 0}}, "whole number of at least 1"),
        ({"strategies": []}, "'strategies' is missing or empty"),
        ({"strategies": ["none", "none"]}, "'none' is listed twice"),
        ({"name": "a/b"}, "becomes a folder"),
        ({"seed": -1}, "seed=-1"),
        (
            {"strategies": [{"name": "smote", "params": {"k_neighbours": 3}}]},
            "Strategy 'smote' has no parameter 'k_neighbours'. Did you mean 'k_neighbors'",
        ),
        ({"strategies": [{"name": "smote", "shares": [0]}]}, "must be a list of numbers > 0"),
        ({"strategies": [{"name": "smote", "sets": 0}]}, "must be a whole number of at least 1"),
        ({"strategies": [{"name": "class_weight", "sets": 3}]}, "it draws no cells"),
        (
            {"strategies": [{"name": "smote", "sets": 3, "thresholds": True}]},
            "thresholds are tuned for one set",
        ),
        ({"strategies": [{"name": "smote", "thresholds": 1}]}, "must be true or false"),
        (
            {"strategies": [{"name": "class_weight_thresholds", "thresholds": True}]},
            "tunes thresholds already",
        ),
        (
            {"strategies": ["thresholds", {"name": "none", "label": "thresholds"}]},
            "'thresholds' is listed twice",
        ),
        ({"n_genes": 1}, "n_genes=1 must be a whole number of at least 2"),
        ({"split": {"kind": "donor_held_out", "key": 3}}, "must name a column"),
        ({"split": {"kind": "rare_cell_draw", "rare": [["A"], "B"], "n": 5}}, "list of such"),
        ({"split": {"kind": "repeated_stratified_cv", "n_splits": None}}, "n_splits=None"),
        ({"datasets": [{"path": "x.h5ad"}]}, "needs 'label_key'"),
        ({"datasets": [{"path": "x.h5ad", "labelkey": "t"}]}, "Did you mean 'label_key'"),
    ],
)
def test_an_error_names_rule_value_and_way_out(changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        parse(**changes)


def test_two_parameter_sets_of_one_strategy_need_labels():
    pair = [{"name": "smote"}, {"name": "smote", "params": {"k_neighbors": 2}}]
    with pytest.raises(ValueError, match="another label"):
        parse(strategies=pair)
    config = parse(strategies=[pair[0], pair[1] | {"label": "smote_2"}])
    assert [s.label for s in config.strategies] == ["smote", "smote_2"]


def test_thresholds_and_shares_make_arms_of_their_own():
    entry = {"name": "smote", "thresholds": True, "shares": [0.5, 1]}
    config = parse(strategies=["none", entry, "oracle"])
    assert config.compared == (
        "none",
        "smote_x0.5",
        "smote_x0.5_thresholds",
        "smote",
        "smote_thresholds",
        "oracle",
    )
    assert [s.share for s in config.strategies] == [1, 0.5, 1, 1]
    assert config.baselines == config.compared[:5]
    assert config.controls == ("oracle",)


def test_donors_and_sets_of_rare_types_in_a_split():
    split = {"kind": "donor_held_out", "rare": [["A"], ["B", "C"]], "n": 5}
    assert parse(split=split).split_params == {
        "key": "donor",
        "n_splits": None,
        "rare": [["A"], ["B", "C"]],
        "n": [5],
        "n_other": None,
        "max_train": None,
    }


def test_a_path_is_relative_to_the_config(tmp_path):
    path = tmp_path / "mine.yaml"
    data = [{"path": "cells.h5ad", "label_key": "type"}]
    path.write_text(yaml.safe_dump(GOOD | {"datasets": data}))
    (spec,) = load_config(path).datasets
    assert (spec.name, spec.path, spec.label_key) == ("cells", tmp_path / "cells.h5ad", "type")


def test_a_missing_config_names_those_that_are_there(tmp_path):
    (tmp_path / "main.yaml").write_text("")
    with pytest.raises(FileNotFoundError, match=r"no config 'mian.yaml'.*Configs there: main.yaml"):
        load_config(tmp_path / "mian.yaml")


def test_yaml_that_is_none_names_the_file(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("a: [1")
    with pytest.raises(ValueError, match=r"bad.yaml is not valid YAML"):
        load_config(path)
    path.write_text("- a")
    with pytest.raises(ValueError, match="a config must be a mapping"):
        load_config(path)


@pytest.mark.parametrize("name", ["kang_curves", "pancreas_curves", "paul15_curves"])
def test_learning_curves_are_the_same_on_every_data_set(name):
    config = load_config(FOLDER / f"{name}.yaml")
    assert config.compared == (
        "none",
        "thresholds",
        "class_weight",
        "class_weight_thresholds",
        "random_oversampler",
        "smote",
        "latent_gaussian",
        "diffusion",
        "oracle",
        "null",
    )
    assert config.baselines == config.compared[:6]
    assert list(config.classifiers) == list(CLASSIFIERS)[:7]
    assert config.split_params["n"] == [5, 10, 20, 50, 100]
    assert config.split_params["draws"] == 10
    assert sorted(map(len, config.split_params["rare"])) == [1, 1, 1, 3, 3]


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["kang_curves", "kang_donors", "pancreas_curves", "paul15_curves"])
def test_every_type_is_large_enough_for_the_folds_asked_for(name):
    config = load_config(FOLDER / f"{name}.yaml")
    if not (data_folder() / f"{config.datasets[0].name}.h5ad").is_file():
        pytest.skip(f"needs {config.datasets[0].name}.h5ad in {data_folder()} (or SCDIFF_DATA)")
    (data,) = load_datasets(config)
    folds = make_folds(data.y, config.seed, config.split_kind, config.split_params, data.groups)
    for fold in folds:
        cells = np.unique(data.y[fold.train], return_counts=True)[1]
        assert len(cells) == len(np.unique(data.y))
        assert cells.min() >= 2  # fewer could not be tuned out of fold
