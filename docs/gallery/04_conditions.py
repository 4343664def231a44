"""
Two conditions, a combination never seen, a path
================================================

The generator by itself: cells of a type in a phase of the cell cycle, a combination that no cell
of training has, and a path from one type to another.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import scanpy as sc
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from scdiff_augment import LatentDiffusion, plotting

cells = sc.datasets.pbmc68k_reduced().raw.to_adata()
types, phases = cells.obs["bulk_labels"].astype(str), cells.obs["phase"].astype(str)

# %%
# No dendritic cell in phase S is shown to the model. It learns the others without labels, then
# the two annotations one by one; the phase is learnt *within* the types, so that what S changes
# in other types can be carried over.

unseen = (types == "Dendritic") & (phases == "S")
seen = cells[~unseen]
model = LatentDiffusion(random_state=0).fit(seen.to_df())
model.add_condition("type", types[~unseen])
model.add_condition("phase", phases[~unseen], within={"type": types[~unseen]})
for note in model.history_["notes"]:
    print(note)

# %%
# Both conditions at once
# -----------------------
#
# A judge that was fitted on real cells calls the phase of new B cells. Real cells are called out
# of fold.

judge = LogisticRegression(C=0.03, max_iter=2000, class_weight="balanced")
out_of_fold = cross_val_predict(judge, cells.to_df(), phases, cv=5)
judge.fit(cells.to_df(), phases)
for phase in ("G1", "S"):
    new = model.sample({"type": "CD19+ B", "phase": phase}, n=100)
    right = np.mean(judge.predict(new) == phase)
    real = np.mean(out_of_fold[(types == "CD19+ B") & (phases == phase)] == phase)
    print(f"{phase}: {right:.2f} of new cells are called right, {real:.2f} of real ones")

# %%
# The combination never seen
# --------------------------
#
# S-phase genes of new dendritic cells, asked for in G1 and in S, beside real ones in S, which the
# model has not seen.

genes = [gene for gene in ("PCNA", "TYMS", "MCM5", "TK1", "RRM2") if gene in cells.var_names]
means = {
    "real, G1": cells[(types == "Dendritic") & (phases == "G1"), genes].to_df().mean(),
    "real, S (never seen)": cells[unseen, genes].to_df().mean(),
}
for phase in ("G1", "S"):
    new = model.sample({"type": "Dendritic", "phase": phase}, n=300)
    means[f"new, {phase}"] = new[genes].mean()
pd.DataFrame(means).round(2)

# %%
# A path between two types
# ------------------------
#
# Real monocytes are led towards dendritic cells.

weights = np.linspace(0, 1, 6)
start = seen[types[~unseen] == "CD14+ Monocyte"].to_df()[:20]
path = model.interpolate(start, "type", "CD14+ Monocyte", "Dendritic", weights)
figure, axis = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
axis = plotting.interpolation_path(
    cells.X.toarray(), path, weights, labels=types, name=["CD14+ Monocyte", "Dendritic"], ax=axis
)
