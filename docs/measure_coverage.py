"""How often does a 95 % interval hold the truth? Data sets drawn from a larger one, over and over.

``python docs/measure_coverage.py kang_pbmc_ctrl 2500 10 6`` takes data sets of 2,500 cells from
that of the harness, makes 6 draws of each (half of the cells are tested; of three rare types 10
cells are trained on, of all others 600), compares four classifiers in 30 principal components,
and prints for each pair what share of a draw's variance all draws of a data set have in common, and
how many of 100 intervals hold the mean over all data sets, for several values of that share. Two to
five minutes. `scdiff_bench.statistics.contrasts.MOST_SHARED` was chosen by it.
"""

from __future__ import annotations

import sys
import warnings

import numpy as np
from numpy.typing import NDArray
from scdiff_bench.data.datasets import load_dataset
from scipy import stats
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid

SHARES = (0.0, 0.1, 0.25, 0.5, 1.0)
PAIRS = (("lda", "centroid"), ("logistic", "lda"), ("logistic", "knn"), ("knn", "centroid"))
N_OTHER = 600
MODELS = {
    "lda": lambda: LinearDiscriminantAnalysis("lsqr", shrinkage="auto"),
    "centroid": NearestCentroid,
    "knn": KNeighborsClassifier,
    "logistic": lambda: LogisticRegression(C=0.03, max_iter=300, class_weight="balanced"),
}


def scores(
    z: NDArray, y: NDArray, rows: NDArray, rare: list[str], n: int, rng: np.random.Generator
) -> dict[str, float]:
    """Macro-F1 of every classifier on one draw of a data set."""
    order = rng.permutation(rows)
    test, pool = np.split(order, [len(order) // 2])
    few = [pool[y[pool] == label][:n] for label in rare]
    train = np.concatenate([*few, pool[~np.isin(y[pool], rare)][:N_OTHER]])
    found = {}
    for name, make in MODELS.items():
        called = make().fit(z[train], y[train]).predict(z[test])
        found[name] = f1_score(y[test], called, average="macro", zero_division=0)
    return found


def main(dataset: str, n_cells: int, n: int, draws: int, repeats: int = 100) -> None:
    """Print shares of variance and coverages."""
    data = load_dataset(dataset)
    y = np.asarray(data.y)
    z = PCA(30, random_state=0).fit_transform(np.asarray(data.X))
    names, counts = np.unique(y, return_counts=True)
    enough = counts * n_cells / len(y) / 2 > 1.2 * n
    rare = [str(label) for label in names[enough][np.argsort(counts[enough])][:3]]
    print(
        f"{dataset}: {repeats} data sets of {n_cells} cells, {draws} draws, {n} of each of {rare}"
    )
    rng = np.random.default_rng(0)
    tried = []
    for _ in range(repeats):
        rows = rng.permutation(len(y))[:n_cells]
        tried.append([scores(z, y, rows, rare, n, rng) for _ in range(draws)])
    for a, b in PAIRS:
        gap = np.array([[draw[a] - draw[b] for draw in data_set] for data_set in tried])
        means, variances = gap.mean(axis=1), gap.var(axis=1, ddof=1)
        shared = means.var(ddof=1) / variances.mean() - 1 / draws
        said = []
        for share in SHARES:
            half = stats.t.ppf(0.975, draws - 1) * np.sqrt((1 / draws + share) * variances)
            held = np.mean(np.abs(means - means.mean()) <= half)
            said.append(f"{share:g}: {held:.2f} (±{half.mean():.3f})")
        print(f"{a} - {b}: {means.mean():+.3f}, shared {shared:.2f}; {', '.join(said)}", flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(sys.argv[1], *map(int, sys.argv[2:]))
