"""Real values to a latent and back, with noise of the covariance that the latent leaves over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scdiff_augment.compute.layers import State, within
from scdiff_augment.compute.stratified import Groups, normals
from scdiff_augment.expression.kinds import Expression

from .class_gene_effects import LabelledCells, shift_of, shrunken_means
from .encoders import ENCODERS, PCAEncoder, common_std, encoder_state

RESIDUAL_CELLS = 1000
"""How many real cells' residuals hold the residual covariance."""

ARRAYS = ("centre_", "spread_", "latent_mean_", "weights_", "residuals_")


class RealCodec:
    """An encoder of standardised features; back by least squares, plus noise.

    Parameters
    ----------
    encoder : Encoder
        Fitted by `fit` if it is a `PCAEncoder`, otherwise used as it is.
    """

    def __init__(self, encoder: Any):
        self.encoder_ = encoder

    @property
    def n_latent(self) -> int:
        """Coordinates of the encoder."""
        return len(self.latent_mean_)

    def training_steps(self) -> int:
        """Return how many steps `fit` yields: none."""
        return 0

    def fit(
        self,
        parts: Expression,
        generator: torch.Generator,
        codes: NDArray[np.int64] | None = None,
    ) -> Iterator[tuple[str, float]]:
        """Fit the encoder and keep residuals; nothing is trained, so nothing is yielded."""
        self.centre_ = parts.values.mean(axis=0, dtype=np.float64)
        self.spread_ = np.maximum(parts.values.std(axis=0, dtype=np.float64), 1e-12)
        X = self._standardise(parts)
        if isinstance(self.encoder_, PCAEncoder):
            self.encoder_.fit(X, generator)
        coordinates = self.encoder_.transform(self._seen(parts, X))
        self.latent_mean_ = coordinates.mean(axis=0, dtype=np.float64)
        self.scale_ = common_std(coordinates)
        z = (coordinates - self.latent_mean_) / self.scale_
        self.weights_ = np.linalg.lstsq(z, X.astype(np.float64), rcond=None)[0]
        rows = torch.randperm(len(X), generator=generator)[:RESIDUAL_CELLS].numpy()
        residuals = X[rows] - z[rows] @ self.weights_
        self.residuals_ = (residuals / np.sqrt(len(rows))).astype(np.float32)
        self.non_negative_ = bool(parts.values.min() >= 0)
        yield from ()

    def encode(self, parts: Expression) -> NDArray[np.float32]:
        """Latents of real cells, (cells, n_latent)."""
        coordinates = self.encoder_.transform(self._seen(parts, self._standardise(parts)))
        return ((coordinates - self.latent_mean_) / self.scale_).astype(np.float32)

    def class_gene_effects(
        self,
        pieces: Iterable[LabelledCells],
        n_classes: int,
        tables: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """Return what to add to each class's standardised values, (n_classes, genes).

        `tables` are those of other conditions, beyond which the classes' own is learnt.
        """
        sums, sizes = np.zeros((n_classes, len(self.centre_))), np.zeros(n_classes)
        for piece in pieces:
            for cells in piece.blocks():
                left = (cells.values - self.centre_) / self.spread_ - cells.z @ self.weights_
                if (known := shift_of(tables or {}, cells.others)) is not None:
                    left -= known.numpy()
                for k in np.unique(cells.codes):
                    sums[k] += left[cells.codes == k].sum(axis=0)
                sizes += np.bincount(cells.codes, minlength=n_classes)
        variance = np.square(self.residuals_, dtype=np.float64).sum(axis=0)
        return torch.from_numpy(shrunken_means(sums, sizes, variance))

    def decode(
        self,
        z: NDArray[np.float32],
        rng: np.random.Generator,
        overdispersion: float = 1.0,
        shift: Tensor | None = None,
        groups: Groups = None,
    ) -> tuple[NDArray[np.float32], None]:
        """Draw values given latents; a matrix that was non-negative stays so.

        `overdispersion` is about counts, and says nothing here. `shift` (cells, genes) is what the
        cells' classes add to standardised values. The noise of a group of cells is stratified.
        """
        mix = normals(groups, (len(z), len(self.residuals_)), rng)
        standard = z @ self.weights_ + mix @ self.residuals_
        if shift is not None:
            standard += shift.numpy()
        values = standard * self.spread_ + self.centre_
        values = np.maximum(values, 0) if self.non_negative_ else values
        return values.astype(np.float32), None

    def to_state(self) -> State:
        """Return what storage keeps."""
        name, meta, tensors = encoder_state(self.encoder_)
        return (
            {
                "encoder": name,
                "encoder_meta": meta,
                "scale": self.scale_,
                "non_negative": self.non_negative_,
            },
            {
                **{f"encoder.{k}": v for k, v in tensors.items()},
                **{k: torch.from_numpy(getattr(self, k)) for k in ARRAYS},
            },
        )

    @classmethod
    def from_state(cls, meta: dict[str, Any], tensors: dict[str, Tensor]) -> RealCodec:
        """Build the codec that `to_state` described."""
        kind = ENCODERS[meta["encoder"]]
        codec = cls(kind.from_state(meta["encoder_meta"], within(tensors, "encoder.")))
        codec.scale_, codec.non_negative_ = meta["scale"], meta["non_negative"]
        for name in ARRAYS:
            setattr(codec, name, tensors[name].numpy())
        return codec

    def _seen(self, parts: Expression, standardised: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what the encoder reads: a given one gets the values as they are."""
        return standardised if isinstance(self.encoder_, PCAEncoder) else parts.values

    def _standardise(self, parts: Expression) -> NDArray[np.float32]:
        return ((parts.values - self.centre_) / self.spread_).astype(np.float32)
