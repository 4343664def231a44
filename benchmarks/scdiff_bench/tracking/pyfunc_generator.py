"""A fitted generator as an MLflow pyfunc model; MLflow reads this file itself when it loads one.

Input: a column per condition (``y`` is the label the study was about) and optionally ``n``, how
many cells of that row to make. Output: one row per new cell, columns are genes, and a last column
says which input row it belongs to.
"""

from __future__ import annotations

from typing import Any

import mlflow
import numpy as np
import pandas as pd


class Generator(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Wraps a saved `LatentDiffusion`; the random state of its file is where drawing starts."""

    def load_context(self, context: Any) -> None:
        from scdiff_augment import LatentDiffusion

        self.model = LatentDiffusion.load(context.artifacts["generator"], random_state=0)

    # Without hints: MLflow reads them as a schema of its own beside the signature.
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        """Draw cells.

        Parameters
        ----------
        context : object
            MLflow's.
        model_input : DataFrame
            As the module says.
        params : dict, optional
            ``guidance_scale``.

        Returns
        -------
        DataFrame
            New cells.
        """
        scale = float((params or {}).get("guidance_scale", 1.0))
        sizes = model_input["n"] if "n" in model_input else pd.Series(1, model_input.index)
        wanted = model_input.drop(columns="n", errors="ignore")
        rows = np.repeat(np.arange(len(wanted)), sizes.astype(int))
        conditions = {str(c): wanted[c].to_numpy()[rows] for c in wanted.columns}
        cells = self.model.sample(conditions, len(rows), guidance_scale=scale)
        names = self.model.genes_
        found = pd.DataFrame(np.asarray(cells), columns=None if names is None else list(names))
        found["input_row"] = rows
        return found


mlflow.models.set_model(Generator())
