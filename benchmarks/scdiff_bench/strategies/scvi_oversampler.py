"""scVI and scANVI as oversamplers; needs scvi-tools, ``pip install 'scdiff-augment[scvi]'``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import anndata as ad
import numpy as np
from scdiff_bench.seeding import SCVI_TRAINING, scvi_seeded
from scdiff_bench.strategies.resamplers import missing_cells

from scdiff_augment.expression.kinds import denormalise, normalise


@dataclass
class ScviOversampler:
    """Draw new cells from the posterior predictive distribution of a class's real cells.

    Attributes
    ----------
    sampling_strategy, random_state
        As in imbalanced-learn.
    labelled : bool
        Whether the latent space learns the labels too (scANVI).
    n_latent : int
        Dimensions of the latent space.
    epochs : int
        Passes over the cells for scVI.
    label_epochs : int
        Further passes for scANVI.

    References
    ----------
    Lopez et al. (2018), Deep generative modeling for single-cell transcriptomics, Nature Methods
    15; Xu et al. (2021), Probabilistic harmonization and annotation of single-cell
    transcriptomics data with deep generative models, Molecular Systems Biology 17.
    """

    sampling_strategy: Any
    random_state: int
    labelled: bool = False
    n_latent: int = 10
    epochs: int = 200
    label_epochs: int = 20

    def fit_resample(self, X: Any, y: Any) -> tuple[Any, Any]:
        """Train on the cells, and append new ones.

        Parameters
        ----------
        X : ndarray, shape (cells, genes)
            Counts, or log1p of depth-normalised counts.
        y : ndarray, shape (cells,)
            Labels.

        Returns
        -------
        tuple
            Cells and labels, the originals first.

        Raises
        ------
        ValueError
            If X holds neither counts nor values from which they can be recovered.
        """
        parts = denormalise(X)
        if parts.kind == "real":
            raise ValueError(
                "scVI models counts, and counts cannot be recovered from X. Give the benchmark a "
                "layer with counts, or leave scvi and scanvi out."
            )
        rng = np.random.default_rng(self.random_state)
        wanted = missing_cells(self.sampling_strategy, y)
        labels = np.repeat(np.array(list(wanted), dtype=y.dtype), list(wanted.values()))
        sources = [rng.choice(np.flatnonzero(y == name), n) for name, n in wanted.items()]
        rows = np.concatenate([np.empty(0, dtype=int), *sources])
        if not len(rows):
            return X.copy(), y.copy()
        with scvi_seeded(self.random_state):
            counts = self._draw(parts.values, y, rows)
        factor = None if parts.factor is None else parts.factor[rows]
        new = normalise(counts, parts.scale, factor=factor)
        return np.concatenate([X, new.astype(X.dtype)]), np.concatenate([y, labels])

    def _draw(self, counts: Any, y: Any, rows: Any) -> Any:
        """Return one posterior predictive cell for each of the rows."""
        from scvi.model import SCANVI, SCVI

        adata = ad.AnnData(counts)
        adata.obs["label"] = y
        SCVI.setup_anndata(adata, labels_key="label" if self.labelled else None)
        model = SCVI(adata, n_latent=self.n_latent, gene_likelihood="nb")
        model.train(max_epochs=self.epochs, **SCVI_TRAINING)
        if self.labelled:
            model = SCANVI.from_scvi_model(model, unlabeled_category="unknown", labels_key="label")
            model.train(max_epochs=self.label_epochs, **SCVI_TRAINING)
        drawn = model.posterior_predictive_sample(adata, indices=rows)
        dense = drawn.todense() if hasattr(drawn, "todense") else drawn
        return np.asarray(dense, dtype=np.float32).reshape(len(rows), -1)
