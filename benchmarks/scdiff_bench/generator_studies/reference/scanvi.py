"""scANVI as the classifier that it is; needs scvi-tools, ``pip install 'scdiff-augment[scvi]'``."""

from __future__ import annotations

from typing import Any

import anndata as ad
import numpy as np
from numpy.typing import NDArray
from scdiff_bench.classifiers.scanvi import UNKNOWN, counted, trained
from scdiff_bench.generator_studies.reference.folds import Fold
from scdiff_bench.seeding import SCVI_TRAINING, scvi_seeded

EPOCHS, LABEL_EPOCHS, QUERY_EPOCHS = 200, 20, 100
"""Passes over the cells: of scVI, of scANVI after it, and of the query after both."""


def scanvi_calls(fold: Fold, seed: int, *, surgery: bool) -> NDArray[Any]:
    """Return the types that scANVI gives the test cells, (test cells,).

    Parameters
    ----------
    fold : Fold
        Training and test cells.
    seed : int
        Of all that scvi-tools draws.
    surgery : bool
        Train on the reference alone, then adapt to the target batch with the labels of its training
        cells and the test cells without labels; otherwise train once on all training cells.

    References
    ----------
    Xu et al. 2021, Probabilistic harmonization and annotation of single-cell transcriptomics data
    with deep generative models, Molecular Systems Biology 17; Lotfollahi et al. 2022, Mapping
    single-cell data to reference atlases by transfer learning, Nature Biotechnology 40.
    """
    batches = np.full(len(fold.test_X), fold.into)
    unknown = np.full(len(fold.test_X), UNKNOWN)
    with scvi_seeded(seed):
        if not surgery:
            model = _trained(counted(fold.X, fold.y, fold.batch))
            return np.asarray(model.predict(counted(fold.test_X, unknown, batches)))
        there = ~fold.inside
        model = _trained(counted(fold.X[there], fold.y[there], fold.batch[there]))
        own, here = fold.X[fold.inside], fold.y[fold.inside]
        labels = np.append(np.where(np.isin(here, fold.y[there]), here, UNKNOWN), unknown)
        query = counted(
            np.vstack([own, fold.test_X]), labels, np.append(fold.batch[fold.inside], batches)
        )
        adapted = type(model).load_query_data(query, model)
        adapted.train(max_epochs=QUERY_EPOCHS, plan_kwargs={"weight_decay": 0.0}, **SCVI_TRAINING)
        return np.asarray(adapted.predict(query))[len(own) :]


def _trained(cells: ad.AnnData) -> Any:
    # Layer normalisation and covariates in the encoder are what query surgery needs (Lotfollahi).
    surgery = {"use_layer_norm": "both", "use_batch_norm": "none", "encode_covariates": True}
    return trained(cells, EPOCHS, LABEL_EPOCHS, **surgery)
