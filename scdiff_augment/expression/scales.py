"""Scales of expression matrices: from values to linear ones, and from new counts to values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from .fractions import Steps

Kind = Literal[
    "counts",
    "normalized",
    "log1p",
    "log2",
    "log10",
    "log",
    "sqrt",
    "freeman-tukey",
    "fractional",
    "log-fractional",
    "real",
]

KINDS: tuple[str, ...] = get_args(Kind)
"""What a matrix may hold, in the words of `expression`."""

LOGARITHMS = ("log1p", "log2", "log10", "log", "log-fractional")
FRACTIONAL = ("fractional", "log-fractional")
FROM_START = ("counts", "log1p", "real")
"""Kinds that models of format 4 know."""

BASES = {"log1p": math.e, "log2": 2.0, "log10": 10.0}
"""Bases by kind, where the kind says it."""


@dataclass(frozen=True)
class Scale:
    """The scale of a matrix, to which new cells are brought.

    Attributes
    ----------
    kind : str
        What the matrix holds, one of `KINDS`.
    total : float or None
        Sum of linear values that all cells share, if they do: 10,000 for CP10k over these genes.
    base : float
        Of the logarithm, where there is one.
    zero : float
        The value that a gene without counts has: 0, or the logarithm of the pseudo-count.
    steps : Steps or None
        Of fractional values.
    """

    kind: Kind
    total: float | None = None
    base: float = math.e
    zero: float = 0.0
    steps: Steps | None = None

    @property
    def is_log(self) -> bool:
        """Whether values are logarithms."""
        return self.kind in LOGARITHMS

    @property
    def keeps_zeros(self) -> bool:
        """Whether a gene without counts has the value 0."""
        return self.zero == 0

    @property
    def pseudo_count(self) -> float:
        """What was added before the logarithm."""
        return float(self.base**self.zero)

    def linear(self, X: NDArray) -> NDArray[np.float64]:
        """Undo logarithm or root: values proportional to a cell's counts."""
        values = np.asarray(X, dtype=np.float64)
        if self.kind == "sqrt":
            return values * values
        if self.kind == "freeman-tukey":
            root = (values - 1 / np.maximum(values, 1e-300)) / 2
            return np.where(values > 1 + 1e-6, root * root, 0)
        if not self.is_log:
            return values
        if self.base == math.e and self.zero == 0:
            return np.expm1(values)
        found = np.expm1((values - self.zero) * math.log(self.base)) * self.pseudo_count
        return found if self.zero == 0 else np.where(values > self.zero + 1e-6, found, 0)

    def of_linear(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logarithm or root of linear values, which are overwritten."""
        if self.kind == "sqrt":
            return np.sqrt(values, out=values)
        if self.kind == "freeman-tukey":
            return np.sqrt(values) + np.sqrt(values + np.float32(1))
        if not self.is_log:
            return values
        if self.zero != 0:
            values /= np.float32(self.pseudo_count)
        found = np.log1p(values, out=values)
        if self.base != math.e:
            found /= np.float32(math.log(self.base))
        return found if self.zero == 0 else found + np.float32(self.zero)

    def normalise(
        self,
        values: NDArray,
        factor: NDArray | None = None,
        rng: np.random.Generator | None = None,
    ) -> NDArray[np.float32]:
        """Bring new counts or values to this scale.

        Parameters
        ----------
        values : ndarray of shape (n_cells, n_genes)
            New counts, or new values where the kind is "real".
        factor : ndarray of shape (n_cells,), optional
            Linear value of one count in each new cell, where cells share no total.
        rng : numpy.random.Generator, optional
            Draws the fractions of fractional values; without one they are means.

        Returns
        -------
        ndarray of shape (n_cells, n_genes), float32
            A cell without any count stays one.
        """
        if self.kind in ("counts", "real"):
            return values.astype(np.float32, copy=False)
        if self.steps is not None:
            scaled = self.steps.values(values, None, rng)
            if self.total is not None:
                scaled *= self._share_of_total(scaled)[:, None]
            return self.of_linear(scaled)
        scaled = values * self.factor_of(values, factor).astype(np.float32)[:, None]
        return self.of_linear(scaled)

    def factor_of(self, values: NDArray, factor: NDArray | None = None) -> NDArray[np.float64]:
        """By what `normalise` multiplies the counts of each cell, (n_cells,).

        1 for counts, NaN where values are no multiples of counts.
        """
        if self.kind in ("counts", "real", *FRACTIONAL):
            return np.full(len(values), 1.0 if self.kind == "counts" else np.nan)
        if self.total is not None:
            return self.total / np.maximum(values.sum(axis=1, dtype=np.float64), 1.0)
        if factor is None:
            raise ValueError(f"{self.kind} values need `total` or `factor` to be normalised.")
        return np.asarray(factor, dtype=np.float64)

    def normalise_sparse(
        self,
        counts: Any,
        factor: NDArray | None = None,
        rng: np.random.Generator | None = None,
    ) -> Any:
        """Bring counts in CSR to this scale; dense where zeros do not stay 0."""
        if self.kind in ("counts", "real"):
            return counts
        if not self.keeps_zeros:
            return self.normalise(counts.toarray(), factor, rng)
        scaled = counts.copy()
        if self.steps is not None:
            scaled.data = self.steps.values(counts.data, counts.indices, rng)
            if self.total is not None:
                share = self._share_of_total(scaled)
                scaled.data *= np.repeat(share, np.diff(counts.indptr))
        else:
            if self.total is not None:
                sums = np.asarray(counts.sum(axis=1, dtype=np.float64)).ravel()
                factor = self.total / np.maximum(sums, 1.0)
            scale = np.repeat(np.asarray(factor, dtype=np.float32), np.diff(counts.indptr))
            scaled.data = counts.data * scale
        scaled.data = self.of_linear(scaled.data)
        return scaled

    def describe(self) -> str:
        """Say in words what the matrix holds."""
        if self.kind == "counts":
            return "counts"
        if self.kind == "real":
            return "real values"
        what = "fractional counts" if self.kind in FRACTIONAL else "counts"
        if self.total is not None:
            total = f"{self.total:,.0f}" if self.total >= 100 else f"{self.total:.4g}"
            what = f"{what} normalised to {total} a cell"
        elif self.kind not in FRACTIONAL:
            what = f"{what} times a factor of each cell"
        if self.kind == "sqrt":
            return f"square roots of {what}"
        if self.kind == "freeman-tukey":
            return f"Freeman–Tukey values of {what}"
        if not self.is_log:
            return what
        name = {math.e: "log", 2.0: "log2", 10.0: "log10"}.get(self.base, f"log{self.base:.6g}")
        return f"{name}(x + {self.pseudo_count:.3g}) of {what}"

    def to_state(self) -> dict[str, Any]:
        """Return what storage keeps."""
        state: dict[str, Any] = {"kind": self.kind, "total": self.total}
        if self.kind in FROM_START:
            return state
        state |= {"base": self.base, "zero": self.zero}
        if self.steps is not None:
            state["steps"] = {
                "sizes": self.steps.sizes.tolist(),
                "shares": self.steps.shares.tolist(),
            }
        return state

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Build the scale that `to_state` described."""
        steps = state.get("steps")
        if steps is not None:
            steps = Steps(np.asarray(steps["sizes"]), np.asarray(steps["shares"]))
        return cls(
            state["kind"],
            state["total"],
            state.get("base", math.e),
            state.get("zero", 0.0),
            steps,
        )

    def _share_of_total(self, linear: Any) -> NDArray[np.float32]:
        sums = np.asarray(linear.sum(axis=1, dtype=np.float64)).ravel()
        return (self.total / np.where(sums > 0, sums, 1.0)).astype(np.float32)
