"""
Ten cells of a type
===================

Three types of blood cells are cut to ten training cells each. A random forest is trained without
and with new cells, and tested on all real cells that it has not seen.
"""

# %%
# The cells come with scanpy: log1p values of 765 genes, ten types. Half of each type is for
# training, and of the three rare types no more than ten cells; all else is for testing.

import matplotlib.pyplot as plt
import pandas as pd
import scanpy as sc
from imblearn.ensemble import BalancedRandomForestClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import f1_score

from scdiff_augment import oversample_adata, plotting

cells = sc.datasets.pbmc68k_reduced().raw.to_adata()
rare = ["CD14+ Monocyte", "CD19+ B", "CD56+ NK"]

labels = cells.obs["bulk_labels"].astype(str)
order = labels.groupby(labels).cumcount()  # 0, 1, 2, ... within each type
in_training = (order % 2 == 0) & ~(labels.isin(rare) & (order >= 20))
train, test = cells[in_training].copy(), cells[~in_training].copy()
train.obs["bulk_labels"].value_counts()

# %%
# What there is without augmentation
# ----------------------------------
#
# Class weights, and a forest whose trees see as many cells of each type.

baselines = {
    "no correction": RandomForestClassifier(random_state=0),
    "class weights": RandomForestClassifier(class_weight="balanced", random_state=0),
    "balanced forest": BalancedRandomForestClassifier(
        sampling_strategy="all", replacement=True, bootstrap=False, random_state=0
    ),
}
called = {
    name: forest.fit(train.X, train.obs["bulk_labels"]).predict(test.X)
    for name, forest in baselines.items()
}

# %%
# With new cells
# --------------
#
# One line. The real cells come first and unchanged; ``obs["is_synthetic"]`` tells the new ones. The
# warning is about a type that was rare to begin with.

more = oversample_adata(train, "bulk_labels", random_state=0)
forest = RandomForestClassifier(random_state=0).fit(more.X, more.obs["bulk_labels"])
called["new cells"] = forest.predict(test.X)
more.obs.groupby(["bulk_labels", "is_synthetic"], observed=True).size().unstack()

# %%
# F1 of each type
# ---------------

truth = test.obs["bulk_labels"]
types = sorted(truth.unique())
report = pd.DataFrame(
    {
        name: f1_score(truth, predicted, average=None, labels=types)
        for name, predicted in called.items()
    },
    index=types,
)
report.loc["mean of the rare types"] = report.loc[rare].mean()
report.loc["mean of all types (macro-F1)"] = report.loc[types].mean()
report.round(2)

# %%
# The rare types gain; what the abundant ones pay is in the last row. One split is one draw: over
# ten of them the page on :doc:`strategies </user_guide/which_strategy>` has the means.
#
# Look at them
# ------------
#
# The ten real cells of each rare type over the new ones made from them, and all other cells.

new = more.obs["is_synthetic"].to_numpy()
names = more.obs["bulk_labels"].astype(str).to_numpy()
real_xy, new_xy = plotting.joint_umap(more.X[~new].toarray(), more.X[new].toarray())
figure, axes = plt.subplots(1, 3, figsize=(9.6, 3.2), layout="constrained")
for axis, name in zip(axes, rare, strict=True):
    axis.scatter(*real_xy.T, s=4, color="#d5dade", linewidths=0)
    axis.scatter(*new_xy[names[new] == name].T, s=8, color="#2f7fb8", alpha=0.4, linewidths=0)
    axis.scatter(*real_xy[names[~new] == name].T, s=40, color="#d1603d", edgecolors="black")
    axis.set(title=name, xticks=[], yticks=[])

# %%
# They are made for training classifiers, and vary less than real cells: :doc:`/limits`.
