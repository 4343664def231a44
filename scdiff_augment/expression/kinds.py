"""Which kind of expression matrix this is; to counts and back.

Single-cell matrices reach a sampler as counts, as counts that were normalised, as logarithms or
roots of either, as fractional counts, or as something else (z-scores, principal components). All
but the last are modelled as counts; the last is modelled as real values.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .detection import (
    LARGEST_LOG,
    bases,
    distinct_values,
    find_scale,
    fractional_scale,
    log_scale,
    lowest_as_zero,
    recovers,
)
from .fractions import Steps, steps_of
from .integers import are_counts, not_integers, rounded
from .lattice import INTEGER_FRACTION, counts_of, near_integer, shared_total
from .scales import BASES, FRACTIONAL, Kind, Scale

LARGEST = 1e15
"""No count, library size or value may exceed this; single precision holds its square."""


@dataclass(frozen=True)
class Expression:
    """A matrix denormalised: what is modelled, and what leads back to the input's scale.

    Attributes
    ----------
    kind : str
        What the input was, one of `scales.KINDS`.
    values : ndarray of shape (n_cells, n_genes), float32
        Counts, or the input itself for "real".
    factor : ndarray of shape (n_cells,), float64, or None
        Linear value of one count in each cell, where counts were multiplied by a number.
    total : float or None
        Sum of linear values that all cells share (10,000 for CP10k over these genes), or None
        where cells differ (genes were selected after normalisation).
    base, zero, steps
        As in `Scale`.
    """

    kind: Kind
    values: NDArray[np.float32]
    factor: NDArray[np.float64] | None = None
    total: float | None = None
    base: float = math.e
    zero: float = 0.0
    steps: Steps | None = None

    @property
    def scale(self) -> Scale:
        """The scale of the input."""
        return Scale(self.kind, self.total, self.base, self.zero, self.steps)


def detect_kind(X: NDArray) -> Kind:
    """Tell what a matrix holds.

    Parameters
    ----------
    X : ndarray of shape (n_cells, n_genes)
        Finite values.

    Returns
    -------
    str
        "counts" for non-negative integers, but for the rounding noise of earlier arithmetic.
        "normalized", "log1p", "log2", "log10", "log" (another base or pseudo-count), "sqrt" or
        "freeman-tukey" where undoing them and dividing a cell by its smallest positive value gives
        integers for at least 99 % of the entries. "fractional" for other non-negative values that
        are skewed, with zeros whose share differs between genes, and "log-fractional" where that
        holds of what their logarithms are of. "real" for anything else.
    """
    return find_scale(X).kind


def denormalise(X: ArrayLike, expression: str | Scale = "auto") -> Expression:
    """Split a matrix into what is modelled and what leads back to its scale.

    Parameters
    ----------
    X : array-like of shape (n_cells, n_genes)
        Any finite, dense matrix.
    expression : str or Scale, default="auto"
        The kind, one of `scales.KINDS`, "auto" to find it as `detect_kind` does, or a scale that is
        known from other cells.

    Returns
    -------
    Expression

    Raises
    ------
    ValueError
        If the values contradict the kind that was named.

    Examples
    --------
    >>> import numpy as np
    >>> counts = np.array([[1, 0, 3], [2, 2, 1]])
    >>> X = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)
    >>> parts = denormalise(X)
    >>> parts.kind, parts.values.tolist(), round(parts.total)
    ('log1p', [[1.0, 0.0, 3.0], [2.0, 2.0, 1.0]], 10000)
    """
    X = np.asarray(X)
    _require_moderate(X)
    scale = scale_of(X, expression)
    if scale.kind == "real":
        return Expression("real", np.ascontiguousarray(X, dtype=np.float32))
    if scale.kind == "counts":
        _require_non_negative(X, scale, below=1e-6)
        _require_integers(X)
        return Expression("counts", rounded(X))
    _require_non_negative(X, scale)
    if _exceeds(X, scale):
        raise ValueError(
            f"expression='{scale.kind}' needs logarithms, and none of a count exceeds "
            f"{LARGEST_LOG / math.log(scale.base):.3g}, but the largest value is {X.max():g}. Pass "
            f"expression='auto' to find what the matrix holds."
        )
    if scale.kind in FRACTIONAL:
        return _fractional(X, scale)
    try:
        return _recovered(X, scale)
    except ValueError:
        if expression != "auto" or scale.kind == "log1p":
            raise
        return denormalise(X, fractional_scale(X))  # other cells than those looked at differ


def scale_of(X: NDArray, expression: str | Scale = "auto") -> Scale:
    """Return the scale that is named; what the name leaves open is found in the matrix."""
    if isinstance(expression, Scale):
        return expression
    if expression == "auto":
        return find_scale(X)
    if expression in ("log2", "log10", "log"):
        return _log_of(X, expression)
    if expression == "log-fractional":
        found = fractional_scale(X)
        return found if found.kind == expression else Scale("log-fractional")
    kind: Kind = expression  # type: ignore[assignment]
    return Scale(kind, zero=1.0 if kind == "freeman-tukey" else 0.0)


def scale_like(X: NDArray, known: Scale) -> Scale:
    """Scale of further cells for a model of cells on a known one.

    A model of counts reads counts on any scale that leads back to them.
    """
    if known.kind == "real" or known.kind in FRACTIONAL:
        return known
    if known.kind not in ("counts", "log1p") and not are_counts(X) and fits(X, known):
        return known
    found = find_scale(X)
    return known if found.kind in ("real", *FRACTIONAL) else found


def described(X: NDArray) -> str:
    """Say in words what a matrix holds, by some of its cells."""
    scale = find_scale(X)
    if scale.kind in ("counts", "real"):
        return scale.describe()
    with np.errstate(over="ignore"):
        linear = scale.linear(X)
    sums = linear.sum(axis=1)
    return replace(scale, total=shared_total(sums[sums > 0])).describe()


def normalise(
    values: NDArray,
    kind: Kind | Scale,
    *,
    total: float | None = None,
    factor: NDArray | None = None,
    rng: np.random.Generator | None = None,
) -> NDArray[np.float32]:
    """Bring new counts or values to the scale of the real cells.

    Parameters
    ----------
    values : ndarray of shape (n_cells, n_genes)
        New counts, or new values where `kind` is "real".
    kind : str or Scale
        What the real cells were; their scale, where a word does not say all of it.
    total : float, optional
        The sum of linear values that all real cells share, if they do.
    factor : ndarray of shape (n_cells,), optional
        Without a shared total: the linear value of one count in each new cell.
    rng : numpy.random.Generator, optional
        Draws the fractions of fractional counts.

    Returns
    -------
    ndarray of shape (n_cells, n_genes), float32
        A cell without any count stays one.
    """
    scale = kind if isinstance(kind, Scale) else replace(scale_of(values, kind), total=total)
    return scale.normalise(values, factor, rng)


def depth_normalised(counts: NDArray, target: float = 1e4) -> NDArray[np.float32]:
    """log1p of counts scaled to `target` per cell: what encoders read."""
    totals = np.maximum(counts.sum(axis=1, dtype=np.float64), 1.0)
    values = np.asarray(counts, dtype=np.float32) * (target / totals).astype(np.float32)[:, None]
    return np.log1p(values, out=values)


def log_values(X: NDArray, scale: Scale | None = None) -> NDArray:
    """log1p values of any matrix, where it leads to some: log1p and real values are left alone."""
    scale = find_scale(X) if scale is None else scale
    if scale.kind in ("log1p", "real"):
        return X
    if scale.kind == "counts":
        return depth_normalised(X)
    linear = scale.linear(X)
    totals = linear.sum(axis=1)
    share = 1e4 / np.where(totals > 0, totals, 1.0)
    return np.log1p(linear * share[:, None]).astype(np.float32)


def _log_of(X: NDArray, kind: str) -> Scale:
    """Find base and pseudo-count of logarithms."""
    zero = lowest_as_zero(X)
    if zero is None:
        raise ValueError(
            f"expression='{kind}' needs logarithms of counts plus one constant, which genes "
            f"without counts all have, but the lowest value, {X.min():g}, is met in "
            f"{np.mean(X.min() == X):.1%} of the entries only. Use expression='real' for scaled, "
            f"corrected or imputed values, or pass the counts."
        )
    if kind in BASES:
        return log_scale(BASES[kind], zero)
    distinct = distinct_values(X, zero)
    for base in (math.e, 2.0, 10.0, *bases(distinct - zero)):
        scale = replace(log_scale(base, zero), kind="log")
        if X.max() <= LARGEST_LOG and recovers(scale, distinct):
            return scale
    raise ValueError(
        "expression='log' needs logarithms of counts, but undoing them gives integers under no "
        "base. Name the base with expression='log2' or 'log10', use expression='log-fractional' "
        "for corrected or estimated counts, expression='real' for other values, or pass the counts."
    )


def fits(X: NDArray, scale: Scale) -> bool:
    """Whether undoing a scale of counts gives integers."""
    if X.size == 0 or X.min() < scale.zero - 1e-6 or _exceeds(X, scale):
        return False
    ratios, _ = counts_of(scale.linear(X))
    near = (near_integer(ratios) | _within_precision(ratios, X, scale))[ratios > 0]
    return bool(near.size and near.mean() >= INTEGER_FRACTION)


def _exceeds(X: NDArray, scale: Scale) -> bool:
    """Whether values are larger than logarithms of counts can be."""
    largest = float(X.max(initial=0)) - scale.zero
    return scale.is_log and largest * math.log(scale.base) > LARGEST_LOG


def _within_precision(ratios: NDArray, X: NDArray, scale: Scale) -> NDArray[np.bool_]:
    """Which counts are as near to integers as values of this type can say."""
    if X.dtype.kind != "f":
        return np.zeros(ratios.shape, dtype=bool)
    relative = float(np.finfo(X.dtype).eps)
    if scale.is_log:
        relative *= max(1.0, float(np.abs(X).max(initial=0)) * math.log(scale.base))
    return np.abs(ratios - np.rint(ratios)) < 2 * relative * ratios


def _recovered(X: NDArray, scale: Scale) -> Expression:
    """Undo a scale on which counts can be recovered."""
    ratios, factor = counts_of(scale.linear(X))
    counts = np.rint(ratios)
    positive = ratios > 0
    near = (near_integer(ratios) | _within_precision(ratios, X, scale))[positive]
    if near.size and near.mean() < INTEGER_FRACTION:
        raise ValueError(
            f"expression='{scale.kind}' needs {_NEEDED.get(scale.kind, 'logarithms')} of "
            f"depth-normalised counts: undoing it must give "
            f"integers for at least {INTEGER_FRACTION:.0%} of the non-zero entries, but it does "
            f"for {near.mean():.1%}. Use expression='real' for scaled, corrected or imputed "
            f"values, or pass the counts."
        )
    totals = (counts * factor[:, None]).sum(axis=1)
    total = shared_total(totals[positive.any(axis=1)])
    return Expression(scale.kind, counts.astype(np.float32), factor, total, scale.base, scale.zero)


def _fractional(X: NDArray, scale: Scale) -> Expression:
    """Count fractional values in steps."""
    linear = scale.linear(X)
    steps, total = scale.steps, scale.total
    if steps is None:
        steps = steps_of(linear)
        sums = linear.sum(axis=1)
        total = shared_total(sums[sums > 0])
    return Expression(scale.kind, steps.counts(linear), None, total, scale.base, scale.zero, steps)


_NEEDED = {"log1p": "log1p", "normalized": "multiples", "sqrt": "square roots"}


def _require_moderate(X: NDArray) -> None:
    largest = float(np.abs(X).max(initial=0))
    if largest > LARGEST:
        cell, gene = np.unravel_index(int(np.argmax(np.abs(X))), X.shape)
        raise ValueError(
            f"values must not exceed {LARGEST:g}, but cell {cell} has {X[cell, gene]:g} in column "
            f"{gene}. Scale the matrix, or drop that cell or gene."
        )


def _require_non_negative(X: NDArray, scale: Scale, below: float = 0.0) -> None:
    if X.size and X.min() < min(scale.zero, 0.0) - below - (1e-6 if scale.zero else 0.0):
        cell, gene = np.unravel_index(int(np.argmin(X)), X.shape)
        raise ValueError(
            f"expression='{scale.kind}' needs non-negative values, but cell {cell} has "
            f"{X[cell, gene]:g} in column {gene} ({np.mean(X < 0):.1%} of all entries are "
            f"negative). Use expression='real' for scaled or centred values, or pass the counts."
        )


def _require_integers(X: NDArray) -> None:
    wrong = not_integers(X)
    if wrong.any():
        cell, gene = np.argwhere(wrong)[0]
        raise ValueError(
            f"expression='counts' needs integers, but cell {cell} has {X[cell, gene]:g} in column "
            f"{gene}. Use expression='log1p' for log-normalised counts, expression='fractional' "
            f"for corrected or estimated counts, expression='real' for other values, or 'auto'."
        )
