import numpy as np
import pandas as pd
import pytest
from baycomp import two_on_single
from scdiff_bench.statistics.bayes import rope_probabilities
from scdiff_bench.statistics.comparisons import (
    BEST_BASELINE,
    comparisons,
    gap_recovered,
    out_of_fold_best,
)
from scdiff_bench.statistics.contrasts import blocks, corrected_interval, summarise
from scdiff_bench.statistics.donor_bootstrap import FROM_CALLS, donor_interval
from scdiff_bench.statistics.ranks import ranks
from scipy import stats
from sklearn.metrics import balanced_accuracy_score, f1_score


def make_rows(means, folds=5, noise=0.01, seed=0, **columns):
    rng = np.random.default_rng(seed)
    common = rng.normal(0, 0.05, folds)  # folds differ, for all strategies alike
    return pd.DataFrame(
        [
            {
                "dataset": "toy",
                "rare_set": "",
                "n": pd.NA,
                "fold_index": i,
                "strategy": name,
                "classifier": "knn",
                "status": "ok",
                "n_test": 25,
                "n_train": 100,
                "macro_f1": mean + common[i] + rng.normal(0, noise),
                "log_loss": 1 - mean + common[i] + rng.normal(0, noise),
                **columns,
            }
            for name, mean in means.items()
            for i in range(folds)
        ]
    ).astype({"n": "Int64"})


def test_the_interval_is_that_of_nadeau_and_bengio():
    values = np.array([0.02, 0.05, -0.01, 0.03])
    found = corrected_interval(values, n_test=25, n_train=75)
    standard_error = np.sqrt((1 / 4 + 25 / 75) * values.var(ddof=1))
    low, high = stats.t.interval(0.95, 3, values.mean(), standard_error)
    assert (found.low, found.high) == pytest.approx((low, high))
    # Without overlap it is the ordinary paired t interval.
    plain = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    found = corrected_interval(values, n_test=0, n_train=75)
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high))


def test_draws_of_few_training_cells_share_a_quarter_at_most():
    values = np.array([0.02, 0.05, -0.01, 0.03])
    half = corrected_interval(values, n_test=100, n_train=100, subsampled=True)
    quarter = corrected_interval(values, n_test=25, n_train=100)
    assert half == quarter
    assert corrected_interval(values, 10, 100, subsampled=True) == corrected_interval(
        values, 10, 100
    )
    small = rope_probabilities(values, 100, 100, subsampled=True)
    assert small == rope_probabilities(values, 25, 100)


@pytest.mark.parametrize("shared", [0.1, 0.2])
def test_intervals_hold_the_truth_where_draws_share_as_much_as_was_simulated(shared):
    """Draws of a data set have a part in common, as they had in ``docs/measure_coverage.py``."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(2000):
        draws = rng.normal(0.0, 1.0, 6) + rng.normal(0.0, np.sqrt(shared))
        found = corrected_interval(draws, 50, 50, subsampled=True)
        held += found.low <= 0 <= found.high
    assert 0.94 <= held / 2000 <= 0.99


def test_one_fold_has_no_interval():
    found = corrected_interval([0.5], 1, 1)
    assert found.mean == 0.5
    assert np.isnan(found.low)
    assert not found.clear
    assert np.isnan(corrected_interval([], 1, 1).mean)


def test_folds_that_differ_by_the_same_have_no_interval_of_width_zero():
    assert not corrected_interval([0.1, 0.1], 1, 1).clear
    assert corrected_interval([0.0, 0.0], 1, 1).high == 0.0


@pytest.mark.parametrize("score", ["macro_f1", "log_loss"])
@pytest.mark.parametrize(("gain", "better"), [(0.2, True), (-0.2, False), (0.0, None)])
def test_a_verdict_knows_the_direction_of_its_score(score, gain, better):
    rows = make_rows({"none": 0.5, "smote": 0.6, "diffusion": 0.6 + gain})
    (comparison,) = comparisons(rows, score, ["none", "smote"])
    (contrast,) = comparison.contrasts
    assert (contrast.strategy, contrast.reference) == ("diffusion", BEST_BASELINE)
    assert contrast.better is better
    assert comparison.baseline == "smote"
    if better is not None:
        assert comparison.leader == ("diffusion" if better else "smote")


def test_generators_are_compared_with_each_other_too():
    rows = make_rows({"none": 0.5, "latent_gaussian": 0.6, "diffusion": 0.7})
    (comparison,) = comparisons(rows, "macro_f1", ["none"])
    assert [(c.strategy, c.reference) for c in comparison.contrasts] == [
        ("diffusion", BEST_BASELINE),
        ("latent_gaussian", BEST_BASELINE),
        ("diffusion", "latent_gaussian"),
    ]


def test_failed_rows_are_left_out_and_counted():
    rows = make_rows({"none": 0.5, "smote": 0.6})
    rows.loc[rows["strategy"] == "smote", ["status", "macro_f1"]] = ["failed", np.nan]
    table = summarise(rows, ["macro_f1"]).set_index("strategy")
    assert table.loc["smote", "folds_ok"] == 0
    assert table.loc["none", "folds_ok"] == table.loc["none", "folds"] == 5
    none = rows.loc[rows["strategy"] == "none", "macro_f1"]
    assert table.loc["none", "macro_f1"] == pytest.approx(none.mean())
    assert table.loc["none", "macro_f1_sd"] == pytest.approx(none.std())
    (comparison,) = comparisons(rows, "macro_f1", ["none", "smote"])
    assert comparison.leader == "none"


def test_the_bar_of_a_fold_is_chosen_on_the_others():
    wide = pd.DataFrame({"a": [0.9, 0.5, 0.5], "b": [0.6, 0.6, 0.6]})
    assert out_of_fold_best(wide, 1).tolist() == ["b", "a", "a"]
    assert out_of_fold_best(wide, -1).tolist() == ["a", "b", "b"]
    assert out_of_fold_best(wide[:1], 1).tolist() == ["a"]


def test_choosing_out_of_fold_takes_the_luck_out_of_the_bar():
    """Twelve strategies that are all alike: the best of them seems better than it is."""
    rng = np.random.default_rng(0)
    honest, lucky = [], []
    for _ in range(200):
        wide = pd.DataFrame(rng.normal(0.5, 0.05, (5, 12)))
        chosen = out_of_fold_best(wide, 1)
        honest.append(np.mean([wide.loc[i, a] for i, a in chosen.items()]))
        lucky.append(wide.mean().max())
    assert np.mean(lucky) > 0.53
    assert np.mean(honest) == pytest.approx(0.5, abs=0.005)


def test_controls_neither_lead_nor_are_the_bar():
    rows = make_rows({"none": 0.5, "diffusion": 0.6, "oracle": 0.9, "null": 0.3})
    (comparison,) = comparisons(rows, "macro_f1", ["none"], ["oracle", "null"])
    assert comparison.leader == "diffusion"
    assert comparison.oracle_mean == pytest.approx(0.9, abs=0.1)
    assert [c.strategy for c in comparison.contrasts] == ["diffusion"]
    assert comparison.contrasts[0].gap_recovered == pytest.approx(0.25, abs=0.05)


def test_the_gap_of_a_case_done_by_hand():
    wide = pd.DataFrame({BEST_BASELINE: [0.5, 0.7], "x": [0.6, 0.8], "oracle": [0.9, 1.1]})
    assert gap_recovered(wide, "x") == pytest.approx(0.25)
    wide["oracle"] = wide[BEST_BASELINE] + 0.005
    assert np.isnan(gap_recovered(wide, "x"))
    assert np.isnan(gap_recovered(wide.drop(columns="oracle"), "x"))
    lower = pd.DataFrame({BEST_BASELINE: [0.5], "x": [0.4], "oracle": [0.1]})
    assert gap_recovered(lower, "x", sign=-1) == pytest.approx(0.25)  # log-loss: down is forward
    assert np.isnan(gap_recovered(lower, "x"))  # an oracle that is worse leaves no gap to close


def test_the_bayesian_test_is_that_of_baycomp_for_cross_validation():
    rng = np.random.default_rng(0)
    x, y = rng.normal(0.7, 0.02, 10), rng.normal(0.71, 0.02, 10)
    for folds, runs in [(10, 1), (5, 2)]:
        expected = two_on_single(x, y, 0.01, runs=runs)
        found = rope_probabilities(y - x, n_test=1 / folds, n_train=1 - 1 / folds)
        assert found == pytest.approx(expected)
    assert sum(found) == pytest.approx(1)
    assert np.isnan(rope_probabilities([0.1], 1, 1).same)


@pytest.mark.parametrize(("gain", "likely"), [(0.2, "better"), (-0.2, "worse"), (0.0, "same")])
@pytest.mark.parametrize("score", ["macro_f1", "log_loss"])
def test_probabilities_know_the_direction_of_the_score(gain, likely, score):
    rows = make_rows({"none": 0.5, "diffusion": 0.5 + gain}, noise=0.001)
    (comparison,) = comparisons(rows, score, ["none"])
    assert getattr(comparison.contrasts[0].rope, likely) > 0.95


def many_blocks(means, n_blocks=8):
    parts = [
        make_rows(means, seed=i).assign(dataset=f"d{i // 2}", n=[5, 10][i % 2])
        for i in range(n_blocks)
    ]
    return pd.concat(parts, ignore_index=True).astype({"n": "Int64"})


def test_ranks_agree_with_scipy_and_the_published_critical_value():
    rows = many_blocks({"a": 0.5, "b": 0.505, "c": 0.6})
    found = ranks(rows, "knn", "macro_f1", ["a", "b", "c"])
    assert found.blocks == 8
    assert found.means.index[0] == "c"
    assert found.means["c"] == 1
    means = rows.groupby(["dataset", "n", "strategy"])["macro_f1"].mean().unstack()
    assert found.p_value == pytest.approx(stats.friedmanchisquare(*means.to_numpy().T).pvalue)
    # Demsar (2006), table 5: q = 2.343 for three classifiers at 5 %.
    assert found.critical == pytest.approx(2.343 * np.sqrt(3 * 4 / (6 * 8)), abs=1e-3)
    told_apart = found.means["a"] - found.means["c"] > found.critical
    assert (found.pairs.loc["a", "c"] < 0.05) == told_apart
    assert ranks(rows, "knn", "log_loss", ["a", "b", "c"]).means.index[0] == "c"


def test_ranks_need_blocks_and_arms_and_something_to_rank():
    rows = many_blocks({"a": 0.5, "b": 0.5, "c": 0.6})
    assert ranks(rows, "knn", "macro_f1", ["a", "c"]) is None
    assert ranks(rows[rows["dataset"] == "d0"], "knn", "macro_f1", ["a", "b", "c"]) is None
    rows["macro_f1"] = 0.5
    assert ranks(rows, "knn", "macro_f1", ["a", "b", "c"]) is None
    assert ranks(rows, "forest", "macro_f1", ["a", "b", "c"]) is None


def confusion_counts(gain_by_donor, folds=3, seed=0):
    """Two types, 50 cells each from every donor; a strategy is right more often by some donors."""
    rng = np.random.default_rng(seed)
    records = []
    for fold in range(folds):
        for donor, gain in gain_by_donor.items():
            for strategy, right in [("a", 0.6 + gain), ("b", 0.6)]:
                k = rng.binomial(50, right, 2)
                counts = [k[0], 50 - k[0], 50 - k[1], k[1]]
                records.append(
                    {
                        "fold_index": fold,
                        "strategy": strategy,
                        "donor": donor,
                        "confusion": counts,
                        "types": ["x", "y"],
                    }
                )
    return pd.DataFrame(records)


def interval(frame, score="accuracy"):
    folds = range(3)
    return donor_interval(frame, dict.fromkeys(folds, "a"), dict.fromkeys(folds, "b"), score, ["x"])


def test_an_interval_by_donor_is_as_wide_as_donors_differ():
    alike = interval(confusion_counts({d: 0.2 for d in "uvwxyz"}))
    assert alike.low > 0.1
    assert alike.mean == pytest.approx(0.2, abs=0.05)
    # The same mean gain, but two donors of six have all of it.
    unlike = interval(confusion_counts({d: 0.38 if d in "uv" else 0.0 for d in "uvwxyz"}))
    assert unlike.high - unlike.low > 3 * (alike.high - alike.low)
    assert unlike.low < 0.06


def test_an_interval_by_donor_scores_calls_as_scikit_learn_does():
    frame = confusion_counts({"u": 0.1, "v": 0.1})
    frame["donor"] = "u"
    assert interval(frame) is None
    frame = confusion_counts({"u": 0.1, "v": 0.1})
    assert interval(frame, "log_loss") is None
    calls = np.array([[[30, 20], [10, 40]]])
    counts = np.array([[30, 40]]), calls.sum(axis=1), calls.sum(axis=2)  # right, called, truth
    truth, called = (
        np.repeat([0, 0, 1, 1], [30, 20, 10, 40]),
        np.repeat([0, 1, 0, 1], calls.ravel()),
    )
    rare = np.array([True, False])
    f1 = f1_score(truth, called, average=None)
    assert FROM_CALLS["macro_f1"](*counts, rare) == pytest.approx([f1.mean()])
    assert FROM_CALLS["rare_f1"](*counts, rare) == pytest.approx([f1[0]])
    assert FROM_CALLS["majority_f1"](*counts, rare) == pytest.approx([f1[1]])
    expected = balanced_accuracy_score(truth, called)
    assert FROM_CALLS["balanced_accuracy"](*counts, rare) == pytest.approx([expected])
    assert FROM_CALLS["accuracy"](*counts, rare) == pytest.approx([0.7])


def test_a_block_finds_its_part_of_other_tables():
    rows = many_blocks({"a": 0.5, "b": 0.6}, 4)
    found = blocks(rows)
    assert [(b.dataset, b.n) for b in found] == [("d0", 5), ("d0", 10), ("d1", 5), ("d1", 10)]
    assert all(len(b.of(rows)) == len(b.rows) == 10 for b in found)
    assert found[1].title == "d0, 10 training cells per rare type"
    (whole,) = blocks(make_rows({"a": 0.5}))
    assert (whole.n, whole.title, whole.stem) == (None, "toy", "toy")
    assert len(whole.of(whole.rows)) == 5
