"""A pretrained model meets the cells of a training fold."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.exceptions import NotFittedError

from scdiff_augment.codec.count_codec import CountCodec
from scdiff_augment.expression.genes import match_genes
from scdiff_augment.expression.hashes import cell_hashes, overlap
from scdiff_augment.expression.kinds import Expression
from scdiff_augment.generator import LatentDiffusion


def adapted_to_fold(
    model: LatentDiffusion,
    parts: Expression,
    genes: NDArray | None,
    *,
    on_overlap: str,
    **parameters: Any,
) -> LatentDiffusion:
    """Return a copy of a pretrained model that yields cells like these.

    Backbone and encoder are kept. Where the genes differ, a decoder for them is trained on the
    cells; the encoder reads those of its genes that are there.

    Parameters
    ----------
    model : LatentDiffusion
        Fitted or loaded; not modified.
    parts : Expression
        The cells to augment.
    genes : ndarray of str, shape (n_genes,), or None
        Their genes.
    on_overlap : {"warn", "raise", "ignore"}
        What to do if the model has seen some of these cells.
    **parameters
        Of the copy, in place of the model's: its source of randomness, how it samples.

    Raises
    ------
    NotFittedError
        If the model is not fitted.
    ValueError
        If the model models other kinds of values, fewer than half of its genes are there, genes
        differ and have no names, or it has seen the cells and `on_overlap` is "raise".
    """
    if not hasattr(model, "denoiser_"):
        raise NotFittedError(
            "generator is not fitted yet; call its `fit` first. In a grid of parameters, list "
            "whole samplers, such as DiffusionOversampler(generator=model): copies of the model "
            "itself lose what it has learnt."
        )
    notes = _look_for_overlap(model, parts, genes, on_overlap)
    if (parts.kind == "real") != (model.scale_.kind == "real"):
        raise ValueError(
            f"generator was fitted on {model.scale_.kind} values, and X holds {parts.kind} values. "
            f"Pass X on a scale that both can be read from: counts, or log1p of normalised counts."
        )
    if _same_genes(model, genes, parts.values.shape[1]):
        _require_same_sizes(model, parts)
        return model.adapted(parts, notes=notes, **parameters)
    if genes is None or model.genes_ is None:
        whose = "X has no gene names" if genes is None else "generator was fitted without them"
        raise ValueError(
            f"generator knows {model.n_features_in_} genes and X has {parts.values.shape[1]}; to "
            f"match them, both need names, but {whose}. Use data frames with gene names as columns."
        )
    if not isinstance(model.codec_, CountCodec):
        raise ValueError(
            "generator was fitted on real values, which exist for its own genes only. Select the "
            "same genes in the same order, or fit it on counts."
        )
    _require_same_sizes(model, parts)
    columns, report = match_genes(genes, model.genes_)
    notes.append(f"genes of the pretrained generator: {report}")
    if model.codec_.columns_ is not None:
        raise ValueError(
            "generator was itself adapted to other genes; pass the model that it was made from."
        )
    return model.adapted(parts, genes=genes, columns=columns, notes=notes, **parameters)


def _same_genes(model: LatentDiffusion, genes: NDArray | None, n_genes: int) -> bool:
    if genes is None or model.genes_ is None:
        return n_genes == model.n_features_in_
    return np.array_equal(genes, model.genes_)


def _require_same_sizes(model: LatentDiffusion, parts: Expression) -> None:
    """Compare sizes: log1p of more genes than the matrix has needs a factor beside the library."""
    if not isinstance(model.codec_, CountCodec):
        return
    needs_factor = parts.factor is not None and parts.total is None
    if needs_factor != (len(model.codec_.size_mean_) == 2):
        raise ValueError(
            "generator and X must be normalised alike: one holds values that were normalised "
            "over more genes than the matrix has, the other does not. Pass counts to both."
        )


def _look_for_overlap(
    model: LatentDiffusion, parts: Expression, genes: NDArray | None, on_overlap: str
) -> list[str]:
    """Count the cells that the model has seen; return as a note if that is unknown."""
    if on_overlap == "ignore":
        return []
    hashes = _hashes_as_seen(model, parts, genes)
    if hashes is None:
        message = (
            "whether the pretrained generator has seen cells of X is unknown, since X lacks "
            "some of its genes"
        )
        if on_overlap == "raise":
            raise ValueError(
                f"{message}. Pass X with all genes of the generator, or on_overlap='warn'."
            )
        return [message]
    n_seen = overlap(hashes, model.training_hashes_)
    if not n_seen:
        return []
    message = (
        f"the pretrained generator has seen {n_seen} of the {len(hashes)} cells that it is to "
        f"augment. If it has also seen the cells that the classifier is tested on, scores will be "
        f"too good. Pretrain it on other cells"
    )
    if on_overlap == "raise":
        raise ValueError(f"{message}, or pass on_overlap='warn'.")
    warnings.warn(f"{message}; on_overlap='ignore' is silent.", UserWarning, stacklevel=2)
    return []


def _hashes_as_seen(
    model: LatentDiffusion, parts: Expression, genes: NDArray | None
) -> NDArray[np.uint64] | None:
    """Hash the cells by the genes of the model; None where X lacks some of those."""
    if genes is None or model.genes_ is None:
        if parts.values.shape[1] != model.n_features_in_:
            return None
        return cell_hashes(parts, model.genes_)
    columns = pd.Index(genes).get_indexer(model.genes_) if pd.Index(genes).is_unique else None
    if columns is None or (columns < 0).any():
        return None
    return cell_hashes(replace(parts, values=parts.values[:, columns]), model.genes_)
