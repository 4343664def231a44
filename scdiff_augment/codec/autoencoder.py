"""A count autoencoder: a latent that predicts counts which it has not read."""

from __future__ import annotations

import numbers
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor

from scdiff_augment.compute.layers import Linear, State
from scdiff_augment.compute.processes import share
from scdiff_augment.compute.training_loop import steps_for, training_steps
from scdiff_augment.expression.kinds import depth_normalised

from .networks import CountDecoder, CountEncoder

PUBLISHED = {"n_latent": 128, "hidden": (1024, 1024, 1024)}
"""Shape of the autoencoder of Luo et al. 2024."""

EPOCHS = 45
"""How often an autoencoder is shown each cell, where there are few."""


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

        .. deprecated:: 0.2
           On the one data set where it was measured, F1 of rare types was .03 to .23 lower with
           it (``reports/encoders``). It goes in 0.4.
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

    def training_steps(self, n_cells: int) -> int:
        """Return how many steps `training` takes on so many cells.

        Parameters
        ----------
        n_cells : int
            Cells that it is trained on.

        Returns
        -------
        int
        """
        return steps_for(self.n_steps, n_cells, self.batch_size, EPOCHS, 250, 1000)

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
        if self.label_weight:
            warnings.warn(
                f"AutoEncoder(label_weight={self.label_weight:g}) is deprecated since 0.2 and goes "
                f"in 0.4: on blood cells, classifiers found rare types less well with it. Leave it "
                f"at 0.",
                FutureWarning,
                stacklevel=2,
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

        n_steps = self.training_steps(len(counts))
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


def _thinned_batches(
    counts: NDArray[np.float32], share: float, size: int, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Endless (rows, features of the thinned cells, counts left over), thinned again each epoch."""
    rng = np.random.default_rng(int(torch.randint(2**31, (), generator=generator)))
    size = min(size, len(counts))
    places = np.flatnonzero(counts)
    cells = places // counts.shape[1]
    values = counts.reshape(-1)[places].astype(np.uint64)
    features, left = depth_normalised(counts), counts.copy()
    while True:
        if share < 1:
            read = thinned(values, share, rng)
            totals = np.maximum(np.bincount(cells, read, len(counts)), 1.0)
            depth = (1e4 / totals).astype(np.float32)[cells]
            features.reshape(-1)[places] = np.log1p(read.astype(np.float32) * depth)
            left.reshape(-1)[places] = (values - read.astype(np.uint64)).astype(np.float32)
        order = rng.permutation(len(counts))
        for start in range(0, len(order) - size + 1, size):
            rows = order[start : start + size]
            both = torch.from_numpy(features[rows]), torch.from_numpy(left[rows])
            yield torch.from_numpy(rows), *both


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
