import itertools

import numpy as np
import pytest
from scdiff_bench.classifiers.thresholds import TunedThresholds, best_weight, tune_weights
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score


def case(seed, n_cells, n_classes):
    """Random probabilities that know a little about random, unequal classes."""
    rng = np.random.default_rng(seed)
    codes = rng.choice(
        n_classes, n_cells, p=np.arange(1, n_classes + 1) / sum(range(n_classes + 1))
    )
    codes[:n_classes] = range(n_classes)
    logits = rng.normal(size=(n_cells, n_classes))
    logits[np.arange(n_cells), codes] += 1
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)), codes


def macro_f1(log_proba, codes, log_weights):
    called = np.argmax(log_proba + log_weights, axis=1)
    labels = range(log_proba.shape[1])
    return f1_score(codes, called, labels=labels, average="macro", zero_division=0)


@pytest.mark.parametrize("seed", range(10))
def test_two_classes_reach_the_optimum_of_brute_force(seed):
    log_proba, codes = case(seed, 15, 2)
    turns = np.sort(log_proba[:, 0] - log_proba[:, 1])
    tried = [turns[0] - 1, *(turns[1:] + turns[:-1]) / 2, turns[-1] + 1]
    best = max(macro_f1(log_proba, codes, np.array([0, w])) for w in tried)
    assert macro_f1(log_proba, codes, tune_weights(log_proba, codes)) == pytest.approx(best)


@pytest.mark.parametrize("seed", range(10))
def test_one_step_is_exact_with_four_classes(seed):
    log_proba, codes = case(seed, 30, 4)
    weights = np.random.default_rng(seed).normal(size=4)
    weight, score = best_weight(log_proba, codes, weights, 2)
    rivals = np.delete(log_proba + weights, 2, axis=1).max(axis=1)
    turns = np.sort(rivals - log_proba[:, 2])
    steps = [turns[0] - 1, *(turns[1:] + turns[:-1]) / 2, turns[-1] + 1]
    tried = [np.r_[weights[:2], w, weights[3]] for w in steps]
    best = max(macro_f1(log_proba, codes, w) for w in tried)
    found = macro_f1(log_proba, codes, np.r_[weights[:2], weight, weights[3]])
    assert found == pytest.approx(score)
    assert score == pytest.approx(best)


@pytest.mark.parametrize("seed", range(3))
def test_three_classes_come_close_to_a_grid(seed):
    log_proba, codes = case(seed, 20, 3)
    grid = np.linspace(-4, 4, 21)
    best = max(
        macro_f1(log_proba, codes, np.array([0, a, b])) for a, b in itertools.product(grid, grid)
    )
    found = macro_f1(log_proba, codes, tune_weights(log_proba, codes))
    assert found >= max(best - 0.05, macro_f1(log_proba, codes, np.zeros(3)))


def test_impossible_classes_are_left_impossible():
    with np.errstate(divide="ignore"):
        log_proba = np.log([[1, 0, 0], [0, 1, 0], [0.5, 0, 0.5], [0, 0, 1], [0.9, 0.1, 0]])
    codes = np.array([0, 1, 2, 2, 1])
    weights = tune_weights(log_proba, codes)
    assert np.isfinite(weights).all()
    assert macro_f1(log_proba, codes, weights) == 1.0


def imbalanced():
    return make_classification(
        400, 10, n_informative=5, n_classes=3, weights=[0.8, 0.15, 0.05], random_state=0
    )


@pytest.mark.parametrize("estimator", [LogisticRegression(), RandomForestClassifier(20)])
def test_the_classifier_keeps_its_probabilities_and_moves_its_calls(estimator):
    X, codes = imbalanced()
    y = np.array(["a", "b", "c"])[codes]
    estimator.set_params(random_state=0)
    tuned = TunedThresholds(estimator, random_state=0).fit(X[:300], y[:300])
    plain = clone(estimator).fit(X[:300], y[:300])
    np.testing.assert_allclose(tuned.predict_proba(X), plain.predict_proba(X))
    assert tuned.classes_.tolist() == ["a", "b", "c"]
    with np.errstate(divide="ignore"):
        weighted = np.log(plain.predict_proba(X)) + tuned.log_weights_
    np.testing.assert_array_equal(tuned.predict(X), tuned.classes_[weighted.argmax(axis=1)])
    again = clone(tuned).fit(X[:300], y[:300])
    np.testing.assert_array_equal(tuned.log_weights_, again.log_weights_)


def test_weights_are_tuned_on_cells_the_classifier_has_not_seen():
    """A forest knows its own cells by heart: tuned on them, no weight would move."""
    X, codes = imbalanced()
    forest = RandomForestClassifier(30, random_state=0)
    tuned = TunedThresholds(forest, random_state=0).fit(X, codes)
    assert f1_score(codes, forest.fit(X, codes).predict(X), average="macro") == 1.0
    assert np.abs(tuned.log_weights_).max() > 0.1


def test_folds_shrink_with_the_smallest_class_and_one_cell_is_an_error():
    X, codes = imbalanced()
    keep = np.r_[np.flatnonzero(codes < 2), np.flatnonzero(codes == 2)[:3]]
    assert TunedThresholds(LogisticRegression()).fit(X[keep], codes[keep]).n_splits_ == 3
    with pytest.raises(ValueError, match=r"Class '2' has 1 cell.*strategy without thresholds"):
        TunedThresholds(LogisticRegression()).fit(X[keep[:-2]], codes[keep[:-2]])
