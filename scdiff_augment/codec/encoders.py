"""Encoders: cells to a latent. PCA, an autoencoder, or any fitted object with `transform`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.decomposition import PCA
from torch import Tensor

from scdiff_augment.compute.layers import State

from .autoencoder import AutoEncoder
from .scimilarity import SCimilarityEncoder


class Encoder(Protocol):
    """What a codec asks of an encoder."""

    def transform(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Latents (cells, n_latent) of features (cells, genes)."""


class PCAEncoder:
    """Principal components of the features.

    Parameters
    ----------
    n_latent : int
        Components asked for; clamped to what the matrix allows.
    """

    def __init__(self, n_latent: int):
        self.n_latent = n_latent

    def fit(self, features: NDArray[np.float32], generator: torch.Generator) -> PCAEncoder:
        """Find the components."""
        n_components = min(self.n_latent, features.shape[1], max(1, features.shape[0] - 1))
        seed = int(torch.randint(2**31, (), generator=generator))
        with np.errstate(invalid="ignore"):  # share of variance of a constant matrix
            pca = PCA(n_components, random_state=seed).fit(features)
        self.components_, self.mean_ = pca.components_, pca.mean_
        return self

    def transform(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Coordinates of cells, (cells, n_latent)."""
        return (features - self.mean_) @ self.components_.T

    def to_state(self) -> State:
        """Return what storage keeps."""
        parts = {"components": self.components_, "mean": self.mean_}
        return {}, {k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in parts.items()}

    @classmethod
    def from_state(cls, meta: dict[str, Any], tensors: dict[str, Tensor]) -> PCAEncoder:
        """Build the encoder that `to_state` described."""
        encoder = cls(len(tensors["components"]))
        encoder.components_ = tensors["components"].numpy()
        encoder.mean_ = tensors["mean"].numpy()
        return encoder


class GivenEncoder:
    """A fitted object with `transform`, checked each time it is asked.

    Parameters
    ----------
    encoder : object
        ``transform(X)`` gives (cells, n_latent) for log1p CP10k values (cells, genes), or for
        the values themselves where the matrix holds real values.
    """

    def __init__(self, encoder: Any):
        self.encoder = encoder

    def transform(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Latents from the given object, (cells, n_latent)."""
        z = np.asarray(self.encoder.transform(features))
        if z.ndim != 2 or len(z) != len(features) or not np.isfinite(z).all():
            raise ValueError(
                f"encoder.transform must give finite latents of shape (cells, n_latent), but "
                f"{type(self.encoder).__name__} gave shape {z.shape} for {len(features)} cells"
                f"{'' if z.ndim != 2 or np.isfinite(z).all() else ' with NaN or infinity'}."
            )
        return z.astype(np.float32, copy=False)


def encoder_for(encoder: Any, n_latent: int | None, genes: NDArray | None) -> Any:
    """Return an encoder to train, or a given one that is used as it is.

    Parameters
    ----------
    encoder : str or object
        "pca", "autoencoder", "autoencoder-published", or an object as `LatentDiffusion` takes it.
    n_latent : int or None
        Dimensions of an encoder that is given by name; None leaves an autoencoder's its own.
    genes : ndarray of str or None
        Names of the genes, for an encoder that matches them.

    Raises
    ------
    TypeError
        If it is neither a known name nor an object with `transform`.
    """
    if isinstance(encoder, str):
        size = {} if n_latent is None else {"n_latent": n_latent}
        presets: dict[str, Callable[..., Any]] = {
            "pca": PCAEncoder,
            "autoencoder": AutoEncoder,
            "autoencoder-published": AutoEncoder.published,
        }
        return presets[encoder](**size)
    if isinstance(encoder, AutoEncoder) and not hasattr(encoder, "network_"):
        return clone(encoder)
    if hasattr(encoder, "with_genes"):
        encoder = encoder.with_genes(genes)
    if not hasattr(encoder, "transform"):
        raise TypeError(
            f"encoder must be 'auto', 'pca', 'autoencoder', 'autoencoder-published', an "
            f"AutoEncoder or a fitted object with transform(X), got {type(encoder).__name__}."
        )
    return GivenEncoder(encoder)


ENCODERS: dict[str, Any] = {
    "PCAEncoder": PCAEncoder,
    "AutoEncoder": AutoEncoder,
    "SCimilarityEncoder": SCimilarityEncoder,
}
"""Encoders that storage knows, by the name that it writes."""


def encoder_state(encoder: Any) -> tuple[str, dict[str, Any], dict[str, Tensor]]:
    """Name, plain values and tensors of an encoder.

    Raises
    ------
    TypeError
        If the encoder is an object of the user's own.
    """
    if isinstance(encoder, GivenEncoder):
        encoder = encoder.encoder
    name = type(encoder).__name__
    if ENCODERS.get(name) is not type(encoder):
        raise TypeError(
            f"a model with an encoder of type {name} can't be saved: only "
            f"{', '.join(ENCODERS)} are kept without pickle. Keep your encoder yourself and "
            f"fit again, or use one of these."
        )
    return name, *encoder.to_state()


def common_std(coordinates: NDArray[np.float32]) -> float:
    """Root of the mean variance of the coordinates."""
    return max(float(np.sqrt(coordinates.var(axis=0, dtype=np.float64).mean())), 1e-6)
