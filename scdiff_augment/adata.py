"""AnnData in and out."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from .oversampler import DiffusionOversampler


def oversample_adata(
    adata: ad.AnnData,
    label_key: str,
    *,
    layer: str | None = None,
    sampler: DiffusionOversampler | None = None,
) -> ad.AnnData:
    """Append synthetic cells to an AnnData.

    Parameters
    ----------
    adata : AnnData of shape (n_cells, n_genes)
        Real cells; not modified.
    label_key : str
        Column of ``obs`` with the classes to balance.
    layer : str, optional
        Layer to learn from; default is ``X``.
    sampler : DiffusionOversampler, optional
        The sampler to use, and fit; default is ``DiffusionOversampler()``.

    Returns
    -------
    AnnData of shape (n_cells + n_new, n_genes)
        ``X`` holds what was learnt from (the layer, where one was named), the real cells first
        and unchanged. ``obs`` holds `label_key` and "is_synthetic"; other columns keep their
        values for real cells and are missing for synthetic ones. Synthetic cells are named
        "synth-<label>-<i>". ``var`` is kept; embeddings and graphs are dropped, since synthetic
        cells have none. ``uns["scdiff_augment"]`` holds parameters, counts and versions.

    Raises
    ------
    KeyError
        If `label_key` or `layer` does not exist; the message lists what does.
    ValueError
        If a label is missing.

    Examples
    --------
    >>> import anndata as ad, numpy as np, pandas as pd
    >>> from scdiff_augment import DiffusionOversampler, oversample_adata
    >>> rng = np.random.default_rng(0)
    >>> obs = pd.DataFrame({"cell_type": ["T"] * 30 + ["B"] * 10}).rename(index="cell{}".format)
    >>> adata = ad.AnnData(rng.poisson(2.0, (40, 12)), obs)
    >>> sampler = DiffusionOversampler(denoiser_steps=50, decoder_steps=50, random_state=0)
    >>> more = oversample_adata(adata, "cell_type", sampler=sampler)
    >>> more.shape, int(more.obs["is_synthetic"].sum()), more.obs_names[-1]
    ((60, 12), 20, 'synth-B-19')
    """
    X = _matrix(adata, layer)
    if label_key not in adata.obs:
        raise KeyError(f"obs has no column '{label_key}'; it has {list(adata.obs.columns)}.")
    labels = adata.obs[label_key]
    if labels.isna().any():
        raise ValueError(
            f"obs['{label_key}'] is missing for {int(labels.isna().sum())} of {len(labels)} cells. "
            f"Drop them (adata[adata.obs['{label_key}'].notna()]) or give them a label."
        )
    sampler = DiffusionOversampler() if sampler is None else sampler
    X_resampled, y_resampled = sampler.fit_resample(X, labels.astype(str).to_numpy())
    new_labels = pd.Series(y_resampled[adata.n_obs :], dtype=str)
    position = new_labels.groupby(new_labels).cumcount()
    names = "synth-" + new_labels + "-" + position.astype(str)
    obs = _obs(adata.obs, label_key, new_labels, names)
    result = ad.AnnData(X_resampled, obs=obs, var=adata.var.copy())
    result.uns["scdiff_augment"] = {
        "label_key": label_key,
        "layer": layer or "X",
        "parameters": {k: str(v) for k, v in sampler.get_params().items()},
        "n_synthetic": new_labels.value_counts().to_dict(),
        "versions": {p: version(p) for p in ("scdiff-augment", "torch", "numpy")},
    }
    return result


def _matrix(adata: ad.AnnData, layer: str | None) -> Any:
    if layer is not None and layer not in adata.layers:
        raise KeyError(f"adata has no layer '{layer}'; it has {list(adata.layers)}.")
    X = adata.X if layer is None else adata.layers[layer]
    if X is None:
        raise ValueError("adata.X is None; name the layer to learn from with layer=...")
    return X.tocsr() if sparse.issparse(X) else np.asarray(X)


def _obs(
    obs: pd.DataFrame, label_key: str, new_labels: pd.Series, names: pd.Series
) -> pd.DataFrame:
    new = pd.DataFrame({label_key: new_labels.to_numpy()}, index=pd.Index(names))
    real = obs.assign(is_synthetic=False)
    real[label_key] = real[label_key].astype(str)
    both = pd.concat([real, new.assign(is_synthetic=True)])
    both[label_key] = both[label_key].astype("category")
    for column in obs.columns.drop(label_key):
        if isinstance(obs[column].dtype, pd.CategoricalDtype):
            both[column] = pd.Categorical(both[column], categories=obs[column].cat.categories)
    return both
