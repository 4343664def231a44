"""Draw the picture of the README: ten real cells of a type over the new ones made from them.

``python docs/draw_rare_cells.py`` writes ``docs/_static/rare_cells.png``.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import scanpy as sc

from scdiff_augment import oversample_adata
from scdiff_augment.plotting import joint_umap

RARE = {"CD14+ Monocyte": "#d1603d", "CD19+ B": "#2f7fb8", "CD56+ NK": "#5b8c3a"}
OTHERS = "#c9d0d6"


def main() -> None:
    """Write the picture."""
    cells = sc.datasets.pbmc68k_reduced().raw.to_adata()
    types = cells.obs["bulk_labels"].astype(str)
    order = types.groupby(types).cumcount()
    train = cells[(order % 2 == 0) & ~(types.isin(RARE) & (order >= 20))].copy()
    more = oversample_adata(train, "bulk_labels", random_state=0)
    new = more.obs["is_synthetic"].to_numpy()
    labels = more.obs["bulk_labels"].astype(str).to_numpy()
    X = more.X.toarray()
    shown = ~new | np.isin(labels, list(RARE))
    X, new, labels = X[shown], new[shown], labels[shown]
    real_xy, new_xy = joint_umap(X[~new], X[new])
    figure, axis = plt.subplots(figsize=(7.2, 3.9), layout="constrained")
    abundant = ~np.isin(labels[~new], list(RARE))
    axis.scatter(*real_xy[abundant].T, s=9, color=OTHERS, linewidths=0, label="other real cells")
    for name, colour in RARE.items():
        made = new_xy[labels[new] == name]
        axis.scatter(*made.T, s=9, color=colour, alpha=0.3, linewidths=0)
    for name, colour in RARE.items():
        real = real_xy[labels[~new] == name]
        n_new = (labels[new] == name).sum()
        axis.scatter(
            *real.T, s=52, color=colour, edgecolors="black", linewidths=0.9, zorder=3,
            label=f"{name}: {len(real)} real cells, {n_new} new",
        )  # fmt: skip
    axis.set(xticks=[], yticks=[], xlabel="UMAP 1", ylabel="UMAP 2")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), fontsize=9)
    figure.savefig(Path(__file__).parent / "_static" / "rare_cells.png", dpi=130)


if __name__ == "__main__":
    main()
