"""
CellTypist on augmented cells
=============================

CellTypist is a logistic regression trained by stochastic gradient descent, on log1p values of
counts per 10,000. It is trained here on the cells that there are, and on the same cells with new
ones.
"""

# %%
import pandas as pd
import scanpy as sc
from scdiff_bench.classifiers.celltypist_classifier import CellTypistClassifier
from sklearn.metrics import f1_score

from scdiff_augment import DiffusionOversampler, oversample_adata

cells = sc.datasets.pbmc68k_reduced().raw.to_adata()
rare = ["CD14+ Monocyte", "CD19+ B", "CD56+ NK"]

labels = cells.obs["bulk_labels"].astype(str)
order = labels.groupby(labels).cumcount()  # 0, 1, 2, ... within each type
in_training = (order % 2 == 0) & ~(labels.isin(rare) & (order >= 20))
train, test = cells[in_training].copy(), cells[~in_training].copy()

# %%
more = oversample_adata(train, "bulk_labels", sampler=DiffusionOversampler(random_state=0))


def called_by(training, **options):
    """Train CellTypist and call the test cells."""
    model = CellTypistClassifier(genes=training.var_names, random_state=0, **options)
    model.fit(training.X.toarray(), training.obs["bulk_labels"].astype(str).to_numpy())
    return model.predict(test.X.toarray())


truth = test.obs["bulk_labels"].astype(str)
called = {
    "CellTypist": called_by(train),
    "class weights": called_by(train, class_weight="balanced"),
    "its own balancing": called_by(train, balance_cell_type=True),
    "new cells": called_by(more),
}
pd.DataFrame(
    {
        name: [
            f1_score(truth, predicted, average="macro", labels=rare),
            f1_score(truth, predicted, average="macro"),
        ]
        for name, predicted in called.items()
    },
    index=["rare types", "macro-F1"],
).round(2)
