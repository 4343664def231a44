"""Measure how far the sampler's cells are from real ones, beside those of the generator.

``python docs/measure_limits.py`` learns half of kang_pbmc_ctrl and compares new cells of all types,
in the proportions of the held-out half, with that half. It writes ``docs/limits.csv`` and the
picture ``docs/_static/limits.png``, and needs the data set of SCDIFF_DATA.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scdiff_bench.data.datasets import load_dataset
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split

from scdiff_augment import LatentDiffusion, metrics

HERE = Path(__file__).parent
SAMPLER = {"guidance_scale": 1.0, "temperature": 0.7}
"""What `DiffusionOversampler` asks the model for, besides Poisson counts."""

FIGURES = ["forest_auc_pca", "forest_auc_genes", "mmd", "coverage", "density",
           "zero_fraction_difference"]  # fmt: skip
N_CELLS = 1000
N_SPLITS = 2


def spread(cells: NDArray, labels: NDArray, pca: PCA) -> float:
    """Return the standard deviation within types, over the principal components together."""
    z = pd.DataFrame(pca.transform(cells))
    return float(np.sqrt((z - z.groupby(labels).transform("mean")).var(ddof=0).sum()))


def main() -> None:
    """Write the table and the picture."""
    data = load_dataset("kang_pbmc_ctrl")
    X, y = np.asarray(data.X), np.asarray(data.y)
    rows, shown = [], None
    for seed in range(N_SPLITS):
        train, rest = train_test_split(
            np.arange(len(y)), test_size=0.5, stratify=y, random_state=seed
        )
        real, null = train_test_split(
            rest, train_size=N_CELLS, test_size=N_CELLS, stratify=y[rest], random_state=seed
        )
        model = LatentDiffusion(random_state=seed).fit(X[train], groups=y[train])
        model.add_condition("type", y[train])
        asked = {"type": y[real]}
        new = {"generator": model.sample(asked)}
        new["sampler"] = model.set_params(overdispersion=0.0).sample(asked, **SAMPLER)
        pca = PCA(20, random_state=0).fit(X[train])
        width = spread(X[real], y[real], pca)
        for name, cells, labels in [
            ("real cells", X[null], y[null]), *((name, c, y[real]) for name, c in new.items())
        ]:  # fmt: skip
            found = metrics.evaluate(
                X[real], cells, figures=FIGURES, n_estimators=100, random_state=seed
            )
            row = dict(zip(found["figure"], found["synthetic"], strict=True))
            rows.append({"split": seed, "cells": name, "spread": spread(cells, labels, pca) / width}
                        | row)  # fmt: skip
        if shown is None:
            shown = (
                y[real],
                {
                    "real cells": pca.transform(X[real]),
                    **{name: pca.transform(cells) for name, cells in new.items()},
                },
            )
    table = pd.DataFrame(rows)
    table.to_csv(HERE / "limits.csv", index=False, float_format="%.4f")
    print(table.groupby("cells").mean(numeric_only=True).round(3).to_string())
    figure, axes = plt.subplots(
        1, 3, figsize=(9, 3.1), sharex=True, sharey=True, layout="constrained"
    )
    types, components = shown
    colours = pd.factorize(types)[0]
    for axis, (name, z) in zip(axes, components.items(), strict=True):
        axis.scatter(z[:, 0], z[:, 1], c=colours, cmap="tab10", s=4, linewidths=0)
        axis.set(title=name, xticks=[], yticks=[], xlabel="component 1")
    axes[0].set_ylabel("component 2")
    figure.savefig(HERE / "_static" / "limits.png", dpi=110)


if __name__ == "__main__":
    main()
