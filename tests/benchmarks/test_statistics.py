import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmarks.statistics import corrected_interval, summarise, verdicts


def make_rows(means, folds=5, noise=0.01, seed=0, **columns):
    rng = np.random.default_rng(seed)
    common = rng.normal(0, 0.05, folds)  # folds differ, for all strategies alike
    return pd.DataFrame(
        [
            {
                "dataset": "toy",
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


def test_one_fold_has_no_interval():
    found = corrected_interval([0.5], 1, 1)
    assert found.mean == 0.5
    assert np.isnan(found.low)
    assert not found.clear
    assert np.isnan(corrected_interval([], 1, 1).mean)


@pytest.mark.parametrize("score", ["macro_f1", "log_loss"])
@pytest.mark.parametrize(("gain", "better"), [(0.2, True), (-0.2, False), (0.0, None)])
def test_a_verdict_knows_the_direction_of_its_score(score, gain, better):
    rows = make_rows({"none": 0.5, "smote": 0.6, "diffusion": 0.6 + gain})
    (verdict,) = verdicts(rows, score, ["none", "smote"])
    (contrast,) = verdict.contrasts
    assert (contrast.arm, contrast.reference) == ("diffusion", "smote")
    assert contrast.better is better
    assert verdict.trivial == "smote"
    if better is not None:
        assert verdict.leader == ("diffusion" if better else "smote")


def test_generators_are_compared_with_each_other_too():
    rows = make_rows({"none": 0.5, "latent_gaussian": 0.6, "diffusion": 0.7})
    (verdict,) = verdicts(rows, "macro_f1", ["none"])
    assert [(c.arm, c.reference) for c in verdict.contrasts] == [
        ("diffusion", "none"),
        ("latent_gaussian", "none"),
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
    (verdict,) = verdicts(rows, "macro_f1", ["none", "smote"])
    assert verdict.leader == "none"
