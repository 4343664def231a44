"""Pictures of the study of fidelity."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import anndata as ad
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scdiff_bench.generator_studies.parts import Arrays, Picture

from scdiff_augment import plotting


def pictures(arrays: Mapping[str, Arrays]) -> list[Picture]:
    """Draw UMAPs, markers, moments and telling genes of the first repeat of each data set."""
    found = []
    for name, a in arrays.items():
        dataset = name.split()[0]
        found += [
            Picture(
                f"{dataset}_umap",
                f"{dataset}: real held-out cells and as many synthetic ones of the same classes.",
                (6.0, 4.6),
                partial(_draw_umap, a=a),
                raster=True,
            ),
            Picture(
                f"{dataset}_classes",
                f"{dataset}: the same UMAP, class by class.",
                (6.0, 1.6 * (1 + (len(np.unique(a["labels"])) - 1) // 4)),
                partial(_draw_classes, a=a),
                raster=True,
            ),
            Picture(
                f"{dataset}_markers",
                f"{dataset}: genes that stand out in a class of the training cells, in real "
                "held-out and in synthetic cells of each class.",
                (6.0, 1.2 + 0.36 * len(np.unique(a["labels"]))),
                partial(_draw_markers, a=a),
            ),
            Picture(
                f"{dataset}_moments",
                f"{dataset}: variance against mean, and zeros against mean, gene by gene.",
                (6.0, 3.0),
                partial(_draw_moments, a=a),
                raster=True,
            ),
            Picture(
                f"{dataset}_telling",
                f"{dataset}: the genes by which a forest tells synthetic cells from real ones.",
                (6.0, 4.0),
                partial(_draw_telling, a=a),
            ),
        ]
    return found


def _draw_umap(figure: Figure, a: Arrays) -> None:
    plotting.umap(
        a["real_named"],
        a["synthetic_named"],
        labels=a["labels"],
        synthetic_labels=a["labels"][: len(a["synthetic_named"])],
        ax=figure.add_subplot(),
    )


def _draw_classes(figure: Figure, a: Arrays) -> None:
    plotting.umap_by_class(
        a["real_named"],
        a["synthetic_named"],
        labels=a["labels"],
        synthetic_labels=a["labels"][: len(a["synthetic_named"])],
        figure=figure,
    )


def _draw_markers(figure: Figure, a: Arrays) -> None:
    classes, genes = np.unique(a["labels"]), a["genes"]
    n_real, n_new = len(a["real_named"]), len(a["synthetic_named"])
    cells = ad.AnnData(
        np.vstack([a["real_named"], a["synthetic_named"]]),
        obs=pd.DataFrame(
            {
                "label": np.concatenate([a["labels"], a["labels"][:n_new]]),
                "is_synthetic": np.repeat([False, True], [n_real, n_new]),
            },
            index=[f"cell{i}" for i in range(n_real + n_new)],
        ),
        var=pd.DataFrame(index=genes),
    )
    seen, markers = set(), []
    for column in a["markers"][:, 0]:
        if column not in seen:
            seen.add(column)
            markers.append(str(genes[column]))
    plotting.marker_dotplot(
        cells, markers, "label", classes=classes.tolist(), scale=True, ax=figure.add_subplot()
    )


def _draw_moments(figure: Figure, a: Arrays) -> None:
    left, right = figure.subplots(1, 2)
    plotting.mean_variance(a["real"], a["synthetic"], ax=left)
    plotting.zero_curves(a["real"], a["synthetic"], ax=right)


def _draw_telling(figure: Figure, a: Arrays) -> None:
    start = "telling_"
    table = pd.DataFrame({k.removeprefix(start): v for k, v in a.items() if k.startswith(start)})
    plotting.telling_genes(table.set_index("gene"), ax=figure.add_subplot())
