import anndata as ad
import numpy as np
import pytest
import scanpy as sc
from scdiff_bench.data.genes import most_variable
from scdiff_bench.evaluation.calibration import expected_calibration_error, reliability_bins
from scdiff_bench.evaluation.detector import detector_auc
from scdiff_bench.evaluation.scores import SCORES, score
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    f1_score,
    log_loss,
    precision_score,
    recall_score,
)

CLASSES = ["A", "B", "C"]


def case(seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.choice(CLASSES, 60, p=[0.6, 0.3, 0.1])
    proba = rng.dirichlet([1, 1, 1], 60)
    return truth, np.array(CLASSES)[proba.argmax(axis=1)], proba


def test_scores_are_those_of_scikit_learn():
    truth, called, proba = case()
    scores, per_class, _ = score(truth, called, proba, CLASSES, CLASSES, ["C", "B"])
    f1 = f1_score(truth, called, average=None)
    onehot = truth[:, None] == np.array(CLASSES)
    precision = average_precision_score(onehot, proba, average=None)
    ece = scores.pop("ece")
    assert scores == pytest.approx(
        {
            "macro_f1": f1.mean(),
            "rare_f1": f1[1:].mean(),
            "majority_f1": f1[0],
            "balanced_accuracy": balanced_accuracy_score(truth, called),
            "accuracy": accuracy_score(truth, called),
            "pr_auc": precision.mean(),
            "rare_pr_auc": precision[1:].mean(),
            "log_loss": log_loss(truth, proba),
            "brier": brier_score_loss(truth, proba, labels=CLASSES, scale_by_half=False),
        }
    )
    assert 0 < ece < 1
    assert list(scores) == [name for name in SCORES if name != "ece"]
    assert [c["type"] for c in per_class] == CLASSES
    assert [c["rare"] for c in per_class] == [False, True, True]
    assert [c["n_test"] for c in per_class] == [(truth == c).sum() for c in CLASSES]
    assert [c["pr_auc"] for c in per_class] == pytest.approx(list(precision))
    for name, function in [("precision", precision_score), ("recall", recall_score)]:
        assert [c[name] for c in per_class] == pytest.approx(
            list(function(truth, called, average=None))
        )


def test_a_class_the_classifier_does_not_know_has_probability_zero():
    truth, _, proba = case()
    known = proba[:, :2] / proba[:, :2].sum(axis=1, keepdims=True)
    called = np.array(CLASSES)[known.argmax(axis=1)]
    scores, per_class, _ = score(truth, called, known, CLASSES[:2], CLASSES, ["C"])
    full = np.column_stack([known, np.zeros(60)])
    assert scores["log_loss"] == pytest.approx(log_loss(truth, full, labels=CLASSES))
    assert scores["rare_f1"] == per_class[2]["f1"] == 0.0


def test_a_type_that_the_test_part_lacks_counts_nowhere():
    """A held-out donor may lack a type; that is no fault of the classifier."""
    truth, called, proba = case()
    there = truth != "C"
    scores, per_class, _ = score(truth[there], called[there], proba[there], CLASSES, CLASSES, ["C"])
    f1 = f1_score(truth[there], called[there], labels=["A", "B"], average="macro")
    assert scores["macro_f1"] == pytest.approx(f1)
    assert np.isnan(scores["rare_f1"])
    assert np.isnan(scores["rare_pr_auc"])
    assert [c["type"] for c in per_class] == ["A", "B"]


def test_the_calibration_error_of_a_case_done_by_hand():
    proba = np.array([[0.95, 0.05]] * 4 + [[0.6, 0.4]] * 2)
    truth = np.array([0, 0, 0, 1, 0, 1])
    bins = reliability_bins(truth, proba)
    full = bins[bins[:, 0] > 0]
    np.testing.assert_allclose(full, [[2, 0.6, 0.5], [4, 0.95, 0.75]])
    assert expected_calibration_error(bins) == pytest.approx((4 * 0.2 + 2 * 0.1) / 6)


def test_honest_probabilities_have_a_calibration_error_near_zero():
    rng = np.random.default_rng(0)
    proba = rng.dirichlet([1, 1, 1], 20_000)
    truth = (rng.random((20_000, 1)) > proba.cumsum(axis=1)).sum(axis=1)
    assert expected_calibration_error(reliability_bins(truth, proba)) < 0.02
    sharp = proba**3 / (proba**3).sum(axis=1, keepdims=True)
    assert expected_calibration_error(reliability_bins(truth, sharp)) > 0.1


def counts(rng, rate, n=200):
    return np.log1p(rng.poisson(rate, (n, len(rate)))).astype(np.float32)


def test_a_detector_finds_smooth_cells_and_not_cells_of_the_same_kind():
    rng = np.random.default_rng(0)
    rate = rng.gamma(1, 2, 40)
    labels = np.repeat(["a", "b"], 100)
    real = counts(rng, rate)
    same = detector_auc(counts(rng, rate), labels, real, labels, 0)
    smooth = np.log1p(np.tile(rate, (200, 1))).astype(np.float32)
    assert 0.35 < same < 0.65
    assert detector_auc(smooth, labels, real, labels, 0) > 0.99


def test_a_detector_does_not_live_on_the_types():
    """More new cells of one type than of another must not tell new from real."""
    rng = np.random.default_rng(0)
    low, high = rng.gamma(1, 2, 40), rng.gamma(1, 2, 40)
    real = np.concatenate([counts(rng, low, 180), counts(rng, high, 60)])
    new = np.concatenate([counts(rng, low, 60), counts(rng, high, 180)])
    found = detector_auc(
        new, np.repeat(["a", "b"], [60, 180]), real, np.repeat(["a", "b"], [180, 60]), 0
    )
    assert 0.3 < found < 0.7
    assert np.isnan(detector_auc(new[:0], np.array([], dtype=str), real, np.repeat("a", 240), 0))


def test_the_genes_that_vary_are_kept():
    rng = np.random.default_rng(0)
    X = rng.poisson(rng.gamma(2, 1, 300), (300, 300)).astype(float)
    X[:150, :5] *= 2  # the mean stays, so that only the spread tells
    X[150:, :5] = 0
    X = np.log1p(X).astype(np.float32)
    kept = most_variable(X, 30)
    assert set(range(5)) <= set(kept.tolist())
    found = sc.pp.highly_variable_genes(ad.AnnData(X), n_top_genes=30, inplace=False)
    np.testing.assert_array_equal(kept, np.flatnonzero(found["highly_variable"]))
    np.testing.assert_array_equal(most_variable(X, None), np.arange(300))
