"""One value per class, metric and set of cells that is compared with the real cells."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import memorisation
from .checks import subsample
from .embedding import N_PCS, fit_pca, joint_pca
from .intervals import median_interval
from .markers import marker_lfc_agreement
from .pairwise import METRICS, CellSet, ForestOptions, Pair

ALL = "all cells"
"""Name, in the table's column "class", of the cells of all classes together."""

MARKERS = {"marker_lfc_correlation": "correlation", "marker_lfc_slope": "slope"}
"""Metrics of marker genes, and the column of `marker_lfc_agreement` that holds each."""

MEMORISATION = {
    "nearest_neighbour_ratio": 1.0,
    "exact_duplicates": 0.0,
    "near_duplicates": memorisation.NEAR,
}
"""Metrics of memorisation, and their values for cells that copy no training cell."""

IDEAL = {
    **{name: metric.ideal for name, metric in METRICS.items()},
    **dict.fromkeys(MARKERS, 1.0),
    **MEMORISATION,
}
"""Value of each metric for a perfect generator and many cells."""

Row = dict[str, Any]

Rows = dict[str, dict[str, NDArray[np.intp]]]
"""For each class, the row numbers of its cells in each set."""


def score(
    sets: dict[str, CellSet],
    max_cells: int,
    forest_options: ForestOptions,
    wanted: Collection[str],
    rng: np.random.Generator,
) -> Iterator[Row]:
    """Yield one row per class, metric, and set ("synthetic", "null") compared with "real"."""
    rows = _draw(sets, max_cells, rng)
    metrics = {name: metric for name, metric in METRICS.items() if name in wanted}
    latent = any(metric.latent for metric in metrics.values())
    no_points = np.empty((0, 1)), np.empty((0, 1))
    for name in ("synthetic", "null"):
        if name not in sets:
            continue
        real, other = sets["real"], sets[name]
        embedded = dict.fromkeys(rows, no_points)
        if latent:
            embedded |= _embedded(real, other, rows, name, max_cells, forest_options.seed)
        for label, part in rows.items():
            a, b = part["real"], part[name]
            pair = Pair(real.take(a), other.take(b), embedded[label], forest_options)
            for metric, how in metrics.items():
                value = how.value(pair) if len(a) >= how.min_cells else np.nan
                yield {"class": label, "figure": metric, name: value, "n": len(a)}
        if not MARKERS.keys().isdisjoint(wanted):
            marker_rows = _marker_rows(real, other, name, rows)
            yield from (row for row in marker_rows if row["figure"] in wanted)
        if "training" in sets and not MEMORISATION.keys().isdisjoint(wanted):
            pca = max_cells, forest_options.seed
            found_rows = _memorisation_rows(real, other, sets["training"], name, rows, pca)
            yield from (row for row in found_rows if row["figure"] in wanted)


def _draw(sets: dict[str, CellSet], max_cells: int, rng: np.random.Generator) -> Rows:
    """Sample rows of each set, for all cells and for each class: equally many within a class."""
    compared = {name: cells for name, cells in sets.items() if name != "training"}
    members = {ALL: {name: np.arange(len(cells)) for name, cells in compared.items()}}
    classes = sets["real"].labels
    if classes is not None:
        for label in np.unique(classes):
            members[str(label)] = {
                name: np.flatnonzero(cells.labels == label) for name, cells in compared.items()
            }
    result = {}
    for label, rows in members.items():
        n = min(max_cells, *map(len, rows.values()))
        result[label] = {name: index[subsample(len(index), n, rng)] for name, index in rows.items()}
    return result


def _embedded(
    real: CellSet, other: CellSet, rows: Rows, name: str, max_cells: int, seed: int
) -> dict[str, tuple[NDArray, NDArray]]:
    """Both sets in joint principal components: all cells in their own, classes in shared ones."""
    result = {}
    result[ALL] = joint_pca(real.log[rows[ALL]["real"]], other.log[rows[ALL][name]], N_PCS, seed)
    present = {label: part for label, part in rows.items() if label != ALL and len(part[name])}
    if present:
        # Cells left out of the fit are projected towards the centre, so both sets enter it in
        # equal numbers, class by class.
        a, b = (np.concatenate([p[side] for p in present.values()]) for side in ("real", name))
        fitted = subsample(len(a), max_cells, np.random.default_rng(seed))
        pca = fit_pca(np.concatenate([real.log[a[fitted]], other.log[b[fitted]]]), N_PCS, seed)
        for label, p in present.items():
            result[label] = pca.transform(real.log[p["real"]]), pca.transform(other.log[p[name]])
    return result


def _marker_rows(real: CellSet, other: CellSet, name: str, rows: Rows) -> Iterator[Row]:
    """Agreement of log fold changes, with equally many cells of each class in both sets."""
    parts = [part for label, part in rows.items() if label != ALL]
    if real.labels is None or other.labels is None or len(parts) < 2:
        return
    a = real.take(np.concatenate([part["real"] for part in parts]))
    b = other.take(np.concatenate([part[name] for part in parts]))
    y, y_other = np.asarray(a.labels), np.asarray(b.labels)
    table = marker_lfc_agreement(a.log, b.log, y, y_other).astype(float)
    table.loc[ALL] = table.mean()
    for label, part in rows.items():
        for metric, column in MARKERS.items():
            value = table[column].get(label, np.nan)
            yield {"class": label, "figure": metric, name: value, "n": len(part["real"])}


def _memorisation_rows(
    real: CellSet,
    other: CellSet,
    training: CellSet,
    name: str,
    rows: Rows,
    pca: tuple[int, int],
) -> Iterator[Row]:
    """Distances to training cells, relative to held-out cells of the same class."""
    z_real, z_other, z_training = memorisation.joint_components(
        real.log, other.log, training.log, *pca
    )
    for label, part in rows.items():
        z = z_other[part[name]]
        near_real, near_training = (
            points if label == ALL else points[cells.labels == label]
            for points, cells in ((z_real, real), (z_training, training))
        )
        exact = ratio = near = np.nan
        interval = {}
        if len(z):
            exact = memorisation.exact_duplicates_of(
                other.log[part[name]], training.log, z, z_training
            )
        if len(z) and min(len(near_real), len(near_training)) >= 2:
            ratios = memorisation.ratios_of(near_real, z, near_training)
            ratio = float(np.median(ratios))
            if name == "null":
                ends = median_interval(ratios, len(z), random_state=pca[1])
                interval = dict(zip(("low", "high"), ends, strict=True))
            near = memorisation.near_duplicates_of(near_real, z, near_training)
        found = {
            "nearest_neighbour_ratio": ratio,
            "exact_duplicates": exact,
            "near_duplicates": near,
        }
        for metric, value in found.items():
            row = {"class": label, "figure": metric, name: value, "n": len(z)}
            yield row | (interval if metric == "nearest_neighbour_ratio" else {})
