"""What a page's figures are drawn from."""

import numpy as np
import pytest

from benchmarks.runner import load_datasets, make_units, run
from benchmarks.store import prepare_folder
from benchmarks.summary import Summary
from benchmarks.verdicts import BEST_TRIVIAL, out_of_fold_best


@pytest.fixture
def summarise(make_config, tmp_path):
    def start(**changes):
        config = make_config(classifiers=["logistic_regression"], **changes)
        prepare_folder(tmp_path)
        found = run(config, make_units(config, load_datasets(config)), tmp_path)
        return Summary(config, found.rows, found.classes, found.tallies)

    return start


def test_the_best_trivial_arm_has_the_calibration_of_what_was_chosen_in_each_fold(summarise):
    split = {"kind": "rare_cell_draw", "rare": ["D"], "n": [2, 5], "n_other": 30, "draws": 4}
    strategies = ["none", "class_weight", "random_oversampler", "oracle"]
    summary = summarise(split=split, strategies=strategies)
    found = summary.reliability("logistic_regression")
    tallies = summary.tallies[summary.tallies["bins"].notna()]
    bins = {(t.fold_index, t.strategy): np.array(t.bins, float) for t in tallies.itertuples()}
    cells = np.zeros(15)
    chosen = []
    for block in summary.blocks:
        wide = block.rows.pivot(index="fold_index", columns="strategy", values="macro_f1")
        for fold, arm in out_of_fold_best(wide[strategies[:3]], 1).items():
            cells += bins[fold, arm][:, 0]
            chosen.append(arm)
    assert len(set(chosen)) > 1  # or the test would be one arm's
    np.testing.assert_array_equal(found[BEST_TRIVIAL][:, 0], cells)
    assert cells.sum() == summary.rows.drop_duplicates("fold")["n_test"].sum()


def test_one_trivial_arm_is_the_best_of_itself(summarise):
    found = summarise(strategies=["none"]).reliability("logistic_regression")
    np.testing.assert_array_equal(found[BEST_TRIVIAL], found["none"])
