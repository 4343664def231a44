"""scANVI as the classifier that it is; needs scvi-tools, ``pip install 'scdiff-augment[scvi]'``."""

from __future__ import annotations

from typing import Any

import anndata as ad
import numpy as np
from scdiff_bench.seeding import SCVI_TRAINING, scvi_seeded
from sklearn.base import BaseEstimator, ClassifierMixin

from scdiff_augment.expression.kinds import denormalise

UNKNOWN = "unknown"
"""Label of cells whose type is to be found."""


class ScanviClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """scVI's latent space, and scANVI's classifier on it, trained on counts.

    Parameters
    ----------
    epochs : int, default=200
        Passes over the cells for scVI.
    label_epochs : int, default=20
        Further passes for scANVI.
    n_latent : int, default=10
        Dimensions of the latent space.
    random_state : int, default=0
        Seed.

    Attributes
    ----------
    classes_ : ndarray
        Labels.
    model_ : scvi.model.SCANVI
        Fitted on the training cells.

    References
    ----------
    Xu et al. (2021), Probabilistic harmonization and annotation of single-cell transcriptomics data
    with deep generative models, Molecular Systems Biology 17.
    """

    def __init__(
        self,
        *,
        epochs: int = 200,
        label_epochs: int = 20,
        n_latent: int = 10,
        random_state: int = 0,
    ) -> None:
        self.epochs = epochs
        self.label_epochs = label_epochs
        self.n_latent = n_latent
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> ScanviClassifier:
        """Fit.

        Parameters
        ----------
        X : ndarray, shape (cells, genes)
            Training cells: counts, or log1p of depth-normalised counts.
        y : ndarray, shape (cells,)
            Labels.

        Returns
        -------
        ScanviClassifier
            Itself.

        Raises
        ------
        ValueError
            If counts cannot be recovered from X.
        """
        cells = counted(X, np.asarray(y).astype(str))
        with scvi_seeded(self.random_state):
            self.model_ = trained(cells, self.epochs, self.label_epochs, n_latent=self.n_latent)
        self.classes_ = np.unique(y)
        return self

    def predict(self, X: Any) -> Any:
        """Return the class with the largest probability.

        Parameters
        ----------
        X : ndarray, shape (cells, genes)
            Cells.

        Returns
        -------
        ndarray, shape (cells,)
            Labels.
        """
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def predict_proba(self, X: Any) -> Any:
        """Return the probability of each class.

        Parameters
        ----------
        X : ndarray, shape (cells, genes)
            Cells.

        Returns
        -------
        ndarray, shape (cells, classes)
            Probabilities.
        """
        with scvi_seeded(self.random_state):
            found = self.model_.predict(counted(X, np.full(len(X), UNKNOWN)), soft=True)
        return found[self.classes_.astype(str)].to_numpy(dtype=np.float64)


def counted(X: Any, labels: Any, batches: Any = None) -> ad.AnnData:
    """Return counts with labels, and batches, as scvi-tools takes them."""
    parts = denormalise(X)
    if parts.kind == "real":
        raise ValueError(
            "scANVI models counts, and counts cannot be recovered from X. Give the benchmark a "
            "layer with counts, or leave scanvi out."
        )
    found = ad.AnnData(parts.values)
    found.obs["label"] = labels.astype(str)
    if batches is not None:
        found.obs["batch"] = batches.astype(str)
    return found


def trained(cells: ad.AnnData, epochs: int, label_epochs: int, **parameters: Any) -> Any:
    """Train scVI, with parameters of its own, then scANVI; batches are told apart if there are."""
    from scvi.model import SCANVI, SCVI

    batch_key = "batch" if "batch" in cells.obs else None
    SCVI.setup_anndata(cells, batch_key=batch_key, labels_key="label")
    model = SCVI(cells, gene_likelihood="nb", **parameters)
    model.train(max_epochs=epochs, **SCVI_TRAINING)
    labelled = SCANVI.from_scvi_model(model, unlabeled_category=UNKNOWN, labels_key="label")
    labelled.train(max_epochs=label_epochs, **SCVI_TRAINING)
    return labelled
