"""What can be done with cells of other batches: training cells for classifiers, or an embedding.

A strategy gives a `Training`: cells and labels in gene space, or coordinates in which test cells
lie, too; or it calls the types of the test cells itself. Those that look at the test cells say so.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import anndata as ad
import harmonypy
import numpy as np
import pandas as pd
import scanpy as sc
from numpy.typing import NDArray
from scdiff_bench.generator_studies.reference.folds import Fold
from scdiff_bench.generator_studies.reference.scanvi import scanvi_calls
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from scdiff_augment import DiffusionOversampler, RareTypes

COMPONENTS = 50
"""Principal components that Harmony corrects."""

NEIGHBOURS = 15
"""Training cells of the target batch whose correction a test cell gets."""


@dataclass(frozen=True)
class Training:
    """What classifiers are trained and tested on.

    Attributes
    ----------
    X, y : ndarray
        Training cells and their types.
    test_X : ndarray
        Test cells in the same coordinates.
    embedded : bool
        Whether these are coordinates of an embedding and not genes.
    made : ndarray or None
        Cells of the rare type as of the target batch, where the strategy makes some.
    weighted : bool
        Whether classifiers weight their classes.
    calls : ndarray of shape (test cells,) or None
        Types that a strategy which is a classifier of its own gives the test cells.
    """

    X: NDArray[Any]
    y: NDArray[np.str_]
    test_X: NDArray[Any]
    embedded: bool = False
    made: NDArray[np.float32] | None = None
    weighted: bool = False
    calls: NDArray[Any] | None = None


@dataclass(frozen=True)
class Entry:
    """A strategy and how it is shown.

    Attributes
    ----------
    title : str
    build : callable
        ``build(fold, seed, sampler) -> Training``.
    sees_test : bool
        Whether it looks at the test cells.
    control : bool
        Whether it needs cells that nobody has.
    needs : str
        Package that it needs, of the extra of the same name.
    """

    title: str
    build: Callable[[Fold, int, dict[str, Any]], Training]
    sees_test: bool = False
    control: bool = False
    needs: str = ""


def target_only(fold: Fold, seed: int, sampler: dict[str, Any]) -> Training:
    """Train on the target batch alone."""
    return Training(fold.X[fold.inside], fold.y[fold.inside], fold.test_X)


def target_augmented(fold: Fold, seed: int, sampler: dict[str, Any]) -> Training:
    """Train on the target batch and new cells learnt from it."""
    own = DiffusionOversampler(random_state=seed, **sampler)
    X, y = own.fit_resample(fold.X[fold.inside], fold.y[fold.inside])
    new = X[fold.inside.sum() :]
    return Training(X, y, fold.test_X, made=new[y[fold.inside.sum() :] == fold.rare])


def pooled(fold: Fold, seed: int, sampler: dict[str, Any]) -> Training:
    """Train on all cells as they are."""
    return Training(fold.X, fold.y, fold.test_X, made=fold.pooled)


def pooled_weights(fold: Fold, seed: int, sampler: dict[str, Any]) -> Training:
    """Train on all cells, types weighted equally."""
    return Training(fold.X, fold.y, fold.test_X, weighted=True)


def mean_shift(fold: Fold, seed: int, sampler: dict[str, Any]) -> Training:
    """Move the reference by the mean change of the types that both have, the rare one left out."""
    changes = []
    for label in np.unique(fold.y):
        here, there = (
            fold.X[(fold.y == label) & (fold.inside == where)] for where in (True, False)
        )
        if label != fold.rare and len(here) and len(there):
            changes.append(here.mean(axis=0) - there.mean(axis=0))
    X = fold.X.copy()
    X[~fold.inside] = np.maximum(X[~fold.inside] + np.mean(changes, axis=0), 0)
    return Training(X, fold.y, fold.test_X, made=X[(fold.y == fold.rare) & ~fold.inside])


def combat(fold: Fold, seed: int, sampler: dict[str, Any]) -> Training:
    """Remove batches from the training cells; test cells as those of the target batch.

    ComBat maps each gene of a batch linearly, so two of its training cells tell how test cells go.
    """
    names = [str(i) for i in range(len(fold.X))]
    obs = pd.DataFrame({"batch": pd.Categorical(fold.batch)}, index=names)
    cells = ad.AnnData(fold.X.astype(np.float64), obs)
    with open(os.devnull, "w") as quiet, contextlib.redirect_stdout(quiet):
        after = sc.pp.combat(cells, key="batch", inplace=False)
    before, moved = fold.X[fold.inside].astype(np.float64), after[fold.inside]
    spread = before.var(axis=0)
    slope = np.where(
        spread > 0,
        ((before - before.mean(axis=0)) * (moved - moved.mean(axis=0))).mean(axis=0)
        / np.maximum(spread, 1e-12),
        1.0,
    )
    test = (fold.test_X - before.mean(axis=0)) * slope + moved.mean(axis=0)
    made = after[(fold.y == fold.rare) & ~fold.inside]  # brought back to the target batch
    made = (made - moved.mean(axis=0)) / np.where(slope > 0, slope, 1) + before.mean(axis=0)
    return Training(after, fold.y, test, made=np.maximum(made, 0).astype(np.float32))


def harmony(fold: Fold, seed: int, sampler: dict[str, Any]) -> Training:
    """Integrate training and test cells."""
    pca = PCA(COMPONENTS, random_state=seed).fit(fold.X)
    z = pca.transform(np.vstack([fold.X, fold.test_X]))
    batch = np.append(fold.batch, np.full(len(fold.test_X), fold.into))
    corrected = _harmonised(z, batch, seed)
    n = len(fold.X)
    return Training(corrected[:n], fold.y, corrected[n:], embedded=True)


def harmony_mapped(fold: Fold, seed: int, sampler: dict[str, Any]) -> Training:
    """Integrate training cells; test cells move as their neighbours in the target batch did."""
    pca = PCA(COMPONENTS, random_state=seed).fit(fold.X)
    z, test = pca.transform(fold.X), pca.transform(fold.test_X)
    corrected = _harmonised(z, fold.batch, seed)
    own = z[fold.inside]
    near = NearestNeighbors(n_neighbors=min(NEIGHBOURS, len(own))).fit(own)
    rows = near.kneighbors(test, return_distance=False)
    moved = (corrected[fold.inside] - own)[rows].mean(axis=1)
    return Training(corrected, fold.y, test + moved, embedded=True)


def _harmonised(z: NDArray, batch: NDArray, seed: int) -> NDArray[np.float64]:
    found = harmonypy.run_harmony(
        z, pd.DataFrame({"batch": batch}), ["batch"], random_state=seed, verbose=False
    )
    return np.asarray(found.Z_corr, dtype=np.float64).reshape(z.shape)


def borrowed(fold: Fold, seed: int, sampler: dict[str, Any]) -> Training:
    """Train on all cells and new ones of the target batch, every class filled."""
    ours = DiffusionOversampler(into=fold.into, random_state=seed, **sampler)
    X, y = ours.fit_resample(fold.X, fold.y, batch=fold.batch)
    new = X[len(fold.X) :]
    return Training(X, y, fold.test_X, made=new[y[len(fold.X) :] == fold.rare])


def borrowed_alone(fold: Fold, seed: int, sampler: dict[str, Any]) -> Training:
    """Train on all cells and new ones of the type alone, up to the target batch's largest."""
    largest = int(np.unique(fold.y[fold.inside], return_counts=True)[1].max())
    return borrowed(fold, seed, {**sampler, "sampling_strategy": {fold.rare: largest}})


def borrowed_to_median(fold: Fold, seed: int, sampler: dict[str, Any]) -> Training:
    """Train on all cells and new ones of classes below the target batch's median class size."""
    return borrowed(fold, seed, {**sampler, "sampling_strategy": RareTypes(below=1.0)})


def scanvi(fold: Fold, seed: int, sampler: dict[str, Any]) -> Training:
    """Train scANVI on all cells with their batches; it calls the test cells."""
    return Training(fold.X, fold.y, fold.test_X, calls=scanvi_calls(fold, seed, surgery=False))


def scanvi_query(fold: Fold, seed: int, sampler: dict[str, Any]) -> Training:
    """Train scANVI on the reference, then on the target batch and the unlabelled test cells."""
    return Training(fold.X, fold.y, fold.test_X, calls=scanvi_calls(fold, seed, surgery=True))


def oracle(fold: Fold, seed: int, sampler: dict[str, Any]) -> Training:
    """Train on all cells and on those of the type that the target batch was deprived of."""
    y = np.append(fold.y, np.full(len(fold.held_X), fold.rare))
    return Training(np.vstack([fold.X, fold.held_X]), y, fold.test_X, made=fold.held_X)


STRATEGIES = {
    "target_only": Entry("target batch alone", target_only),
    "target_augmented": Entry("target batch alone, augmented", target_augmented),
    "pooled": Entry("pooled", pooled),
    "pooled_weights": Entry("pooled, class weights", pooled_weights),
    "combat": Entry("ComBat", combat),
    "mean_shift": Entry("pooled, reference moved by mean change", mean_shift),
    "harmony_mapped": Entry("Harmony, test cells mapped", harmony_mapped),
    "harmony": Entry("Harmony (sees test cells)", harmony, sees_test=True),
    "borrowed": Entry("pooled + cells borrowed into the target", borrowed),
    "borrowed_alone": Entry("the same, of the type alone", borrowed_alone),
    "borrowed_to_median": Entry("the same, classes below the median", borrowed_to_median),
    "scanvi": Entry("scANVI, trained once", scanvi, needs="scvi"),
    "scanvi_query": Entry(
        "scANVI, query surgery (sees test cells)", scanvi_query, sees_test=True, needs="scvi"
    ),
    "oracle": Entry("oracle", oracle, control=True),
}
"""In the order of tables."""
