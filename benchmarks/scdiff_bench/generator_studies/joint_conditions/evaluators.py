"""Judges: classifiers of real cells that the generator never saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scdiff_bench.classifiers.catalogue import build_classifier

Labels = Mapping[str, NDArray[np.str_]]


@dataclass(frozen=True)
class Judge:
    """One classifier for each annotation, all of one kind.

    Attributes
    ----------
    name : str
        A name in ``CLASSIFIERS``.
    models : dict of str to classifier
        Fitted, by annotation.
    """

    name: str
    models: dict[str, Any]

    def right(self, X: NDArray[np.float32], wanted: Labels) -> dict[str, NDArray[np.bool_]]:
        """Say which cells are called what they shall be.

        Parameters
        ----------
        X : ndarray, shape (cells, genes)
            Real or generated cells.
        wanted : mapping of str to ndarray
            What each cell shall be, by annotation.

        Returns
        -------
        dict of str to ndarray of bool, shape (cells,)
            By annotation, and ``"jointly"``: all of them at once.
        """
        hits = {name: model.predict(X) == wanted[name] for name, model in self.models.items()}
        return hits | {"jointly": np.logical_and.reduce(list(hits.values()))}


def train_judge(
    name: str, X: NDArray[np.float32], labels: Labels, genes: Sequence[str], seed: int
) -> Judge:
    """Fit an evaluator.

    Parameters
    ----------
    name : str
        A name in ``CLASSIFIERS``.
    X : ndarray, shape (cells, genes)
        Real cells, of which the generator has seen none.
    labels : mapping of str to ndarray
        What they are, by annotation.
    genes : sequence of str
        Gene names.
    seed : int
        Of the classifiers.

    Returns
    -------
    Judge
        Fitted without class weights.
    """
    models = {}
    for annotation, y in labels.items():
        model, _ = build_classifier(name, False, seed, genes)
        models[annotation] = model.fit(X, y)
    return Judge(name, models)
