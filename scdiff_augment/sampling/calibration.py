"""Guidance scales with which new cells are what they were asked to be as often as real ones.

With scale 1 a class is reproduced as far as the latent holds it, and what the latent loses of a
class is missing: classifiers take new cells for other classes too often, and the more so the more
conditions are asked for at once. How much scale makes up for it depends on data and class, so it is
found from the training cells. Judges learn to tell the classes in one half of them; then new cells
are drawn at a few scales, and the scale is read off at which the judges are right as often as on
the training cells themselves. Both halves count there, the one that a judge has learnt from too:
new cells go back to both as well.

Each class gets a scale of its own, shrunken towards that of all cells by as much as its cells leave
open.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.pipeline import Pipeline, make_pipeline

from scdiff_augment.expression.kinds import depth_normalised
from scdiff_augment.streaming.block_sizes import as_dense

from .requests import GUIDANCE

Codes = Mapping[str, NDArray[np.int64]]
Scales = dict[str, NDArray[np.float32]]
"""Of each class, by condition."""

Draw = Callable[[Codes, Scales], NDArray[np.float32]]
"""Draws a cell for each row of the codes: counts or real values."""

SCALES = np.array([1.0, 1.5, 2.25, 3.375])
"""Scales that cells are drawn at; those between are interpolated."""

AROUND = np.array([0.75, 1.0, 4 / 3])
"""Multiples of what was found, drawn at in a second round where conditions act on each other."""

FEWEST = 400
"""Training cells below which accuracies are too uncertain to choose a scale by."""

MOST = 4000
"""Training cells that judges see at most."""

NEW = 2000
"""Cells drawn at each scale."""

GENES = 4096
"""Genes that judges see at most, those of most counts."""

COMPONENTS = 100
"""Principal components in which judges tell classes apart."""

SPREAD = 0.5
"""Standard deviation of a class's log scale around that of all cells, and of that around the usual
one, before cells are seen."""

LEAST = 5
"""Cells of a class, real and new ones, that say something about its own scale."""


def guidance_scales(
    values: Any, codes: Codes, n_classes: Mapping[str, int], draw: Draw, *, counts: bool
) -> Scales | None:
    """Find the scales of conditions that act together.

    Parameters
    ----------
    values : ndarray or csr_matrix of shape (n_cells, n_genes)
        Training cells: counts, or real values.
    codes : mapping of str to ndarray of shape (n_cells,)
        Their classes, by condition.
    n_classes : mapping of str to int
        How many classes each condition has.
    draw : callable
        ``draw(codes, scales)`` gives new cells.
    counts : bool
        Whether cells are counts, which judges see depth-normalised, as logarithms.

    Returns
    -------
    dict of str to ndarray of shape (n_classes,), or None
        Scale of each class, at least 1; None where there are too few cells to tell.
    """
    n_cells = len(next(iter(codes.values())))
    if n_cells < FEWEST:
        return None
    rng = np.random.default_rng(0)
    rows = np.sort(rng.permutation(n_cells)[:MOST])
    genes = _most_counts(values, counts=counts)
    real = _features(as_dense(values[rows]), genes, counts=counts)
    known = {name: some[rows] for name, some in codes.items()}
    judges = _judges(real, known, rng)
    picked = np.resize(rng.permutation(len(rows)), NEW)
    asked = {name: some[picked] for name, some in known.items()}
    found = {name: np.ones(k, dtype=np.float32) for name, k in n_classes.items()}
    for multiples in rounds(len(codes)):
        right = {name: np.empty((len(multiples), NEW)) for name in codes}
        for i, multiple in enumerate(multiples):
            new = draw(asked, {k: scales * np.float32(multiple) for k, scales in found.items()})
            new = _features(new, genes, counts=counts)
            for name, both in judges.items():
                right[name][i] = _called(both, new, asked[name])
        found = {
            name: _by_class(
                _called(both, real, known[name]),
                known[name],
                right[name],
                asked[name],
                found[name][:, None] * multiples,
            )
            for name, both in judges.items()
        }
    return found


def rounds(n_conditions: int) -> list[NDArray[np.float64]]:
    """Return multiples of the scales at hand that cells are drawn at, round by round."""
    return [SCALES] if n_conditions == 1 else [SCALES, AROUND]


def _most_counts(values: Any, *, counts: bool) -> NDArray[np.intp] | slice:
    if not counts or values.shape[1] <= GENES:
        return slice(None)
    totals = np.asarray(values.sum(axis=0)).ravel()
    return np.sort(np.argsort(-totals, kind="stable")[:GENES])


def _features(
    values: NDArray[np.float32], genes: NDArray[np.intp] | slice, *, counts: bool
) -> NDArray[np.float32]:
    return depth_normalised(values)[:, genes] if counts else values[:, genes]


def _judges(
    real: NDArray[np.float32], codes: Codes, rng: np.random.Generator
) -> dict[str, list[Pipeline]]:
    """Learn each condition's classes twice, from one half of the cells and from the other."""
    half = rng.permutation(len(real)) % 2 == 0
    found: dict[str, list[Pipeline]] = {name: [] for name in codes}
    for side in (half, ~half):
        components = PCA(min(COMPONENTS, real.shape[1], side.sum() - 1), random_state=0)
        z = components.fit_transform(real[side])
        for name, some in codes.items():
            if len(np.unique(some[side])) > 1:
                judge = LinearDiscriminantAnalysis("lsqr", shrinkage="auto").fit(z, some[side])
                found[name].append(make_pipeline(components, judge))
    return found


def _called(judges: list[Pipeline], cells: NDArray, codes: NDArray[np.int64]) -> NDArray:
    """Say how many of the judges are right about each cell, as a share."""
    if not judges:  # a condition of one class, which every cell has
        return np.ones(len(cells))
    return np.mean([judge.predict(cells) == codes for judge in judges], axis=0)


def _by_class(
    real: NDArray,
    real_codes: NDArray[np.int64],
    new: NDArray,
    new_codes: NDArray[np.int64],
    scales: NDArray,
) -> NDArray[np.float32]:
    """Find each class's scale from how often new cells are called right.

    `new` is (rounds, cells), and `scales`, which they were drawn at, (n_classes, rounds).
    """
    shared = _read_off(real, new, np.exp(np.log(scales[new_codes]).mean(axis=0)), GUIDANCE)
    found = np.full(len(scales), shared, dtype=np.float32)
    for k, own in enumerate(scales):
        ours, theirs = real[real_codes == k], new[:, new_codes == k]
        if min(len(ours), theirs.shape[1]) >= LEAST:
            found[k] = _read_off(ours, theirs, own, shared)
    return found


def _read_off(real: NDArray, new: NDArray, scales: NDArray, usual: float) -> float:
    """Return the most likely scale: a normal prior around the usual one, on a log scale."""
    grid = np.geomspace(max(1.0, scales[0]), max(1.0, scales[-1]), 100)
    rate = (real.sum() + 1) / (len(real) + 2)
    noise = rate * (1 - rate) * (1 / len(real) + 1 / new.shape[1])
    rising = np.maximum.accumulate(new.mean(axis=1))  # a larger scale never lowers it
    curve = np.interp(np.log(grid), np.log(scales), rising)
    misfit = (curve - real.mean()) ** 2 / noise + (np.log(grid / usual) / SPREAD) ** 2
    return float(grid[np.argmin(misfit)])
