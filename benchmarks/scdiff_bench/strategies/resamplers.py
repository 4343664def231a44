"""Neighbour-based oversamplers that adapt to classes of few cells and say so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from imblearn.over_sampling import SMOTE
from imblearn.utils import check_sampling_strategy
from sklearn.decomposition import PCA


def _smote(sampling_strategy: Any, random_state: int, k: int) -> Any:
    return SMOTE(sampling_strategy=sampling_strategy, random_state=random_state, k_neighbors=k)


def missing_cells(sampling_strategy: Any, y: Any) -> dict[Any, int]:
    """Return how many cells each class to oversample is short of.

    Parameters
    ----------
    sampling_strategy : str, dict or callable
        As in imbalanced-learn.
    y : array, shape (cells,)
        Labels.

    Returns
    -------
    dict
        Class to number of cells, only where that is above 0.
    """
    found = check_sampling_strategy(sampling_strategy, y, "over-sampling")
    return {name: int(count) for name, count in found.items() if count > 0}


@dataclass
class SmallClass:
    """A neighbour-based sampler with ``k_neighbors`` lowered to what the smallest class allows.

    Attributes
    ----------
    sampling_strategy, random_state, k_neighbors
        As in `imblearn.over_sampling.SMOTE`.
    make : callable
        ``make(sampling_strategy, random_state, k) -> sampler``; SMOTE by default.
    title : str
        Name in messages.
    note_ : str
        What was lowered, empty if nothing was.
    """

    sampling_strategy: Any
    random_state: int
    k_neighbors: int = 5
    make: Callable[[Any, int, int], Any] = _smote
    title: str = "SMOTE"
    note_: str = field(default="", init=False)

    def fit_resample(self, X: Any, y: Any) -> tuple[Any, Any]:
        """Resample.

        Parameters
        ----------
        X : ndarray, shape (cells, genes)
            Cells.
        y : ndarray, shape (cells,)
            Labels.

        Returns
        -------
        tuple
            Cells and labels, the originals first.

        Raises
        ------
        ValueError
            If a class to oversample has 1 cell, so that there is nothing to interpolate.
        """
        self.note_ = ""
        return self._resample(X, y, self._neighbours(y))

    def _neighbours(self, y: Any) -> int:
        """Return ``k_neighbors``, lowered to the smallest class to oversample."""
        counts = Counter(np.asarray(y).tolist())
        targets = missing_cells(self.sampling_strategy, y)
        small = min(targets, key=lambda c: counts[c], default=None)
        if small is None or counts[small] > self.k_neighbors:
            return self.k_neighbors
        k = counts[small] - 1
        if k < 1:
            raise ValueError(
                f"Class {str(small)!r} has 1 cell; {self.title} interpolates and needs at least "
                "2. Leave the class out of sampling_strategy."
            )
        self._say(
            f"k_neighbors lowered from {self.k_neighbors} to {k}: "
            f"class {str(small)!r} has {counts[small]} cells"
        )
        return k

    def _resample(self, X: Any, y: Any, k: int) -> tuple[Any, Any]:
        return self.make(self.sampling_strategy, self.random_state, k).fit_resample(X, y)

    def _say(self, text: str) -> None:
        self.note_ = "; ".join(filter(None, [self.note_, text]))


@dataclass
class BorderCases(SmallClass):
    """A sampler that looks at the border between classes, with SMOTE for classes without one.

    BorderlineSMOTE silently makes no cell of a class none of whose cells lies among another
    class, and ADASYN raises. Either would leave the class short of what the other strategies
    get, so that class alone gets SMOTE's cells, and the note names it.
    """

    def _resample(self, X: Any, y: Any, k: int) -> tuple[Any, Any]:
        counts = Counter(np.asarray(y).tolist())
        parts, labels, without = [X], [y], []
        for name, short in missing_cells(self.sampling_strategy, y).items():
            goal = {name: counts[name] + short}
            try:
                found, called = self.make(goal, self.random_state, k).fit_resample(X, y)
            except (ValueError, RuntimeError):
                found, called = X, y
            if len(found) == len(X):
                without.append(str(name))
                found, called = _smote(goal, self.random_state, k).fit_resample(X, y)
            parts.append(found[len(X) :])
            labels.append(called[len(X) :])
        if without:
            self._say(f"{self.title} found no border, SMOTE instead, for {', '.join(without)}")
        return np.concatenate(parts), np.concatenate(labels)


@dataclass
class LatentSMOTE(SmallClass):
    """SMOTE between principal components of the training cells; new cells are projected back.

    Attributes
    ----------
    n_components : int
        Components, at most.
    """

    n_components: int = 50

    def _resample(self, X: Any, y: Any, k: int) -> tuple[Any, Any]:
        components = min(self.n_components, X.shape[0] - 1, X.shape[1])
        pca = PCA(components, random_state=self.random_state).fit(X)
        Z, labels = super()._resample(pca.transform(X), y, k)
        new = np.maximum(pca.inverse_transform(Z[len(X) :]), 0)  # expression is not negative
        return np.concatenate([X, new.astype(X.dtype)]), labels


@dataclass
class Named:
    """Hands a sampler its cells with gene names, by which a pretrained generator finds its genes.

    Attributes
    ----------
    sampler : object
        With ``fit_resample``.
    genes : ndarray of str
        Names of the columns.
    """

    sampler: Any
    genes: Any

    def fit_resample(self, X: Any, y: Any) -> tuple[Any, Any]:
        """Resample.

        Parameters
        ----------
        X : ndarray, shape (cells, genes)
            Cells.
        y : ndarray, shape (cells,)
            Labels.

        Returns
        -------
        tuple
            Cells and labels, the originals first.
        """
        found, labels = self.sampler.fit_resample(pd.DataFrame(X, columns=self.genes), y)
        return found.to_numpy(), np.asarray(labels)


@dataclass(frozen=True)
class Share:
    """A sampling strategy that gives classes a share of the cells they are short of.

    Attributes
    ----------
    base : str or dict
        Which classes are oversampled and to what size, as in imbalanced-learn.
    share : float
        1 is ``base`` itself; 0.5 half as many new cells; 2 twice as many.
    """

    base: Any
    share: float

    def __call__(self, y: Any) -> dict[Any, int]:
        """Return the final number of cells of each class to oversample.

        Parameters
        ----------
        y : array, shape (cells,)
            Labels.

        Returns
        -------
        dict
            As imbalanced-learn wants it.
        """
        counts = Counter(np.asarray(y).tolist())
        short = missing_cells(self.base, y)
        return {name: counts[name] + round(self.share * n) for name, n in short.items()}
