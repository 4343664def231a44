"""
CellTypist on augmented cells
=============================

CellTypist is a logistic regression trained by stochastic gradient descent, on log1p values of
counts per 10,000. It is trained here on the cells that there are, and on the same cells with new
ones.
"""

# %%
import warnings

import pandas as pd
import scanpy as sc
from sklearn.metrics import f1_score

from scdiff_augment import CellTypistClassifier, oversample_adata

warnings.filterwarnings("ignore", message="class .* 4 real cells")  # see the first example
cells = sc.datasets.pbmc68k_reduced().raw.to_adata()
rare = ["CD14+ Monocyte", "CD19+ B", "CD56+ NK"]

labels = cells.obs["bulk_labels"].astype(str)
order = labels.groupby(labels).cumcount()  # 0, 1, 2, ... within each type
in_training = (order % 2 == 0) & ~(labels.isin(rare) & (order >= 20))
train, test = cells[in_training].copy(), cells[~in_training].copy()

# %%
more = oversample_adata(train, "bulk_labels", random_state=0)


def called_by(training, **options):
    """Train CellTypist and call the test cells."""
    model = CellTypistClassifier(random_state=0, **options)
    model.fit(training.to_df(), training.obs["bulk_labels"].astype(str))
    return model.predict(test.to_df())


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

# %%
# For CellTypist itself
# ---------------------
#
# ``to_celltypist_model`` gives a model of CellTypist's own, for ``celltypist.annotate`` on log1p
# values of counts per 10,000 over all genes, and with all that such models can do.

classifier = CellTypistClassifier(random_state=0)
classifier.fit(more.to_df(), more.obs["bulk_labels"].astype(str))
model = classifier.to_celltypist_model()
pd.DataFrame({name: model.extract_top_markers(name, 5) for name in rare})
