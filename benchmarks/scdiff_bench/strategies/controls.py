"""Controls: held-out real cells (positive), and synthetic cells with shuffled labels (negative)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scdiff_bench.strategies.resamplers import missing_cells


@dataclass
class Oracle:
    """Positive control: add real cells that the split has held out, as many as exist.

    Attributes
    ----------
    sampling_strategy, random_state
        As in imbalanced-learn; a class never gets more cells than this asks for.
    reserve : tuple of ndarray or None
        Values and labels of the cells held out for it; neither training nor test cells.
    note_ : str
        Where fewer cells exist than were asked for.
    """

    sampling_strategy: Any
    random_state: int
    reserve: tuple[Any, Any] | None = None
    note_: str = field(default="", init=False)

    def fit_resample(self, X: Any, y: Any) -> tuple[Any, Any]:
        """Append real cells.

        Parameters
        ----------
        X : ndarray, shape (cells, genes)
            Training cells.
        y : ndarray, shape (cells,)
            Labels.

        Returns
        -------
        tuple
            Cells and labels, the originals first.
        """
        X_more, y_more = (X[:0], y[:0]) if self.reserve is None else self.reserve
        rng = np.random.default_rng(self.random_state)
        rows, short = [], []
        for name, wanted in missing_cells(self.sampling_strategy, y).items():
            there = rng.permutation(np.flatnonzero(y_more == name))[:wanted]
            rows.append(there)
            if len(there) < wanted:
                short.append(f"{name} {len(there)}/{wanted}")
        if short:
            self.note_ = f"real cells there / asked for: {', '.join(short)}"
        chosen = np.concatenate([np.empty(0, dtype=int), *rows])
        return np.concatenate([X, X_more[chosen]]), np.concatenate([y, y_more[chosen]])


@dataclass
class ShuffledLabels:
    """Negative control: a generator's cells with their labels shuffled among them.

    Attributes
    ----------
    sampler : object
        The generator, with ``fit_resample``.
    random_state : int
        Seed of the shuffling.
    """

    sampler: Any
    random_state: int

    @property
    def note_(self) -> str:
        """The generator's own note."""
        return str(getattr(self.sampler, "note_", ""))

    def fit_resample(self, X: Any, y: Any) -> tuple[Any, Any]:
        """Resample, then shuffle the new labels.

        Parameters
        ----------
        X : ndarray, shape (cells, genes)
            Training cells.
        y : ndarray, shape (cells,)
            Labels.

        Returns
        -------
        tuple
            Cells and labels, the originals first and as they were.

        Raises
        ------
        ValueError
            If one class alone was oversampled, so that shuffling changes nothing.
        """
        X_new, y_new = self.sampler.fit_resample(X, y)
        made = y_new[len(y) :]
        if len(made) and len(np.unique(made)) == 1:
            raise ValueError(
                f"Only class {str(made[0])!r} was oversampled; shuffling the labels of one class "
                "changes nothing. Oversample at least two classes, or leave 'null' out."
            )
        shuffled = np.random.default_rng(self.random_state).permutation(made)
        return X_new, np.concatenate([y_new[: len(y)], shuffled])
