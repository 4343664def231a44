import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    log_loss,
    precision_score,
    recall_score,
)

from benchmarks.scores import SCORES, score

CLASSES = ["A", "B", "C"]


def case(seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.choice(CLASSES, 60, p=[0.6, 0.3, 0.1])
    proba = rng.dirichlet([1, 1, 1], 60)
    return truth, np.array(CLASSES)[proba.argmax(axis=1)], proba


def test_scores_are_those_of_scikit_learn():
    truth, called, proba = case()
    scores, per_class = score(truth, called, proba, CLASSES, CLASSES, ["C", "B"])
    f1 = f1_score(truth, called, average=None)
    assert scores == pytest.approx(
        {
            "macro_f1": f1.mean(),
            "rare_f1": f1[1:].mean(),
            "balanced_accuracy": balanced_accuracy_score(truth, called),
            "accuracy": accuracy_score(truth, called),
            "log_loss": log_loss(truth, proba),
        }
    )
    assert list(scores) == [name for name in scores if name in SCORES]
    assert [c["type"] for c in per_class] == CLASSES
    assert [c["rare"] for c in per_class] == [False, True, True]
    assert [c["n_test"] for c in per_class] == [(truth == c).sum() for c in CLASSES]
    for name, function in [("precision", precision_score), ("recall", recall_score)]:
        assert [c[name] for c in per_class] == pytest.approx(
            list(function(truth, called, average=None))
        )


def test_a_class_the_classifier_does_not_know_has_probability_zero():
    truth, _, proba = case()
    known = proba[:, :2] / proba[:, :2].sum(axis=1, keepdims=True)
    called = np.array(CLASSES)[known.argmax(axis=1)]
    scores, per_class = score(truth, called, known, CLASSES[:2], CLASSES, ["C"])
    full = np.column_stack([known, np.zeros(60)])
    assert scores["log_loss"] == pytest.approx(log_loss(truth, full, labels=CLASSES))
    assert scores["rare_f1"] == per_class[2]["f1"] == 0.0
