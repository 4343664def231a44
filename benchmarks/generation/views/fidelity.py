"""What the study of fidelity shows."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import anndata as ad
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from benchmarks.generation.parts import Arrays, Finding, Picture, Table, means
from scdiff_augment import plotting

KEYS = ["dataset", "variant"]
PUBLISHED = (
    "Published for scDiffusion, against its own training cells: SCC .984, MMD .018 (headline); "
    "random forest AUC .67 to .89"
)
NOTES = [
    "The generator learns from the first part of the cells and never sees the other two. Its "
    "cells are scored against the second part; the third, real cells in their place and number, "
    "gives the null beside each figure.",
    "Cells of the figures over all cells are drawn without conditions, in the proportions of "
    "training; figures by class take cells that were asked for by class, as many as the second "
    "part has.",
    "Forest AUC depends on the number of trees, and MMD on the number of cells: only figures of "
    "one study can be compared. Published figures are scored against training cells.",
    "The map is made of real and synthetic cells together.",
]
TARGETS = {
    "forest_auc_pca": ("at most .60", lambda v, null: v <= 0.60),
    "forest_auc_genes": ("at most .60", lambda v, null: v <= 0.60),
    "mmd": ("at most .010", lambda v, null: v <= 0.010),
    "scc": ("at least the null minus .002", lambda v, null: v >= null - 0.002),
    "zero_fraction_difference": ("within .005", lambda v, null: abs(v) <= 0.005),
    "coverage": ("at least .9 of the null", lambda v, null: v >= 0.9 * null),
}


def verdict(rows: pd.DataFrame) -> list[Finding]:
    """Each figure that has a target, for the first variant, by data set."""
    free = _over_all(rows)
    if free.empty:
        return []
    first = free["variant"].iloc[0]
    found = []
    for figure, (target, good) in TARGETS.items():
        part = free[(free["figure"] == figure) & (free["variant"] == first)]
        if part.empty:
            continue
        mean = part.groupby("dataset", sort=False)[["synthetic", "null"]].mean()
        text = "; ".join(
            f"{name} {row['synthetic']:.3f} (real cells {row['null']:.3f})"
            for name, row in mean.iterrows()
        )
        met = all(good(row["synthetic"], row["null"]) for _, row in mean.iterrows())
        found.append(Finding(_title(figure), f"{text}.", f"{target}.", "met" if met else "missed"))
    found.append(Finding("Beside the published system", f"{PUBLISHED}."))
    return found


def tables(rows: pd.DataFrame) -> list[Table]:
    """Figures over all cells by variant, and by class for the first variant."""
    free = _over_all(rows)
    shown = [
        Table(
            _title(name),
            means(part, ["dataset", "variant"], ["synthetic", "null"]).assign(
                difference=lambda f: f["synthetic"] - f["null"]
            ),
            ["dataset", "variant"],
            {"runs": "draws", "null": "real cells"},
            {"synthetic": 4, "null": 4, "difference": 4},
        )
        for name, part in free.groupby("figure", sort=False)
    ]
    named = rows[(rows["conditions"] == "label") & (rows["variant"] == rows["variant"].iloc[0])]
    if len(named):
        shown.append(
            Table(
                "By class",
                means(named, ["dataset", "class", "figure"], ["synthetic", "null"]),
                ["dataset", "class", "figure"],
                {"runs": "draws", "null": "real cells"},
                caption="The first variant; figures that need more cells than a class has are "
                "left out.",
            )
        )
    return shown


def pictures(rows: pd.DataFrame, arrays: Mapping[str, Arrays]) -> list[Picture]:
    """Draw maps, markers, moments and telling genes of the first draw of each data set."""
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
                f"{dataset}: the same map, class by class.",
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


def _over_all(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[(rows["conditions"] == "none") & (rows["class"] == "all cells")]


def _title(figure: str) -> str:
    return figure.replace("_", " ")


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
