"""
A type from somebody else's atlas
=================================

Your batch has no cell of a type, an atlas has many, and the two were measured differently. New
cells of that type are made as your batch would show them.
"""

# %%
# Two batches of which the truth is known
# ---------------------------------------
#
# The cells come with scanpy: 700 blood cells, log1p values, from which their counts are recovered.
# They are one batch, so the second one is made here: half of the cells become "mine", and there
# every gene is captured with an efficiency of its own, as by another chemistry. Real data sets
# with batches are on the page on :doc:`references </user_guide/reference_batch>`.

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import scanpy as sc
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from scdiff_augment import join_reference, oversample_adata, plotting

rng = np.random.default_rng(0)
cells = sc.datasets.pbmc68k_reduced().raw.to_adata()
scaled = np.expm1(cells.X.toarray())
one = np.array([row[row > 0].min() for row in scaled])[:, None]  # what one count became
counts = np.rint(scaled / one).astype(int)
labels = cells.obs["bulk_labels"].astype(str).to_numpy()

efficiency = np.clip(rng.lognormal(-0.7, 0.8, cells.n_vars), 0.02, 1.0)
group = rng.integers(4, size=cells.n_obs)  # 0 and 1: the atlas; 2: mine; 3: mine, kept for tests


def batch(chosen, captured=1.0):
    """Make log1p values of some of the cells, of whose counts this share is captured."""
    found = ad.AnnData(rng.binomial(counts[chosen], captured).astype(float))
    found.var_names, found.obs["cell_type"] = cells.var_names, labels[chosen]
    sc.pp.normalize_total(found, target_sum=1e4)
    sc.pp.log1p(found)
    return found


# %%
# Mine has no monocyte. Those among its test cells are what the classifiers shall find.

lacking = "CD14+ Monocyte"
atlas = batch(group < 2)
mine = batch((group == 2) & (labels != lacking), efficiency)
test = batch(group == 3, efficiency)
atlas.obs_names = "atlas-" + atlas.obs_names
pd.DataFrame(
    {"atlas": atlas.obs["cell_type"].value_counts(), "mine": mine.obs["cell_type"].value_counts()}
).fillna(0).astype(int)

# %%
# Borrow it
# ---------
#
# Genes are matched by name. Real cells of both batches stay; new ones fill the types of mine.

joined, matched = join_reference(mine, atlas, "cell_type")
more = oversample_adata(joined, "cell_type", batch_key="batch", into="mine", random_state=0)
new = more[more.obs["is_synthetic"] & (more.obs["cell_type"] == lacking)]
print(matched)
print(f"{new.n_obs} new cells of {lacking}")
(note,) = [n for n in more.uns["scdiff_augment"]["notes"] if lacking in n]
print(*note.split(", "), sep="\n  ")

# %%
# Look at them
# ------------
#
# Real monocytes of the atlas lie apart from those of mine, which were held back. The new ones were
# made without them.

unseen = test[test.obs["cell_type"] == lacking]
theirs = atlas[atlas.obs["cell_type"] == lacking]
sets = {
    "mine, other types": (mine, "#d5dade", 6),
    "monocytes of the atlas": (theirs, "#e0a030", 14),
    "new monocytes, as of mine": (new, "#2f7fb8", 14),
    "real monocytes of mine, held back": (unseen, "#d1603d", 26),
}
places = plotting.joint_umap(*(shown.X for shown, _, _ in sets.values()))
figure, axis = plt.subplots(figsize=(6.4, 4.6), layout="constrained")
for place, (name, (_, colour, size)) in zip(places, sets.items(), strict=True):
    axis.scatter(*place.T, s=size, color=colour, label=name, linewidths=0)
axis.set(xticks=[], yticks=[])
_ = axis.legend(frameon=False, fontsize=8)

# %%
# What it is worth
# ----------------
#
# F1 of the monocytes among the test cells of mine. The oracle has mine's own monocytes, which in
# truth there are none of.

own = batch((group == 2) & (labels == lacking), efficiency)
oracle = ad.concat([joined, own], index_unique="-")
training = {"mine alone": mine, "pooled": joined, "pooled + new cells": more, "oracle": oracle}
classifiers = {
    "kNN": make_pipeline(PCA(30, random_state=0), KNeighborsClassifier()),
    "logistic regression": LogisticRegression(C=0.03, max_iter=5000),
    "random forest": RandomForestClassifier(random_state=0),
}
truth = test.obs["cell_type"] == lacking
pd.DataFrame(
    {
        name: {
            title: f1_score(
                truth, model.fit(used.X, used.obs["cell_type"]).predict(test.X) == lacking
            )
            for title, model in classifiers.items()
        }
        for name, used in training.items()
    }
).round(2)

# %%
# One division of few cells is one draw. What it was worth on batches of real data sets is on the
# page on :doc:`references </user_guide/reference_batch>`.
