"""On which scale a matrix is, by what its values can be.

Counts leave a trace on every scale that treats all genes of a cell alike: undone, the values of a
cell are integers times one number. Each transform is undone in turn, and the one that gives
integers is the one; where none does, values that are not negative, skewed and often exactly 0 are
taken for fractional counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .integers import are_counts, not_integers
from .lattice import INTEGER_FRACTION, MULTIPLES, counts_of, near_integer, shared_total
from .scales import BASES, Kind, Scale

LARGEST_LOG = 40.0
"""No logarithm of a count exceeds this."""

CELLS_INSPECTED = 2000
"""How many cells are looked at when the matrix is large."""

ROWS, DISTINCT = 300, 300
"""Cells, and distinct values of each, from which a transform is told."""

EVIDENCE = 20
"""Least number of different values, beyond those of one count, that must be integers: as many
others would be by chance once in 10**9 matrices."""

EXACT = 3
"""The same where values are integers as they are, to their last digits."""

LARGE_RATIO = {2: 15.0}
"""Largest count, by bytes of a value, that single values still tell apart; 100 by default."""

STRUCTURAL = 0.05
"""Share of the entries that the lowest value must have to stand for genes without counts."""

LEAST_LN, LARGEST_LN = 0.15, 12.0
"""Logarithms of the bases that are looked for."""

ZEROS = 0.1
"""Least share of zeros of fractional counts."""

UNEVEN_ZEROS = 0.1
"""Least standard deviation of the genes' shares of zeros, beyond that of chance: shares differ
between genes, and hardly between other features."""

FEWEST = 10
"""Least number of cells, and of genes, from which fractional counts are told."""

SKEWED, LOG_SKEWED = 0.8, 2.0
"""Least standard deviation of positive values over their mean, linear or undone by exp."""


def find_scale(X: NDArray) -> Scale:
    """Find the scale of a matrix; see `kinds.detect_kind`.

    Parameters
    ----------
    X : ndarray of shape (n_cells, n_genes)
        Finite values.

    Returns
    -------
    Scale
        Without `total` and `steps`, which `kinds.denormalise` measures.
    """
    if X.size == 0:
        return Scale("real")
    if are_counts(X):
        return Scale("counts")
    lowest = float(X.min())
    rows = X[:: max(1, len(X) // CELLS_INSPECTED)]
    if lowest >= 0 and X.max() <= LARGEST_LOG and integer_fraction(rows) >= INTEGER_FRACTION:
        return _nearer(Scale("log1p"), Scale("normalized"), rows)
    zero = lowest_as_zero(rows)
    if zero is None or X.dtype.kind != "f":
        return Scale("real")
    distinct = distinct_values(rows, zero)
    if zero == 0:
        found = counts_by_factor(rows, distinct)
        if found is not None:
            return found
    for scale in candidates(distinct, zero):
        if recovers(scale, distinct, LARGE_RATIO.get(X.dtype.itemsize, 100.0)):
            return scale
    return fractional_scale(rows) if zero == 0 else Scale("real")


def integer_fraction(X: NDArray) -> float:
    """Share of the non-zero entries of log1p values that lead back to integer counts.

    Cells with a single distinct positive value say nothing and are left out.
    """
    counts, _ = counts_of(np.expm1(np.asarray(X, dtype=np.float64)))
    informative = (
        np.ptp(np.where(counts > 0, counts, counts.max(axis=1, keepdims=True)), axis=1) > 0
    )
    counts = counts[informative]
    counts = counts[counts > 0]
    return float(np.mean(near_integer(counts))) if counts.size else 0.0


def lowest_as_zero(X: NDArray) -> float | None:
    """Return the value of genes without counts: 0, or the lowest where it is often met."""
    lowest = float(X.min())
    if lowest >= 0 and (lowest == 0 or np.mean(lowest == X) < STRUCTURAL):
        return 0.0
    return lowest if np.mean(lowest == X) >= STRUCTURAL else None


def distinct_values(X: NDArray, zero: float) -> NDArray[np.float64]:
    """Distinct values above `zero` of some cells, rising, (cells, values), filled up with NaN."""
    found = []
    smallest = float(np.finfo(X.dtype).tiny) if X.dtype.kind == "f" else 0.0  # below, all is a grid
    for row in X[:: max(1, len(X) // ROWS)]:
        values = np.unique(row[row > zero + 1e-6 * (zero != 0)]).astype(np.float64)
        if len(values) > 1 and values[0] - zero > smallest:
            found.append(values[:DISTINCT])
    table = np.full((len(found), max(map(len, found), default=0)), np.nan)
    for i, values in enumerate(found):
        table[i, : len(values)] = values
    return table


def recovers(scale: Scale, distinct: NDArray[np.float64], largest: float = 100.0) -> bool:
    """Whether undoing the scale gives integers, in far more values than by chance."""
    return told(scale, distinct, largest)[0] >= INTEGER_FRACTION


def told(
    scale: Scale, distinct: NDArray[np.float64], largest: float = 100.0
) -> tuple[float, float, NDArray[np.float64]]:
    """Share of integers, their mean distance, and the value of one count in each cell."""
    if not distinct.size:
        return 0.0, np.inf, np.ones(0)
    with np.errstate(over="ignore", invalid="ignore"):
        linear = scale.linear(distinct)
        ratios = linear / linear[:, :1]
        telling = (ratios > 1.5) & (ratios < largest)
    if not _is_enough(linear, telling, scale, largest):
        return 0.0, np.inf, np.ones(len(distinct))
    ratios = np.where(telling, ratios, 1.0)
    multiple = np.ones(len(ratios))
    for candidate in MULTIPLES:
        left = np.flatnonzero(~near_integer(ratios * multiple[:, None]).all(axis=1))
        multiple[left[near_integer(ratios[left] * candidate).all(axis=1)]] = candidate
    counts = (ratios * multiple[:, None])[telling]
    distance = np.abs(counts - np.rint(counts))
    return float(near_integer(counts).mean()), float(distance.mean()), linear[:, 0] / multiple


def _is_enough(
    linear: NDArray[np.float64], telling: NDArray[np.bool_], scale: Scale, largest: float
) -> bool:
    """Whether values are many enough to tell; the same value beside the same least one is one."""
    if telling.sum() < EXACT:
        return False
    least = np.broadcast_to(linear[:, :1], linear.shape)
    pairs = np.stack([least[telling], linear[telling]], axis=1)
    if len(np.unique(pairs, axis=0)) >= EVIDENCE:
        return True
    exact = np.unique(linear[~np.isnan(linear)])
    if largest < 100:  # of half precision
        exact = exact[exact < largest]
        whole = bool(near_integer(exact).all())
    else:
        whole = not bool(not_integers(exact.astype(np.float32)).any())
    return bool(scale.kind != "normalized" and whole and len(np.unique(np.rint(exact))) > EXACT)


def counts_by_factor(X: NDArray, distinct: NDArray[np.float64]) -> Scale | None:
    """Tell counts that were divided, each cell by its own number, from values on one grid.

    Pixels, and values that were rounded, are multiples of one number, the same in all cells.
    """
    share, _, units = told(Scale("normalized"), distinct)
    if share < INTEGER_FRACTION:
        return None
    middle = np.median(units)
    on_one_grid = np.mean(np.abs(units - middle) < 1e-3 * middle) > 0.5
    if not on_one_grid or _total(X) is not None:
        return Scale("normalized")
    return fractional_scale(X, logarithms=False)


def candidates(distinct: NDArray[np.float64], zero: float) -> Iterator[Scale]:
    """Yield scales that values may be on, the usual ones first."""
    if zero == 0:
        yield Scale("sqrt")
    if abs(zero - 1) < 1e-6:
        yield Scale("freeman-tukey", zero=1.0)
    if np.nanmax(distinct, initial=0) > LARGEST_LOG:
        return
    for kind in ("log2", "log10"):
        yield log_scale(BASES[kind], zero)
    yield log_scale(math.e, zero)
    for base in bases(distinct - zero):
        yield log_scale(base, zero)


def log_scale(base: float, zero: float) -> Scale:
    """Return the scale of logarithms to this base; `zero` is that of the pseudo-count."""
    names: dict[float, Kind] = {2.0: "log2", 10.0: "log10"}
    if base == math.e and zero == 0:
        return Scale("log1p")
    return Scale(names.get(base, "log"), base=base, zero=zero)


def bases(distinct: NDArray[np.float64]) -> list[float]:
    """Bases under which the two least values of most cells are one count and two."""
    if not distinct.size:
        return []
    one, two = distinct[:, 0], distinct[:, 1]
    usable = (two < 1.98 * one) & (two > 1.0001 * one)
    if usable.sum() < 5:
        return []
    one, two = one[usable], two[usable]
    low, high = np.full(len(one), LEAST_LN), np.full(len(one), LARGEST_LN)
    for _ in range(60):
        middle = (low + high) / 2
        below = np.expm1(middle * two) < 2 * np.expm1(middle * one)
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    inside = np.sort(low[(low > LEAST_LN * 1.01) & (low < LARGEST_LN * 0.99)])
    if len(inside) < 5:
        return []
    near = np.searchsorted(inside, inside * 1.002, side="right") - np.arange(len(inside))
    first = int(np.argmax(near))
    if near[first] < max(5, 0.2 * len(one)):
        return []
    best = float(np.median(inside[first : first + near[first]]))
    for width in (2e-3, 1e-4, 1e-5):
        tried = best * (1 + width * np.linspace(-1, 1, 21))
        best = float(tried[np.argmin([_distance(ln, distinct) for ln in tried])])
    return [math.exp(best)]


def fractional_scale(X: NDArray, *, logarithms: bool = True) -> Scale:
    """Tell fractional counts, or their logarithms, from other real values."""
    zeros = X == 0
    positive = X[~zeros].astype(np.float64)
    if min(X.shape) < FEWEST or X.min() < 0 or zeros.mean() < ZEROS or not positive.size:
        return Scale("real")
    if not _uneven(zeros.mean(axis=0), len(X)):
        return Scale("real")
    total = _total(X)
    if _spread(positive) > SKEWED and (positive.max() > 1 or total is not None):
        return Scale("fractional")
    if not logarithms or positive.max() > LARGEST_LOG:
        return Scale("real")
    for base in BASES.values():
        scale = Scale("log-fractional", base=base)
        if _total(scale.linear(X)) is not None:  # no other base gives all cells one total
            return scale
    if _spread(np.expm1(positive)) > LOG_SKEWED:
        return Scale("log-fractional")
    return Scale("real")


def has_structural_zeros(X: NDArray) -> bool:
    """Whether most cells have their lowest value in many genes, as transformed zeros are."""
    rows = X[:: max(1, len(X) // CELLS_INSPECTED)]
    lowest = rows == rows.min(axis=1, keepdims=True)
    often = lowest.sum(axis=1) >= max(2, STRUCTURAL * X.shape[1])
    return bool(often.mean() > 0.5 and not np.array_equal(rows, np.rint(rows)))


def _nearer(first: Scale, other: Scale, X: NDArray) -> Scale:
    """Return the other scale if it explains the values clearly better than the first."""
    distinct = distinct_values(X, 0.0)
    if told(other, distinct)[1] < 0.5 * told(first, distinct)[1]:
        return counts_by_factor(X, distinct) or first
    return first


def _uneven(shares: NDArray[np.float64], n_cells: int) -> bool:
    """Whether genes' shares of zeros differ by more than chance."""
    chance = float(np.mean(shares * (1 - shares))) / n_cells
    certain = 1 + 3 * np.sqrt(2 / len(shares))
    return bool(shares.var() > UNEVEN_ZEROS**2 + chance * certain)


def _total(linear: NDArray) -> float | None:
    sums = linear.sum(axis=1, dtype=np.float64)
    return shared_total(sums[sums > 0]) if np.sum(sums > 0) >= 5 else None


def _spread(positive: NDArray) -> float:
    return float(positive.std(dtype=np.float64) / positive.mean(dtype=np.float64))


def _distance(ln: float, distinct: NDArray[np.float64]) -> float:
    with np.errstate(over="ignore", invalid="ignore"):
        linear = np.expm1(ln * distinct)
        ratios = linear / linear[:, :1]
    ratios = ratios[ratios < 15]
    return float(np.abs(ratios - np.rint(ratios)).mean())
