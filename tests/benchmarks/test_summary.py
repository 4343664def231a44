"""What a page's figures are drawn from."""

from types import SimpleNamespace

import numpy as np
import pytest
from scdiff_bench.pages import study_page as page
from scdiff_bench.running.runner import load_datasets, make_units, run
from scdiff_bench.running.store import prepare_folder
from scdiff_bench.statistics.comparisons import BEST_BASELINE, comparisons, out_of_fold_best
from scdiff_bench.statistics.contrasts import corrected_interval
from scdiff_bench.statistics.summary import Summary


@pytest.fixture
def summarise(make_config, tmp_path):
    def start(**changes):
        config = make_config(classifiers=["logistic_regression"], **changes)
        prepare_folder(tmp_path)
        found = run(config, make_units(config, load_datasets(config)), tmp_path)
        return Summary(config, found.rows, found.classes, found.confusion_counts)

    return start


def test_the_best_baseline_has_the_calibration_of_what_was_chosen_in_each_fold(summarise):
    split = {"kind": "rare_cell_draw", "rare": ["D"], "n": [2, 5], "n_other": 30, "draws": 4}
    strategies = ["none", "class_weight", "random_oversampler", "oracle"]
    summary = summarise(split=split, strategies=strategies)
    found = summary.reliability("logistic_regression")
    confusion_counts = summary.confusion_counts[summary.confusion_counts["bins"].notna()]
    bins = {
        (t.fold_index, t.strategy): np.array(t.bins, float) for t in confusion_counts.itertuples()
    }
    cells = np.zeros(15)
    chosen = []
    for block in summary.blocks:
        wide = block.rows.pivot(index="fold_index", columns="strategy", values="macro_f1")
        for fold, strategy in out_of_fold_best(wide[strategies[:3]], 1).items():
            cells += bins[fold, strategy][:, 0]
            chosen.append(strategy)
    assert len(set(chosen)) > 1  # or the test would be one strategy's
    np.testing.assert_array_equal(found[BEST_BASELINE][:, 0], cells)
    assert cells.sum() == summary.rows.drop_duplicates("fold")["n_test"].sum()


def test_one_baseline_is_the_best_of_itself(summarise):
    found = summarise(strategies=["none"]).reliability("logistic_regression")
    np.testing.assert_array_equal(found[BEST_BASELINE], found["none"])


def test_a_null_with_fewer_draws_takes_no_fold_from_the_others(summarise):
    split = {"kind": "rare_cell_draw", "rare": ["D"], "n": [2, 5], "n_other": 30, "draws": 3}
    null = {"name": "null", "params": {"of": "random_oversampler"}, "draws": 1}
    strategies = ["none", "random_oversampler", "oracle"]
    with_null = summarise(split=split, strategies=[*strategies, null])
    rows = with_null.rows
    assert rows.groupby("strategy")["fold"].nunique().to_dict() == {
        "none": 6, "random_oversampler": 6, "oracle": 6, "null": 2,
    }  # fmt: skip
    block = with_null.blocks[0]
    wide = with_null.with_baseline(block, "logistic_regression", "macro_f1")
    assert len(wide) == 3
    assert wide["null"].notna().sum() == 1
    curve = with_null.curve(block.dataset, block.rare_set, "logistic_regression")
    assert set(curve["strategy"]) == {*strategies, "null", BEST_BASELINE}
    part = block.rows
    found = comparisons(part, "macro_f1", ["none", "random_oversampler"], ["oracle", "null"])
    without = part[part["strategy"] != "null"]
    assert found == comparisons(without, "macro_f1", ["none", "random_oversampler"], ["oracle"])


@pytest.mark.parametrize("name", ["smote", "oracle"])
def test_what_is_compared_needs_all_folds(summarise, name):
    with pytest.raises(
        ValueError,
        match="compared on the same folds; only the negative control 'null' may have fewer",
    ):
        summarise(strategies=["none", {"name": name, "draws": 1}])


def test_intervals_are_of_the_pool_that_training_cells_are_drawn_from(summarise):
    split = {"kind": "rare_cell_draw", "rare": ["D"], "n": [3], "n_other": 30, "draws": 3}
    summary = summarise(split=split, strategies=["none", "class_weight", "pca_smote"])
    rows = summary.rows
    assert (rows["n_pool"] > rows["n_train"]).all()
    wide = rows.pivot(index="fold_index", columns="strategy", values="macro_f1")
    comparison = comparisons(rows, "macro_f1", ["none"], [])[0]
    (contrast,) = (
        c
        for c in comparison.contrasts
        if (c.strategy, c.reference) == ("pca_smote", "class_weight")
        or (c.strategy, c.reference) == ("class_weight", "pca_smote")
    )
    sign = 1 if contrast.strategy == "pca_smote" else -1
    differences = sign * (wide["pca_smote"] - wide["class_weight"])
    n_test, n_pool = rows["n_test"].iloc[0], rows["n_pool"].iloc[0]
    expected = corrected_interval(differences, n_test, n_pool, subsampled=True)
    assert (contrast.difference.low, contrast.difference.high) == pytest.approx(
        (expected.low, expected.high)
    )


def test_figures_show_the_defaults_before_their_variants(make_config):
    shares = [{"name": n, "shares": [0.25, 0.5, 1, 2]} for n in ("latent_gaussian", "diffusion")]
    config = make_config(strategies=["none", *shares, "oracle"])
    generative = [a for a in config.compared if a not in (*config.baselines, *config.controls)]
    shown = list(page.hues(SimpleNamespace(config=config, generative=generative)))
    assert generative[0] == "latent_gaussian_x0.25"
    assert generative[6] == "diffusion"
    assert shown[:3] == [BEST_BASELINE, "latent_gaussian", "diffusion"]
    assert len(shown) == 1 + 5 + 1
    assert shown[-1] == "oracle"
