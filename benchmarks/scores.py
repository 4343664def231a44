"""Scores of one classifier on one test part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
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
    "balanced_accuracy": Score("balanced accuracy", True),
    "accuracy": Score("accuracy", True),
    "log_loss": Score("log-loss", False),
}


def score(
    truth: NDArray[np.str_],
    called: NDArray[np.str_],
    proba: NDArray[np.floating[Any]],
    proba_classes: Sequence[str],
    classes: Sequence[str],
    rare: Sequence[str],
) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Score one classifier.

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
        The scores by name, and one record per type with precision, recall, F1 and support.
    """
    precision, recall, f1, support = precision_recall_fscore_support(
        truth, called, labels=list(classes), zero_division=0
    )
    full = np.zeros((len(truth), len(classes)))
    full[:, [list(classes).index(name) for name in proba_classes]] = proba
    full /= np.maximum(full.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    scores = {
        "macro_f1": float(f1.mean()),
        "rare_f1": float(np.mean([f1[list(classes).index(name)] for name in rare])),
        "balanced_accuracy": float(balanced_accuracy_score(truth, called)),
        "accuracy": float(accuracy_score(truth, called)),
        "log_loss": float(log_loss(truth, full, labels=list(classes))),
    }
    per_class = [
        {
            "type": name,
            "rare": name in rare,
            "precision": float(precision[i]),
            "recall": float(recall[i]),
            "f1": float(f1[i]),
            "n_test": int(support[i]),
        }
        for i, name in enumerate(classes)
    ]
    return scores, per_class
