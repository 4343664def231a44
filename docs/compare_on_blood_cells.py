"""Compare strategies on the blood cells of the README and the examples, draw by draw.

``python docs/compare_on_blood_cells.py`` writes ``docs/blood_cells.csv``: for each of ten draws,
classifier and strategy the macro-F1 and the F1 of the three types that were cut to ten training
cells. Draws that are there are kept. Everything is chosen beforehand and the same in each draw;
nothing is tuned on test cells.
"""

from __future__ import annotations

import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scanpy as sc
from imblearn.ensemble import BalancedRandomForestClassifier
from imblearn.over_sampling import SMOTE
from imblearn.pipeline import make_pipeline
from numpy.typing import NDArray
from scdiff_bench.classifiers.catalogue import build_classifier
from scdiff_bench.classifiers.thresholds import TunedThresholds
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import f1_score
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier

from scdiff_augment import DiffusionOversampler

RARE = ["CD14+ Monocyte", "CD19+ B", "CD56+ NK"]
N_DRAWS = 10
TABLE = Path(__file__).parent / "blood_cells.csv"
WEIGHTED = ("logistic_regression", "random_forest", "celltypist")


def split(labels: NDArray, seed: int) -> tuple[NDArray, NDArray]:
    """Rows to train on and to test on: half of each type, of the rare ones ten."""
    train, _ = train_test_split(
        np.arange(len(labels)), test_size=0.5, stratify=labels, random_state=seed
    )
    rank = pd.Series(labels[train]).groupby(labels[train]).cumcount().to_numpy()
    train = train[~np.isin(labels[train], RARE) | (rank < 10)]
    return train, np.setdiff1d(np.arange(len(labels)), train)


def lda(n_types: int) -> Any:
    """Shrinkage LDA with equal priors on principal components."""
    rule = LinearDiscriminantAnalysis(
        solver="lsqr", shrinkage="auto", priors=np.full(n_types, 1 / n_types)
    )
    return make_pipeline(PCA(50, random_state=0), rule)


def contestants(genes: list[str], n_types: int) -> dict[tuple[str, str], Any]:
    """Return what is compared, by classifier and strategy; "diffusion" ones get more cells."""
    found: dict[tuple[str, str], Any] = {}
    for name in (*WEIGHTED, "knn"):
        plain, _ = build_classifier(name, False, 0, genes)
        found[name, "none"] = plain
        found[name, "diffusion"] = plain
    for name in WEIGHTED:
        weighted, _ = build_classifier(name, True, 0, genes)
        found[name, "class weights"] = weighted
        if name in ("logistic_regression", "random_forest"):
            found[name, "class weights, tuned thresholds"] = TunedThresholds(
                weighted, random_state=0
            )
    found["random_forest", "balanced forest"] = BalancedRandomForestClassifier(
        sampling_strategy="all", replacement=True, bootstrap=False, random_state=0
    )
    found["knn", "SMOTE in components"] = make_pipeline(
        PCA(50, random_state=0),
        SMOTE(k_neighbors=3, random_state=0),
        KNeighborsClassifier(15),
    )
    found["lda", "equal priors"] = lda(n_types)
    found["lda", "diffusion"] = lda(n_types)
    return found


def main() -> None:
    """Write the table, draw by draw."""
    warnings.simplefilter("ignore")
    cells = sc.datasets.pbmc68k_reduced().raw.to_adata()
    X, y = cells.X.toarray(), cells.obs["bulk_labels"].astype(str).to_numpy()
    genes = list(cells.var_names)
    done = pd.read_csv(TABLE) if TABLE.exists() else pd.DataFrame({"draw": []})
    rows = done.to_dict("records")
    for seed in sorted(set(range(N_DRAWS)) - set(done["draw"])):
        train, test = split(y, seed)
        start = time.process_time()
        more = DiffusionOversampler(random_state=seed).fit_resample(X[train], y[train])
        seconds = time.process_time() - start
        for (classifier, strategy), model in contestants(genes, len(set(y))).items():
            begun = time.process_time()
            model.fit(*(more if strategy == "diffusion" else (X[train], y[train])))
            called = model.predict(X[test])
            took = time.process_time() - begun + seconds * (strategy == "diffusion")
            rare = f1_score(y[test], called, labels=RARE, average="macro")
            rows.append({
                "draw": seed, "classifier": classifier, "strategy": strategy,
                "macro_f1": f1_score(y[test], called, average="macro"), "rare_f1": rare,
                "seconds": took,
            })  # fmt: skip
        table = pd.DataFrame(rows)
        table.to_csv(TABLE, index=False, float_format="%.4f")
        print(seed, file=sys.stderr, flush=True)
    table = pd.DataFrame(rows)
    means = table.groupby(["classifier", "strategy"])[["macro_f1", "rare_f1", "seconds"]].mean()
    print(means.round(3).to_string())


if __name__ == "__main__":
    main()
