"""AnnData in and out."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, overload

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from scdiff_augment.annotation.layers import listed_layers, named_layers
from scdiff_augment.annotation.obs import PEOPLE, extended_obs, labels_of
from scdiff_augment.expression.checks import computed, require_genes
from scdiff_augment.expression.hashes import cell_hashes, digest
from scdiff_augment.expression.kinds import denormalise
from scdiff_augment.expression.marks import KEY
from scdiff_augment.oversampler import DiffusionOversampler

from .better_layers import warn_of_real_values
from .layers import extended_layers, left_out
from .oversample_to_store import oversample_to_store
from .provenance import provenance_of
from .sampler_choice import sampler_for, seeded

OWN = (
    "adata",
    "label_key",
    "layer",
    "donor_key",
    "batch_key",
    "sampler",
    "out",
    "client",
    "overwrite",
)
"""What `oversample_adata` takes beside the parameters of a sampler."""


@overload
def oversample_adata(
    adata: ad.AnnData,
    label_key: str,
    *,
    sampling_strategy: Any = "auto",
    random_state: Any = None,
    layer: str | None = None,
    donor_key: str | None = None,
    batch_key: str | None = None,
    sampler: DiffusionOversampler | str | None = None,
    out: None = None,
    **parameters: Any,
) -> ad.AnnData: ...


@overload
def oversample_adata(
    adata: ad.AnnData | str | Path,
    label_key: str,
    *,
    sampling_strategy: Any = "auto",
    random_state: Any = None,
    layer: str | None = None,
    donor_key: str | None = None,
    batch_key: str | None = None,
    sampler: DiffusionOversampler | str | None = None,
    out: str | Path,
    client: Any = None,
    overwrite: bool = False,
    **parameters: Any,
) -> Path: ...


def oversample_adata(
    adata: ad.AnnData | str | Path,
    label_key: str,
    *,
    sampling_strategy: Any = "auto",
    random_state: Any = None,
    layer: str | None = None,
    donor_key: str | None = None,
    batch_key: str | None = None,
    sampler: DiffusionOversampler | str | None = None,
    out: str | Path | None = None,
    client: Any = None,
    overwrite: bool = False,
    **parameters: Any,
) -> ad.AnnData | Path:
    """Append synthetic cells to an AnnData, in memory or from file to file.

    Parameters
    ----------
    adata : AnnData of shape (n_cells, n_genes), str or Path
        Real cells; not modified. With `out` also backed, or the path of an h5ad file or a zarr
        store.
    label_key : str
        Column of ``obs`` with the classes to balance.
    sampling_strategy : str, dict, float or callable, default="auto"
        How many cells of which class; see `DiffusionOversampler`. "auto" makes every class as large
        as the largest; ``RareTypes(below=0.5)`` tops up rare types alone.
    random_state : int, RandomState instance or None, default=None
        Seed of the new cells. Without one, one is drawn, said by the logger "scdiff_augment", and
        kept in ``uns["scdiff_augment"]["random_state"]``.
    layer : str, optional
        Layer to learn from; "raw" is ``.raw``, with its genes, where no layer has that name.
        Default is ``X``.
    donor_key, batch_key : str, optional
        Columns of ``obs`` that are conditions beside the class: new cells are spread over donors
        and batches as the real cells of their class are.
    sampler : DiffusionOversampler, optional
        A sampler to use, and fit, in the place of one of these parameters. A string is the noise
        solver, the parameter of this name.
    out : str or Path, optional
        Zarr store to write, ending in ".zarr". Cells are then read, copied and made block by
        block, and the codec is learnt from a sample of them (`LatentDiffusion.fit`). After an
        interruption the same call resumes where it stopped, with the model that it had trained.
    client : distributed.Client, optional
        Of a Dask cluster whose workers make the new cells of `out`.
    overwrite : bool, default=False
        Whether a store at `out` may be replaced when the new one is complete.
    **parameters
        All other parameters of `DiffusionOversampler`, by name: ``temperature=1``,
        ``strength=0.5``, ``n_jobs=-1``.

    Returns
    -------
    AnnData of shape (n_cells + n_new, n_genes), or Path of the store `out` that holds it
        ``X`` holds what was learnt from (the layer, where one was named), the real cells first
        and unchanged. ``obs`` holds `label_key`, "is_synthetic" and "synthetic_source", the name
        of the real cell that a synthetic one started from, if any. Donor and batch of a synthetic
        cell are what it was conditioned on; columns named donor, sample or batch that were not
        given as keys say "synthetic"; other columns are missing for synthetic cells, which are
        named "synth-<label>-<i>". ``var`` is kept. Of the layers, those are kept that new cells
        have values in: the one that was learnt from, and "counts", where X holds those counts, or
        values that lead back to them (and with `out` where its zeros are those of X). Other
        layers, ``obsm``, ``varm``, ``obsp``, ``raw`` and ``uns`` are dropped, since they are not
        defined for synthetic cells or may not fit them. Matrices stay dense, CSR or CSC, as they
        were; those of a store are CSR, where they are sparse. ``uns["scdiff_augment"]`` holds
        parameters, what the matrix held ("expression", "scale"), the seed ("random_state"), "notes"
        on what was adapted to the data or left out, numbers of cells, versions and a hash of the
        real cells.

    Raises
    ------
    TypeError
        If `adata` is not an AnnData, a parameter is unknown (the message names the nearest), or
        parameters are given beside a `sampler` of their own.
    KeyError
        If a key or `layer` does not exist; the message lists what does.
    ValueError
        If a label is missing, `adata` is backed by a file and there is no `out`, or "is_synthetic"
        holds anything but booleans.

    Examples
    --------
    >>> import anndata as ad, numpy as np, pandas as pd
    >>> from scdiff_augment import oversample_adata
    >>> rng = np.random.default_rng(0)
    >>> obs = pd.DataFrame({"cell_type": ["T"] * 30 + ["B"] * 10}).rename(index="cell{}".format)
    >>> adata = ad.AnnData(rng.poisson(2.0, (40, 12)), obs)
    >>> more = oversample_adata(adata, "cell_type", denoiser_steps=50, random_state=0)
    >>> more.shape, int(more.obs["is_synthetic"].sum()), more.obs_names[-1]
    ((60, 12), 20, 'synth-B-19')
    """
    given = {"donor": donor_key, "batch": batch_key}
    named = dict(parameters)
    if sampling_strategy != "auto":
        named["sampling_strategy"] = sampling_strategy
    if random_state is not None:
        named["random_state"] = random_state
    chosen = sampler_for(sampler, named, OWN)
    place = None if out is None else Path(out)
    if place is None and (client is not None or overwrite):
        raise ValueError("client and overwrite are about stores; name one with out=....")
    with seeded(chosen, place):
        if place is None:
            return _oversampled(adata, label_key, layer, given, chosen)
        return oversample_to_store(
            adata,
            label_key,
            layer=layer,
            keys=given,
            sampler=chosen,
            out=place,
            client=client,
            overwrite=overwrite,
        )


def _oversampled(
    adata: Any,
    label_key: str,
    layer: str | None,
    given: Mapping[str, str | None],
    sampler: DiffusionOversampler,
) -> ad.AnnData:
    """Append synthetic cells in memory."""
    if not isinstance(adata, ad.AnnData):
        raise TypeError(f"adata must be an AnnData, got {type(adata).__name__}.")
    if adata.isbacked:
        raise ValueError(
            "adata is backed by a file. Name a store to write, out='more.zarr', or read it first "
            "with adata.to_memory()."
        )
    X, var = _matrix(adata, layer)
    warn_of_real_values(X, sampler, adata, layer)
    labels = labels_of(adata.obs, label_key)
    keys = {name: key for name, key in given.items() if key is not None}
    annotations = {name: labels_of(adata.obs, key).to_numpy() for name, key in keys.items()}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "X looks like expression")  # the warning above says more
        X_resampled, y_resampled = _resampled(sampler, var.index, X, labels.to_numpy(), annotations)
    new_labels = pd.Series(y_resampled[adata.n_obs :], dtype=object)
    n_new = len(new_labels)
    new_columns = {key: np.full(n_new, "synthetic") for key in PEOPLE if key in adata.obs}
    new_columns |= {keys[k]: v for k, v in getattr(sampler, "annotations_", {}).items()}
    rows = getattr(sampler, "synthetic_source_", np.full(n_new, -1))
    sources = [None if row < 0 else adata.obs_names[row] for row in rows]
    obs = extended_obs(adata.obs, label_key, new_labels, new_columns, sources)
    result = ad.AnnData(X_resampled, obs=obs, var=var.copy())
    counted = denormalise(X.toarray() if sparse.issparse(X) else X, sampler.expression)
    factor = getattr(sampler, "synthetic_factor_", np.ones(n_new))
    if layer == "raw" and layer not in adata.layers:  # has genes of its own
        layers: dict[str, Any] = {}
        notes = [left_out(name) for name in named_layers(adata)]
    else:
        layers, notes = extended_layers(adata, layer, X_resampled, counted, factor)
    for name, matrix in layers.items():
        result.layers[name] = matrix
    training_hash = digest(cell_hashes(counted, var.index.to_numpy(dtype=str)))
    result.uns[KEY] = provenance_of(sampler, label_key, layer, new_labels, training_hash, notes)
    return result


def _resampled(
    sampler: DiffusionOversampler,
    genes: pd.Index,
    X: Any,
    labels: np.ndarray,
    annotations: dict[str, np.ndarray],
) -> tuple[Any, np.ndarray]:
    """Resample; genes go by name where a pretrained generator may know others."""
    if getattr(sampler.generator, "genes_", None) is None:
        return sampler.fit_resample(X, labels, **annotations)
    dense = X.toarray() if sparse.issparse(X) else X
    frame = pd.DataFrame(dense, columns=require_genes(genes, len(genes)))
    resampled, y = sampler.fit_resample(frame, labels, **annotations)
    new = resampled.iloc[len(labels) :].to_numpy().astype(X.dtype)
    if sparse.issparse(X):
        return sparse.vstack([X, type(X)(new)], format=X.format), y
    return np.vstack([X, new]), y


def _matrix(adata: ad.AnnData, layer: str | None) -> tuple[Any, pd.DataFrame]:
    """Return the matrix to learn from, and its genes."""
    var = adata.var
    if layer in named_layers(adata):
        X = adata.layers[layer]
    elif layer == "raw" and adata.raw is not None:
        X, var = adata.raw.X, adata.raw.var
    elif layer is None:
        X = adata.X
    else:
        raise KeyError(f"adata has no layer '{layer}'; it has {listed_layers(adata)}.")
    if X is None:
        raise ValueError(
            f"adata.X is None; name the layer to learn from with layer=...; there are "
            f"{listed_layers(adata)}."
        )
    X = computed(X)
    if not sparse.issparse(X):
        return np.asarray(X), var
    return (X if X.format in ("csr", "csc") else X.tocsr()), var
