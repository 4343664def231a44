"""Encoders: cells to a latent. PCA, an autoencoder, or any fitted object with `transform`."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.decomposition import PCA
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor

from .expression import depth_normalised
from .networks import CountDecoder, CountEncoder, Linear, State
from .scimilarity import SCimilarityEncoder
from .team import share
from .training import steps_for, training_steps

PUBLISHED = {"n_latent": 128, "hidden": (1024, 1024, 1024)}
"""Shape of the autoencoder of Luo et al. 2024."""


EPOCHS = 45
"""How often an autoencoder is shown each cell, where there are few."""


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


class AutoEncoder(BaseEstimator):
    """Encoder of a count autoencoder: trained end to end by the likelihood of the counts.

    Input are cells whose counts were thinned, target is what thinning left out: a latent that
    follows a cell's own sampling noise then predicts nothing.

    Parameters
    ----------
    n_latent : int, default=32
        Dimensions of the latent.
    hidden : sequence of int, default=(128,)
        Units of the encoder's hidden layers; the decoder mirrors them.
    n_steps : int or "auto", default="auto"
        Training steps; "auto" shows each cell about 45 times, in 250 to 1,000 steps.
    batch_size : int, default=128
        Cells per step.
    learning_rate : float, default=2e-3
        Peak of the one-cycle schedule.
    label_weight : float, default=0.0
        Weight of the cross-entropy of a linear classifier on the latent, beside the likelihood
        per count; needs labels (``LatentDiffusion.fit(groups=...)``).
    thinning : float, default=0.5
        Share of the counts that the encoder reads in training; with 1.0 input and target are the
        same counts.

    References
    ----------
    Luo et al. 2024, scDiffusion, Bioinformatics 40(9), btae518 (shape of `published`).
    Neufeld et al. 2024, Inference after latent variable estimation for single-cell RNA sequencing
    data, Biostatistics 25(1) (count thinning).

    Examples
    --------
    >>> import numpy as np
    >>> from scdiff_augment import AutoEncoder, LatentDiffusion
    >>> X = np.random.default_rng(0).poisson(2.0, (60, 30))
    >>> encoder = AutoEncoder(n_latent=4, n_steps=20)
    >>> LatentDiffusion(encoder=encoder, decoder_steps=20, denoiser_steps=20).fit(X).encode(X).shape
    (60, 5)
    """

    _parameter_constraints: ClassVar[dict] = {
        "n_latent": [Interval(numbers.Integral, 1, None, closed="left")],
        "hidden": ["array-like"],
        "n_steps": [Interval(numbers.Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "batch_size": [Interval(numbers.Integral, 2, None, closed="left")],
        "learning_rate": [Interval(numbers.Real, 0, None, closed="neither")],
        "label_weight": [Interval(numbers.Real, 0, None, closed="left")],
        "thinning": [Interval(numbers.Real, 0, 1, closed="right")],
    }

    def __init__(
        self,
        *,
        n_latent: int = 32,
        hidden: Sequence[int] = (128,),
        n_steps: int | str = "auto",
        batch_size: int = 128,
        learning_rate: float = 2e-3,
        label_weight: float = 0.0,
        thinning: float = 0.5,
    ):
        self.n_latent = n_latent
        self.hidden = hidden
        self.n_steps = n_steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.label_weight = label_weight
        self.thinning = thinning

    @classmethod
    def published(cls, **parameters: Any) -> AutoEncoder:
        """Three hidden layers of 1,024 units and 128 latent dimensions, as in scDiffusion."""
        return cls(**{**PUBLISHED, **parameters})

    def training(
        self,
        counts: NDArray[np.float32],
        generator: torch.Generator,
        codes: NDArray[np.int64] | None = None,
    ) -> Iterator[float]:
        """Train; yields the loss of each step.

        Parameters
        ----------
        counts : ndarray of shape (n_cells, n_genes)
            Counts of real cells.
        generator : torch.Generator
            Source of all randomness.
        codes : ndarray of shape (n_cells,), optional
            Class codes for the label term.

        Raises
        ------
        ValueError
            If a parameter is out of range, or `label_weight` is set and there are no labels.
        """
        self._validate_params()
        if self.label_weight and codes is None:
            raise ValueError(
                f"AutoEncoder(label_weight={self.label_weight:g}) learns from labels, but there "
                f"are none. Pass groups=labels to LatentDiffusion.fit, or use label_weight=0."
            )
        hidden = tuple(self.hidden)
        mean = counts.sum(axis=0) + 0.5
        log_mean = torch.from_numpy(np.log(mean / mean.sum()))
        encoder = CountEncoder(counts.shape[1], hidden, self.n_latent, generator)
        network = torch.nn.ModuleDict(
            {
                "encoder": encoder,
                "decoder": CountDecoder(self.n_latent, log_mean, hidden[::-1], generator),
            }
        )
        features = (depth_normalised(counts[i : i + 4096]) for i in range(0, len(counts), 4096))
        total = np.sum([block.sum(axis=0, dtype=np.float64) for block in features], axis=0)
        encoder.mean.copy_(torch.from_numpy(total / len(counts)))
        target_codes = None
        if self.label_weight and codes is not None:
            target_codes = torch.from_numpy(codes)
            network["head"] = Linear(self.n_latent, int(codes.max()) + 1, generator)
        batches = _thinned_batches(counts, self.thinning, self.batch_size, generator)

        def loss(model: torch.nn.Module) -> Tensor:
            rows, features, target = share(*next(batches))
            z = network["encoder"](features)
            value = -(target * network["decoder"](z)).sum() / target.sum().clamp(min=1)
            if target_codes is not None:
                wanted = target_codes.to(rows.device)[rows]
                error = torch.nn.functional.cross_entropy(network["head"](z), wanted)
                value = value + self.label_weight * error
            return value

        n_steps = steps_for(self.n_steps, len(counts), self.batch_size, EPOCHS, 250, 1000)
        yield from training_steps(network, loss, n_steps=n_steps, learning_rate=self.learning_rate)
        self.network_ = network["encoder"].eval()

    def transform(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Latents of log1p CP10k values, (cells, n_latent)."""
        with torch.no_grad():
            return self.network_(
                torch.from_numpy(np.ascontiguousarray(features, dtype=np.float32))
            ).numpy()

    def to_state(self) -> State:
        """Return what storage keeps."""
        parameters = {**self.get_params(), "hidden": [int(h) for h in self.hidden]}
        return parameters, self.network_.state_dict()

    @classmethod
    def from_state(cls, meta: dict[str, Any], tensors: dict[str, Tensor]) -> AutoEncoder:
        """Build the encoder that `to_state` described."""
        encoder = cls(**meta)
        n_genes = tensors["layers.0.weight"].shape[1]
        network = CountEncoder(n_genes, tuple(meta["hidden"]), meta["n_latent"])
        network.load_state_dict(tensors)
        encoder.network_ = network.eval()
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


def _thinned_batches(
    counts: NDArray[np.float32], share: float, size: int, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Endless (rows, features of the thinned cells, counts left over), thinned anew each epoch."""
    rng = np.random.default_rng(int(torch.randint(2**31, (), generator=generator)))
    size = min(size, len(counts))
    positive = np.nonzero(counts)
    values = counts[positive].astype(np.uint64)
    while True:
        read = counts
        left = counts
        if share < 1:
            read = np.zeros_like(counts)
            read[positive] = thinned(values, share, rng)
            left = counts - read
        order = rng.permutation(len(counts))
        for start in range(0, len(order) - size + 1, size):
            rows = order[start : start + size]
            features = torch.from_numpy(depth_normalised(read[rows]))
            yield torch.from_numpy(rows), features, torch.from_numpy(left[rows])


def thinned(
    counts: NDArray[np.uint64], share: float, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Keep each of the counted molecules with probability `share`, (entries,).

    Halves of up to 64 are the bits of one random number, a tenth of the time of binomial draws.
    """
    if share != 0.5:
        return rng.binomial(counts.astype(np.int64), share)
    bits = rng.integers(2**64, size=counts.shape, dtype=np.uint64)
    few = np.uint64(64)
    bits >>= np.where(counts < few, few - counts, np.uint64(0))  # as many bits as molecules
    found = np.bitwise_count(bits).astype(np.int64)
    found[counts == 0] = 0
    many = counts > few
    found[many] = rng.binomial(counts[many].astype(np.int64), share)
    return found


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
