"""One value for each class, figure and set of cells."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import memorisation
from .embedding import N_PCS, fit_pca, joint_pca
from .inputs import drawn
from .intervals import median_interval
from .markers import marker_lfc_agreement
from .pairs import FIGURES, Cells, Judges, Pair

ALL = "all cells"
"""What the table calls cells of every class together."""

MARKERS = {"marker_lfc_correlation": "correlation", "marker_lfc_slope": "slope"}
"""Figures of the markers of each class, and the column that holds them."""

MEMORY = {
    "nearest_neighbour_ratio": 1.0,
    "exact_duplicates": 0.0,
    "near_duplicates": memorisation.NEAR,
}
"""Figures of memorisation, and what they are for cells that are no copies."""

IDEAL = {
    **{name: figure.ideal for name, figure in FIGURES.items()},
    **dict.fromkeys(MARKERS, 1.0),
    **MEMORY,
}
"""What each figure is for a perfect generator and many cells."""

Row = dict[str, Any]
Rows = dict[str, dict[str, NDArray[np.intp]]]


def score(
    sets: dict[str, Cells],
    max_cells: int,
    judges: Judges,
    wanted: Collection[str],
    rng: np.random.Generator,
) -> Iterator[Row]:
    """One value for each class, figure, and set that is compared with the real cells."""
    rows = _draw(sets, max_cells, rng)
    figures = {name: figure for name, figure in FIGURES.items() if name in wanted}
    latent = any(figure.latent for figure in figures.values())
    nowhere = np.empty((0, 1)), np.empty((0, 1))
    for name in ("synthetic", "null"):
        if name not in sets:
            continue
        real, other = sets["real"], sets[name]
        shown = dict.fromkeys(rows, nowhere)
        if latent:
            shown |= _embedded(real, other, rows, name, max_cells, judges.seed)
        for label, part in rows.items():
            a, b = part["real"], part[name]
            pair = Pair(real.take(a), other.take(b), shown[label], judges)
            for figure, how in figures.items():
                found = how.value(pair) if len(a) >= how.min_cells else np.nan
                yield {"class": label, "figure": figure, name: found, "n": len(a)}
        if not MARKERS.keys().isdisjoint(wanted):
            marker_rows = _marker_rows(real, other, name, rows)
            yield from (row for row in marker_rows if row["figure"] in wanted)
        if "training" in sets and not MEMORY.keys().isdisjoint(wanted):
            pca = max_cells, judges.seed
            found_rows = _memory_rows(real, other, sets["training"], name, rows, pca)
            yield from (row for row in found_rows if row["figure"] in wanted)


def _draw(sets: dict[str, Cells], max_cells: int, rng: np.random.Generator) -> Rows:
    """Rows of each set for all cells and for each class, of one number within a class."""
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
        result[label] = {name: index[drawn(len(index), n, rng)] for name, index in rows.items()}
    return result


def _embedded(
    real: Cells, other: Cells, rows: Rows, name: str, max_cells: int, seed: int
) -> dict[str, tuple[NDArray, NDArray]]:
    """Both sides of each class in joint components of all classes, and all cells in their own."""
    result = {}
    result[ALL] = joint_pca(real.log[rows[ALL]["real"]], other.log[rows[ALL][name]], N_PCS, seed)
    present = {label: part for label, part in rows.items() if label != ALL and len(part[name])}
    if present:
        # Cells that the components were not fitted to are drawn inwards, so both sides take part
        # alike: in the same number, class by class.
        a, b = (np.concatenate([p[side] for p in present.values()]) for side in ("real", name))
        fitted = drawn(len(a), max_cells, np.random.default_rng(seed))
        pca = fit_pca(np.concatenate([real.log[a[fitted]], other.log[b[fitted]]]), N_PCS, seed)
        for label, p in present.items():
            result[label] = pca.transform(real.log[p["real"]]), pca.transform(other.log[p[name]])
    return result


def _marker_rows(real: Cells, other: Cells, name: str, rows: Rows) -> Iterator[Row]:
    """Agreement of fold changes, with as many cells of each class on both sides."""
    parts = [part for label, part in rows.items() if label != ALL]
    if real.labels is None or other.labels is None or len(parts) < 2:
        return
    a = real.take(np.concatenate([part["real"] for part in parts]))
    b = other.take(np.concatenate([part[name] for part in parts]))
    y, y_other = np.asarray(a.labels), np.asarray(b.labels)
    table = marker_lfc_agreement(a.log, b.log, y, y_other)
    table.loc[ALL] = table.mean()
    for label, part in rows.items():
        for figure, column in MARKERS.items():
            value = table[column].get(label, np.nan)
            yield {"class": label, "figure": figure, name: value, "n": len(part["real"])}


def _memory_rows(
    real: Cells,
    other: Cells,
    training: Cells,
    name: str,
    rows: Rows,
    pca: tuple[int, int],
) -> Iterator[Row]:
    """How near cells are to those of training, against held-out cells of the same class."""
    z_real, z_other, z_training = memorisation.components(real.log, other.log, training.log, *pca)
    for label, part in rows.items():
        z = z_other[part[name]]
        near_real, near_training = (
            points if label == ALL else points[cells.labels == label]
            for points, cells in ((z_real, real), (z_training, training))
        )
        exact = ratio = near = np.nan
        interval = {}
        if len(z):
            exact = memorisation.exact_of(other.log[part[name]], training.log, z, z_training)
        if len(z) and min(len(near_real), len(near_training)) >= 2:
            ratios = memorisation.ratios_of(near_real, z, near_training)
            ratio = float(np.median(ratios))
            if name == "null":
                ends = median_interval(ratios, len(z), random_state=pca[1])
                interval = dict(zip(("low", "high"), ends, strict=True))
            near = memorisation.near_of(near_real, z, near_training)
        found = {
            "nearest_neighbour_ratio": ratio,
            "exact_duplicates": exact,
            "near_duplicates": near,
        }
        for figure, value in found.items():
            row = {"class": label, "figure": figure, name: value, "n": len(z)}
            yield row | (interval if figure == "nearest_neighbour_ratio" else {})
