"""How well a random forest tells synthetic cells from held-out real ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

MOST, LEAST = 500, 20


def detector_auc(
    new: NDArray[np.float32],
    new_labels: NDArray[np.str_],
    real: NDArray[np.float32],
    real_labels: NDArray[np.str_],
    seed: int,
) -> float:
    """Return the area under the ROC curve of a random forest that detects synthetic cells.

    As many new as real cells of every type are taken, so that types carry no information. Up to 50
    principal components and the forest are fitted on three quarters of them.

    Parameters
    ----------
    new, real : ndarray, shape (cells, genes)
        Cells to be found, and real cells that the generator has not seen.
    new_labels, real_labels : ndarray of str
        Their types.
    seed : int
        Seed.

    Returns
    -------
    float
        0.5 where they cannot be told apart; NaN where there are fewer than 20 of either.
    """
    rng = np.random.default_rng(seed)
    ours: list[Any] = []
    theirs: list[Any] = []
    for name in np.unique(new_labels):
        a, b = np.flatnonzero(new_labels == name), np.flatnonzero(real_labels == name)
        size = min(len(a), len(b))
        ours.append(rng.permutation(a)[:size])
        theirs.append(rng.permutation(b)[:size])
    if not ours:
        return float("nan")
    left, right = np.concatenate(ours), np.concatenate(theirs)
    keep = rng.permutation(len(left))[:MOST]
    if len(keep) < LEAST:
        return float("nan")
    X = np.concatenate([new[left[keep]], real[right[keep]]])
    made = np.repeat([1, 0], len(keep))
    train, test = train_test_split(
        np.arange(len(X)), test_size=0.25, stratify=made, random_state=seed
    )
    pca = PCA(min(50, len(train), X.shape[1]), random_state=seed).fit(X[train])
    forest = RandomForestClassifier(100, max_depth=5, random_state=seed, n_jobs=1)
    forest.fit(pca.transform(X[train]), made[train])
    return float(roc_auc_score(made[test], forest.predict_proba(pca.transform(X[test]))[:, 1]))
