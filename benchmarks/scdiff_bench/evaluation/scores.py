"""Scores of one classifier on one test set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scdiff_bench.evaluation.calibration import expected_calibration_error, reliability_bins
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    log_loss,
    precision_recall_fscore_support,
)


@dataclass(frozen=True)
class Score:
    """How to show a score.

    Attributes
    ----------
    title : str
        Name in tables and pages.
    higher_is_better : bool
        Direction.
    """

    title: str
    higher_is_better: bool


SCORES = {
    "macro_f1": Score("macro-F1", True),
    "rare_f1": Score("F1 of the rare types", True),
    "majority_f1": Score("F1 of the other types", True),
    "balanced_accuracy": Score("balanced accuracy", True),
    "accuracy": Score("accuracy", True),
    "pr_auc": Score("PR-AUC", True),
    "rare_pr_auc": Score("PR-AUC of the rare types", True),
    "log_loss": Score("log-loss", False),
    "brier": Score("Brier score", False),
    "ece": Score("calibration error", False),
}


def score(
    truth: NDArray[np.str_],
    called: NDArray[np.str_],
    proba: NDArray[np.floating[Any]],
    proba_classes: Sequence[str],
    classes: Sequence[str],
    rare: Sequence[str],
) -> tuple[dict[str, float], list[dict[str, Any]], NDArray[np.float64]]:
    """Score one classifier.

    Means over types are over those in the test set; a held-out donor may lack some.

    Parameters
    ----------
    truth, called : ndarray of str, shape (cells,)
        True and predicted labels.
    proba : ndarray, shape (cells, len(proba_classes))
        Probabilities, one column per class the classifier knows.
    proba_classes : sequence of str
        Names of those columns.
    classes : sequence of str
        All types of the data set, sorted.
    rare : sequence of str
        Types that ``rare_f1`` is taken over.

    Returns
    -------
    tuple
        The scores by name; one record per type in the test set with precision, recall, F1,
        PR-AUC and support; and the bins of the reliability curve.
    """
    precision, recall, f1, support = precision_recall_fscore_support(
        truth, called, labels=list(classes), zero_division=0
    )
    full = np.zeros((len(truth), len(classes)))
    full[:, [list(classes).index(name) for name in proba_classes]] = proba
    full /= np.maximum(full.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    codes = np.searchsorted(list(classes), truth)
    onehot = codes[:, None] == np.arange(len(classes))
    there = support > 0
    is_rare = np.isin(list(classes), list(rare))
    pr_auc = np.array(
        [
            average_precision_score(onehot[:, k], full[:, k]) if there[k] else np.nan
            for k in range(len(classes))
        ]
    )
    bins = reliability_bins(codes, full)
    scores = {
        "macro_f1": _mean(f1, there),
        "rare_f1": _mean(f1, there & is_rare),
        "majority_f1": _mean(f1, there & ~is_rare),
        "balanced_accuracy": _mean(recall, there),
        "accuracy": float(accuracy_score(truth, called)),
        "pr_auc": _mean(pr_auc, there),
        "rare_pr_auc": _mean(pr_auc, there & is_rare),
        "log_loss": float(log_loss(truth, full, labels=list(classes))),
        "brier": float(((full - onehot) ** 2).sum(axis=1).mean()),
        "ece": expected_calibration_error(bins),
    }
    per_class = [
        {
            "type": name,
            "rare": bool(is_rare[i]),
            "precision": float(precision[i]),
            "recall": float(recall[i]),
            "f1": float(f1[i]),
            "pr_auc": float(pr_auc[i]),
            "n_test": int(support[i]),
        }
        for i, name in enumerate(classes)
        if there[i]
    ]
    return scores, per_class, bins


def _mean(values: NDArray[np.floating[Any]], which: NDArray[np.bool_]) -> float:
    return float(values[which].mean()) if which.any() else float("nan")
