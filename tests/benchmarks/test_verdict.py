"""The winner of a study, what augmentation is worth there, and the estimate of its time."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scdiff_bench.commands.console import winners
from scdiff_bench.pages.verdict import explanation, setting, winner
from scdiff_bench.running import estimate as estimating
from scdiff_bench.running.estimate import estimate
from scdiff_bench.running.runner import load_datasets, make_units
from scdiff_bench.statistics.contrasts import corrected_interval
from scdiff_bench.statistics.pipelines import verdicts


@pytest.fixture
def config(make_config):
    return make_config(
        strategies=["none", "smote", "diffusion", "oracle"],
        classifiers=["knn", "lda"],
        scores=["macro_f1", "log_loss"],
    )


def rows(scores, rare_sets=("",), n=None, **more):
    """Rows of a score: (strategy, classifier) to a value for each repeat, or for each set of it."""
    found = []
    for (strategy, classifier), values in scores.items():
        for repeat, value in enumerate(values):
            each = value if isinstance(value, tuple) else (value,) * len(rare_sets)
            for k, (rare_set, v) in enumerate(zip(rare_sets, each, strict=True)):
                found.append(
                    {
                        "dataset": "toy",
                        "n": n,
                        "rare_set": rare_set,
                        "repeat": repeat,
                        "fold_index": repeat * len(rare_sets) + k,
                        "strategy": strategy,
                        "classifier": classifier,
                        "status": "ok",
                        "macro_f1": v,
                        "log_loss": -v,
                        "n_test": 40,
                        "n_pool": 100,
                        "n_train": 100,
                    }
                )
    return pd.DataFrame(found).assign(**more).astype({"n": "Int64"})


SCORES = {
    ("none", "knn"): [0.50, 0.50, 0.50, 0.90],  # lucky once: best mean, but not on other folds
    ("none", "lda"): [0.60, 0.58, 0.59, 0.57],
    ("smote", "knn"): [0.55, 0.50, 0.52, 0.51],
    ("diffusion", "knn"): [0.70, 0.71, 0.69, 0.68],
    ("diffusion", "lda"): [0.40, 0.40, 0.40, 0.40],
    ("oracle", "knn"): [0.99, 0.99, 0.99, 0.99],
}


@pytest.mark.parametrize("score", ["macro_f1", "log_loss"])
def test_either_side_is_chosen_on_the_other_test_sets(make_config, score):
    config = make_config(
        strategies=["none", "smote", "diffusion", "oracle"],
        classifiers=["knn", "lda"],
        scores=[score],
    )
    (verdict,) = verdicts(config, rows(SCORES))
    sign = 1 if score == "macro_f1" else -1
    assert verdict.augmented == ("diffusion", "knn", pytest.approx(sign * 0.695))
    assert verdict.plain == ("none", "knn", pytest.approx(sign * 0.6))
    # Without fold 3 none + lda is the best baseline; on folds 0 to 2 none + knn is, by fold 3.
    assert verdict.lead.mean == pytest.approx(sign * np.mean([0.20, 0.21, 0.19, 0.68 - 0.57]))
    expected = corrected_interval(sign * np.array([0.20, 0.21, 0.19, 0.11]), 40, 100)
    assert (verdict.lead.low, verdict.lead.high) == pytest.approx((expected.low, expected.high))
    assert verdict.augment
    assert verdict.recommended == verdict.winner == verdict.augmented
    assert verdict.rope.better > 0.9


def test_sets_of_rare_types_of_one_draw_count_once(config):
    """They share the test half: three sets in two draws are two test sets, not six."""
    scores = {
        ("none", "knn"): [(0.5, 0.6, 0.7), (0.6, 0.6, 0.6)],
        ("diffusion", "knn"): [(0.8, 0.6, 0.7), (0.7, 0.7, 0.7)],
    }
    natural = rows({k: [v[0][0]] * 2 for k, v in scores.items()}, ("natural proportions",))
    both = pd.concat([rows(scores, ("A", "B", "C"), 10), natural])
    first, second = verdicts(config, both)
    assert (first.n, first.rare_sets, first.lead.folds) == (10, 3, 2)
    assert first.lead.mean == pytest.approx((0.1 + 0.1) / 2)
    assert (second.n, second.rare_sets, second.lead.folds) == (None, 1, 2)
    assert setting(first) == "toy, 10 training cells per rare type"
    assert setting(second) == "toy, natural proportions"
    assert setting(second, several=False) == ""


@pytest.mark.parametrize(
    ("gain", "said", "recommended"),
    [
        ([0.10, 0.11, 0.09, 0.1], "The interval leaves zero out.", "diffusion"),
        ([0.20, -0.1, 0.25, 0.0], "includes zero: the data do not settle it", "diffusion"),
        ([0.00, 0.01, 0.00, 0.01], "the simpler pipeline is recommended: do not augment", "none"),
        ([-0.1, -0.11, -0.1, -0.09], "do not augment", "none"),
    ],
)
def test_what_is_said_and_recommended(config, gain, said, recommended):
    base = np.array([0.5, 0.6, 0.55, 0.58])
    (verdict,) = verdicts(
        config, rows({("none", "knn"): base, ("diffusion", "lda"): base + np.array(gain)})
    )
    assert verdict.recommended.strategy == recommended
    assert verdict.lead.mean == pytest.approx(np.mean(gain))
    text = explanation(verdict, "macro_f1")
    assert said in text
    assert "Best with augmentation: diffusion + LDA, equal priors" in text
    assert "best without: none + kNN (0.557)" in text
    first = winner(verdict, "macro_f1")
    assert first.startswith("diffusion" if sum(gain) > 0 else "none")
    assert ("level with none + kNN, 0.557" in first) == (0 < np.mean(gain) < 0.01)


def test_without_a_baseline_or_with_one_test_set_no_gain_is_claimed(config):
    (verdict,) = verdicts(config, rows({("diffusion", "knn"): [0.5, 0.6]}))
    assert verdict.recommended.strategy == "diffusion"
    assert verdict.pending
    assert "No baseline has finished" in explanation(verdict, "macro_f1")
    (verdict,) = verdicts(
        config, rows({("none", "knn"): [0.5], ("diffusion", "knn"): [0.6], ("smote", "lda"): [0.4]})
    )
    assert "no interval, so this may be chance" in explanation(verdict, "macro_f1")
    failed = rows({("none", "knn"): [0.5]}, status="failed")
    assert verdicts(config, failed) == []


def test_a_pipeline_that_lacks_a_test_set_is_left_out(config):
    scores = {("none", "knn"): [0.5, 0.5], ("diffusion", "knn"): [0.6, 0.7]}
    short = rows(scores | {("diffusion", "lda"): [0.9]})
    (verdict,) = verdicts(config, short)
    assert verdict.augmented.classifier == "knn"


def test_the_estimate_grows_with_the_rows_that_are_fitted(make_config, monkeypatch):
    """With a clock on which everything takes a second, seconds count rows."""
    config = make_config(
        strategies=["none", "smote", "class_weight_thresholds"],
        classifiers=["knn", "balanced_forest"],
        split={"kind": "repeated_stratified_cv", "n_splits": 2},
    )
    units = make_units(config, load_datasets(config))
    ticks = iter(np.arange(0.0, 1000.0))
    monkeypatch.setattr(estimating, "time", SimpleNamespace(perf_counter=lambda: next(ticks)))
    found = estimate(units, jobs=2)
    none, smote, tuned = (found.seconds[u.key] for u in units[:3])
    assert none == pytest.approx(2.0)  # both classifiers, as many rows as were timed
    assert smote == pytest.approx(4 * 30 / 68)  # kNN alone, on four types of 30
    assert tuned == pytest.approx(5.0)  # kNN alone, once and on four fifths in five inner folds
    assert found.total == pytest.approx(sum(found.seconds.values()) / 2)
    monkeypatch.setattr(estimating, "FEW", 20)
    few = estimate(units, jobs=1)
    assert few.cells == 20
    assert few.seconds[units[0].key] == pytest.approx(2 * 68 / 20)


def test_nothing_wins_before_both_sides_have_a_test_set(config):
    found = rows({("none", "knn"): [0.5, 0.6]})
    (line,) = winners(config, found)
    assert line.startswith("No verdict yet: No generative method has finished")
    (verdict,) = verdicts(config, rows({("none", "knn"): [0.5], ("diffusion", "knn"): [0.6]}))
    assert not verdict.pending
