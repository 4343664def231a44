"""Which kind of expression matrix this is; to counts and back.

Single-cell matrices reach a sampler as counts, as log1p of depth-normalised counts, or as
something else (z-scores, principal components). The first two hold the same information, so
both are modelled as counts; the third is modelled as real values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Kind = Literal["counts", "log1p", "real"]

INTEGER_TOLERANCE = 0.05
"""How far from an integer a recovered count may lie."""

INTEGER_FRACTION = 0.99
"""The share of non-zero entries that must be near-integer for counts to be recovered."""

LARGEST_LOG = 40.0
"""No log1p of a count exceeds this."""

LARGEST = 1e15
"""No count, library size or value may exceed this; single precision holds its square."""

CELLS_INSPECTED = 2000
"""How many cells `detect_kind` looks at when the matrix is large."""


@dataclass(frozen=True)
class Scale:
    """The scale of a matrix, to which new cells are brought.

    Attributes
    ----------
    kind : {"counts", "log1p", "real"}
        What the matrix holds.
    total : float or None
        For "log1p": the sum of expm1 that all cells share, if they do.
    """

    kind: Kind
    total: float | None = None

    def normalise(self, values: NDArray, factor: NDArray | None = None) -> NDArray[np.float32]:
        """Bring new counts or values to this scale; see `normalise`."""
        return normalise(values, self.kind, total=self.total, factor=factor)

    def factor_of(self, values: NDArray, factor: NDArray | None = None) -> NDArray[np.float64]:
        """By what `normalise` multiplies the counts of each cell before log1p, (n_cells,).

        1 where this is no log1p scale, NaN where it has no counts.
        """
        if self.kind != "log1p":
            return np.full(len(values), 1.0 if self.kind == "counts" else np.nan)
        if self.total is not None:
            return self.total / np.maximum(values.sum(axis=1, dtype=np.float64), 1.0)
        if factor is None:
            raise ValueError("log1p values need `total` or `factor` to be normalised.")
        return np.asarray(factor, dtype=np.float64)


@dataclass(frozen=True)
class Expression:
    """A matrix denormalised: what is modelled, and what leads back to the input's scale.

    Attributes
    ----------
    kind : {"counts", "log1p", "real"}
        What the input was.
    values : ndarray of shape (n_cells, n_genes), float32
        Counts for "counts" and "log1p", the input itself for "real".
    factor : ndarray of shape (n_cells,), float64, or None
        For "log1p": the number by which a cell's counts were multiplied before log1p.
    total : float or None
        For "log1p": the sum of expm1 that all cells share (10,000 for CP10k over these
        genes), or None where cells differ (genes were selected after normalisation).
    """

    kind: Kind
    values: NDArray[np.float32]
    factor: NDArray[np.float64] | None = None
    total: float | None = None

    @property
    def scale(self) -> Scale:
        """The scale of the input."""
        return Scale(self.kind, self.total)


def detect_kind(X: NDArray) -> Kind:
    """Tell counts, log1p of counts, and other real matrices apart.

    Parameters
    ----------
    X : ndarray of shape (n_cells, n_genes)
        Finite values.

    Returns
    -------
    {"counts", "log1p", "real"}
        "counts" for non-negative integers; "log1p" where `expm1` of a cell divided by its
        smallest positive value is near-integer for at least 99 % of the non-zero entries;
        "real" for anything else.
    """
    if X.size == 0 or X.min() < 0:
        return "real"
    if np.array_equal(X, np.rint(X)):
        return "counts"
    if X.max() > LARGEST_LOG:
        return "real"
    rows = X[:: max(1, len(X) // CELLS_INSPECTED)]
    return "log1p" if integer_fraction(rows) >= INTEGER_FRACTION else "real"


def integer_fraction(X: NDArray) -> float:
    """Share of the non-zero entries of log1p values that lead back to integer counts.

    Cells with a single distinct positive value say nothing and are left out.
    """
    counts, _ = _unlog(X)
    informative = (
        np.ptp(np.where(counts > 0, counts, counts.max(axis=1, keepdims=True)), axis=1) > 0
    )
    counts = counts[informative]
    counts = counts[counts > 0]
    return float(np.mean(_near_integer(counts))) if counts.size else 0.0


def denormalise(X: ArrayLike, expression: str = "auto") -> Expression:
    """Split a matrix into what is modelled and what leads back to its scale.

    Parameters
    ----------
    X : array-like of shape (n_cells, n_genes)
        Counts, log1p of depth-normalised counts, or any real matrix; dense and finite.
    expression : {"auto", "counts", "log1p", "real"}, default="auto"
        The kind, or "auto" to find it with `detect_kind`.

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
    kind: Kind = detect_kind(X) if expression == "auto" else expression  # type: ignore[assignment]
    if kind == "real":
        return Expression("real", np.ascontiguousarray(X, dtype=np.float32))
    _require_non_negative(X, kind)
    if kind == "counts":
        _require_integers(X)
        return Expression("counts", np.ascontiguousarray(X, dtype=np.float32))
    return _from_log1p(X)


def normalise(
    values: NDArray,
    kind: Kind,
    *,
    total: float | None = None,
    factor: NDArray | None = None,
) -> NDArray[np.float32]:
    """Bring new counts or values to the scale of the real cells.

    Parameters
    ----------
    values : ndarray of shape (n_cells, n_genes)
        New counts, or new values where `kind` is "real".
    kind : {"counts", "log1p", "real"}
        What the real cells were.
    total : float, optional
        For "log1p": the sum of expm1 that all real cells share, if they do.
    factor : ndarray of shape (n_cells,), optional
        For "log1p" without a shared total: the scale of each new cell.

    Returns
    -------
    ndarray of shape (n_cells, n_genes), float32
        A cell without any count stays a cell of zeros.
    """
    if kind != "log1p":
        return values.astype(np.float32, copy=False)
    factor = Scale(kind, total).factor_of(values, factor)
    scaled = values * factor.astype(np.float32)[:, None]
    return np.log1p(scaled, out=scaled)


def depth_normalised(counts: NDArray, target: float = 1e4) -> NDArray[np.float32]:
    """log1p of counts scaled to `target` per cell: what encoders read."""
    totals = np.maximum(counts.sum(axis=1, dtype=np.float64), 1.0)
    values = np.asarray(counts, dtype=np.float32) * (target / totals).astype(np.float32)[:, None]
    return np.log1p(values, out=values)


def _unlog(X: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Candidate counts of each row, not yet rounded, and the value of one count.

    A cell's smallest positive value is taken for one count; where that gives no integers, for two
    to five counts, whichever comes first.
    """
    linear = np.expm1(np.asarray(X, dtype=np.float64))
    smallest = np.min(linear, axis=1, where=linear > 0, initial=np.inf)
    smallest[~np.isfinite(smallest)] = 1.0  # cells of zeros
    ratios = linear / smallest[:, None]
    multiple = np.ones(len(X))
    for candidate in range(2, 6):
        open_rows = np.flatnonzero(~_near_integer(ratios * multiple[:, None]).all(axis=1))
        fits = _near_integer(ratios[open_rows] * candidate).all(axis=1)
        multiple[open_rows[fits]] = candidate
    return ratios * multiple[:, None], smallest / multiple


def _near_integer(values: NDArray) -> NDArray[np.bool_]:
    return np.abs(values - np.rint(values)) < INTEGER_TOLERANCE


def _from_log1p(X: NDArray) -> Expression:
    ratios, factor = _unlog(X)
    counts = np.rint(ratios)
    positive = ratios > 0
    near = _near_integer(ratios)[positive]
    if near.size and near.mean() < INTEGER_FRACTION:
        raise ValueError(
            f"expression='log1p' needs log1p of depth-normalised counts: undoing it must give "
            f"integers for at least {INTEGER_FRACTION:.0%} of the non-zero entries, but it does "
            f"for {near.mean():.1%}. Use expression='real' for scaled, corrected or imputed "
            f"values, or pass the counts."
        )
    totals = (counts * factor[:, None]).sum(axis=1)
    totals = totals[positive.any(axis=1)]
    shared = totals.size > 0 and np.ptp(totals) < 1e-2 * totals.mean()
    return Expression(
        "log1p",
        counts.astype(np.float32),
        factor,
        float(np.median(totals)) if shared else None,
    )


def _require_moderate(X: NDArray) -> None:
    largest = float(np.abs(X).max(initial=0))
    if largest > LARGEST:
        cell, gene = np.unravel_index(int(np.argmax(np.abs(X))), X.shape)
        raise ValueError(
            f"values must not exceed {LARGEST:g}, but cell {cell} has {X[cell, gene]:g} in column "
            f"{gene}. Scale the matrix, or drop that cell or gene."
        )


def _require_non_negative(X: NDArray, kind: str) -> None:
    if X.size and X.min() < 0:
        cell, gene = np.unravel_index(int(np.argmin(X)), X.shape)
        raise ValueError(
            f"expression='{kind}' needs non-negative values, but cell {cell} has {X[cell, gene]:g} "
            f"in column {gene} ({np.mean(X < 0):.1%} of all entries are negative). Use "
            f"expression='real' for scaled or centred values, or pass the counts."
        )


def _require_integers(X: NDArray) -> None:
    whole = np.rint(X)
    if not np.array_equal(X, whole):
        cell, gene = np.argwhere(whole != X)[0]
        raise ValueError(
            f"expression='counts' needs integers, but cell {cell} has {X[cell, gene]:g} in column "
            f"{gene}. Use expression='log1p' for log-normalised counts, expression='real' for "
            f"other values, or 'auto'."
        )
