"""When a strategy is worth choosing: leads that are known."""

import numpy as np
import pandas as pd
import pytest
from scdiff_bench.statistics import leads as when
from scdiff_bench.statistics.comparisons import BEST_BASELINE, out_of_fold_best
from scdiff_bench.statistics.contrasts import corrected_interval
from scipy import stats

SCORE = "macro_f1"


def rows(ahead, n_test=0, **of):
    """Rows of two baselines, two that learn a model, an oracle; `ahead` per (data set, n)."""
    rng = np.random.default_rng(0)
    found = []
    for (dataset, n), lead in ahead.items():
        for fold in range(of.get("folds", 6)):
            level = rng.normal(0.5, 0.02)
            scores = {
                "none": level - 0.1,
                "smote": level,
                "diffusion": level + lead + rng.normal(0, 0.01),
                "latent_gaussian": level + lead - 0.02 + rng.normal(0, 0.01),
                "oracle": level + 0.2,
            }
            found += [
                {
                    "dataset": dataset,
                    "rare_set": "a + b",
                    "n": n,
                    "fold_index": fold,
                    "strategy": strategy,
                    "classifier": "knn",
                    "status": "ok",
                    SCORE: score,
                    "n_test": n_test,
                    "n_train": 100,
                    "separation": {"one": 0.9, "two": 0.4}[dataset],
                }
                for strategy, score in scores.items()
            ]
    return pd.DataFrame(found)


def leads_of(table):
    return when.leads(table, "diffusion", ["none", "smote"], ["oracle"], SCORE)


def test_leads_are_those_over_the_arm_chosen_on_other_folds():
    table = rows({("one", 5): 0.1, ("one", 50): -0.05})
    found = leads_of(table)
    wide = table[table["n"] == 5].pivot(index="fold_index", columns="strategy", values=SCORE)
    assert (out_of_fold_best(wide[["none", "smote"]], 1) == "smote").all()
    mine = found[(found["n"] == 5) & (found["reference"] == BEST_BASELINE)].iloc[0]
    assert mine["lead"] == pytest.approx((wide["diffusion"] - wide["smote"]).mean())
    other = found[(found["n"] == 5) & (found["reference"] == "latent_gaussian")].iloc[0]
    assert other["lead"] == pytest.approx((wide["diffusion"] - wide["latent_gaussian"]).mean())
    assert set(found["reference"]) == {BEST_BASELINE, "latent_gaussian"}


def test_one_comparison_has_the_corrected_interval():
    table = rows({("one", 5): 0.1}, n_test=50)
    wide = table.pivot(index="fold_index", columns="strategy", values=SCORE)
    expected = corrected_interval(wide["diffusion"] - wide["smote"], 50, 100)
    found = when.by_n(leads_of(table), BEST_BASELINE)["knn"][5].difference
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_two_data_sets_weigh_the_same_and_have_welchs_interval():
    table = rows({("one", 5): 0.1, ("two", 5): -0.02})
    found = when.by_n(leads_of(table), BEST_BASELINE)["knn"][5].difference
    one, two = (
        part.pivot(index="fold_index", columns="strategy", values=SCORE).eval("diffusion - smote")
        for _, part in table.groupby("dataset")
    )
    assert found.mean == pytest.approx((one.mean() + two.mean()) / 2)
    welch = stats.ttest_ind(one, -two, equal_var=False).confidence_interval()
    assert (2 * found.low, 2 * found.high) == pytest.approx((welch.low, welch.high))


def test_a_data_set_with_more_comparisons_weighs_no_more():
    ahead = {("one", 5): 0.3, ("one", 10): 0.3, ("one", 20): 0.3, ("two", 5): 0.0}
    found = when.with_few(leads_of(rows(ahead)), BEST_BASELINE)["knn"]
    assert found.difference.mean == pytest.approx(0.15, abs=0.01)
    assert found.word == "better"


def test_the_gap_recovered_is_the_share_of_the_way_to_the_oracle():
    found = when.by_n(leads_of(rows({("one", 5): 0.1})), BEST_BASELINE)["knn"][5]
    assert found.gap_recovered == pytest.approx(0.5, abs=0.05)  # .1 of .2


def test_words_follow_the_interval_then_the_mean():
    table = rows({("one", 5): 0.0, ("one", 50): -0.1})
    found = when.by_n(leads_of(table), BEST_BASELINE)["knn"]
    assert (found[5].word, found[50].word) == ("level", "worse")


def test_sets_come_by_separation():
    found = when.by_separation(leads_of(rows({("one", 5): 0.1, ("two", 5): 0.2, ("two", 50): 0.0})))
    assert found["dataset"].tolist() == ["two", "one"]
    assert found["separation"].tolist() == pytest.approx([0.4, 0.9])
    assert found.loc[0, 5] == pytest.approx(0.2, abs=0.02)
    assert np.isnan(found.loc[1, 50])


def test_comparisons_of_one_data_set_are_no_more_certain_than_one():
    alone = when.with_few(leads_of(rows({("one", 5): 0.1})), BEST_BASELINE)["knn"].difference
    several = {("one", n): 0.1 for n in (5, 10, 20)}
    many = when.with_few(leads_of(rows(several)), BEST_BASELINE)["knn"].difference
    widths = [found.high - found.low for found in (alone, many)]
    assert widths[1] > 0.7 * widths[0]  # .58 if they were independent


def test_a_comparison_of_one_fold_takes_no_interval_from_the_others():
    table = rows({("one", 5): 0.1, ("two", 5): 0.1})
    one_fold = (table["dataset"] == "two") & (table["fold_index"] > 0)
    found = when.by_n(leads_of(table[~one_fold]), BEST_BASELINE)["knn"][5].difference
    assert found.folds == 1
    assert found.low > 0


@pytest.mark.parametrize("name", [SCORE, "separation"])
def test_rows_of_an_earlier_version_are_named(name):
    with pytest.raises(ValueError, match=f"have no '{name}' in their rows"):
        leads_of(rows({("one", 5): 0.1}).drop(columns=name))
