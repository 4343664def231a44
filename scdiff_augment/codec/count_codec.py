"""Counts to a latent and back, through a decoder that yields counts.

The decoder yields counts with their sampling noise and zeros, not smooth expected values:
smooth cells are recognisable as synthetic, and a classifier then learns that instead of the
cell type. How far counts vary beyond Poisson is measured half on cells that encoder and decoder
have not been trained on. Around rates that were fitted to them cells vary too little, around those
of unseen cells too much, by the error of the rates; drawn cells lie between.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scdiff_augment.compute.layers import State, within
from scdiff_augment.compute.processes import share
from scdiff_augment.compute.stratified import Groups
from scdiff_augment.compute.training_loop import steps_for, training_steps
from scdiff_augment.expression.genes import take_genes
from scdiff_augment.expression.kinds import Expression, depth_normalised
from scdiff_augment.streaming.block_sizes import ROWS

from .autoencoder import AutoEncoder
from .class_gene_effects import ClassTotals, LabelledCells, shift_of
from .count_noise import poisson, ratio_table, ratio_weights
from .draw_counts import draw_counts
from .encoders import ENCODERS, PCAEncoder, common_std, encoder_state
from .networks import CountDecoder
from .wide.binned_noise import binned_weights
from .wide.core_genes import WIDE, core_genes
from .wide.expected_counts import expected_counts
from .wide.gene_regression import completed

BLOCK = 4096
"""Cells decoded at a time."""

EPOCHS = 20
"""How often the decoder is shown each cell, where there are few."""

MATCHING = 3
"""Rounds of matching means; proportions sum to 1, so one gene's bias moves the others."""

MATCHING_WIDE = 1
"""Of a wide matrix: with one, the genes' totals lie 150 times nearer than their noise."""

HELD_OUT = 0.15
"""Share of the cells on which the noise of counts is measured."""

FEWEST, MOST = 20, 500
"""With fewer cells to hold out, all are trained on and counts are Poisson; more add little."""

RARE = 50
"""Classes of fewer cells have none held out."""


class CountCodec:
    """An encoder of log-normalised counts; back through p(counts | z), trained by likelihood.

    The latent has the encoder's coordinates, centred, over their common standard deviation, then
    the standardised log library size, then, where cells were normalised over more genes than
    the matrix has, the standardised log scale factor. Library sizes are thus generated together
    with the cell's state.

    Parameters
    ----------
    encoder : Encoder
        Trained by `fit` if it is a `PCAEncoder` or an `AutoEncoder`, otherwise used as it is.
    width : int
        Hidden units of the decoder.
    n_steps : int or "auto"
        Training steps of the decoder; "auto" shows it each cell about 20 times, in 100 to 400.
    batch_size : int
        Cells per training step.
    learning_rate : float
        Peak of the one-cycle schedule.
    """

    def __init__(
        self,
        encoder: Any,
        width: int = 128,
        n_steps: int | str = "auto",
        batch_size: int = 128,
        learning_rate: float = 5e-3,
    ):
        self.encoder_ = encoder
        self.columns_: NDArray | None = None
        self.core_: NDArray | None = None
        self._trained_on = 0
        self._table: tuple[float, NDArray[np.float32] | None] | None = None
        self.width = width
        self.n_steps = n_steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate

    @property
    def n_latent(self) -> int:
        """Coordinates of the encoder."""
        return len(self.centre_)

    def training_steps(self) -> int:
        """Return how many steps `fit` yields, once it has begun."""
        steps = self._decoder_steps(self._trained_on)
        if isinstance(self.encoder_, AutoEncoder):
            steps += self.encoder_.training_steps(self._trained_on)
        return steps

    def _decoder_steps(self, n_cells: int) -> int:
        return steps_for(self.n_steps, n_cells, self.batch_size, EPOCHS, 100, 400)

    def fit(
        self,
        parts: Expression,
        generator: torch.Generator,
        codes: NDArray[np.int64] | None = None,
    ) -> Iterator[tuple[str, float]]:
        """Train the encoder, if it is to be trained, then the decoder.

        Parameters
        ----------
        parts : Expression
            Real cells, of any kind but "real".
        generator : torch.Generator
            Source of all randomness.
        codes : ndarray of shape (n_cells,), optional
            Class codes, for an encoder with a label term.

        Yields
        ------
        tuple of str and float
            "encoder" or "decoder", and the loss of a step.
        """
        held_out = hold_out(len(parts.values), generator, codes)
        self._trained_on = int(np.sum(~held_out))
        chosen = isinstance(self.encoder_, (PCAEncoder, AutoEncoder))
        if chosen and parts.values.shape[1] > WIDE:
            self.core_ = core_genes(parts.values[~held_out])
        features = self._features(parts)
        if isinstance(self.encoder_, PCAEncoder):
            self.encoder_.fit(features[~held_out], generator)
        elif isinstance(self.encoder_, AutoEncoder):
            learnt = None if codes is None else codes[~held_out]
            for loss in self.encoder_.training(self._seen(parts)[~held_out], generator, learnt):
                yield "encoder", loss
        coordinates = self.encoder_.transform(features)
        self.centre_ = coordinates.mean(axis=0, dtype=np.float64)
        self.scale_ = common_std(coordinates)
        sizes = self._log_sizes(parts)
        self._standardise_sizes(sizes)
        z = self._latents(coordinates, sizes)
        for loss in self.learn_counts(z, parts.values, held_out, generator):
            yield "decoder", loss

    def learn_counts(
        self,
        z: NDArray[np.float32],
        counts: NDArray[np.float32],
        held_out: NDArray[np.bool_],
        generator: torch.Generator,
    ) -> Iterator[float]:
        """Learn counts given latents: proportions of the genes, then how counts vary around them.

        Parameters
        ----------
        z : ndarray of shape (n_cells, n_latent + sizes)
        counts : ndarray of shape (n_cells, n_genes)
        held_out : ndarray of bool, shape (n_cells,)
            Cells that the decoder is not trained on, for the noise.
        generator : torch.Generator
            Source of all randomness.

        Yields
        ------
        float
            The loss of a step of the decoder.
        """
        learn = self._train_decoder if counts.shape[1] <= WIDE else self._learn_wide_decoder
        yield from learn(z[~held_out], counts[~held_out], generator)
        self._match_means(z, counts)
        self.noise_, self._table = poisson(counts.shape[1]), None
        if held_out.any():
            learnt = np.flatnonzero(~held_out)
            order = torch.randperm(len(learnt), generator=generator).numpy()
            rows = np.concatenate([np.flatnonzero(held_out), learnt[order[: held_out.sum()]]])
            learn_noise = ratio_weights if counts.shape[1] <= WIDE else binned_weights
            self.noise_ = learn_noise(counts[rows], self.rates(z[rows])[0])

    def _train_decoder(
        self, z: NDArray[np.float32], counts: NDArray[np.float32], generator: torch.Generator
    ) -> Iterator[float]:
        latents, target = torch.from_numpy(z), torch.from_numpy(counts)
        mean = target.sum(dim=0) + 0.5
        self.decoder_ = CountDecoder(
            z.shape[1], torch.log(mean / mean.sum()), (self.width,), generator
        )
        total = target.sum(dim=1).clamp(min=1)

        def loss(decoder: torch.nn.Module) -> Tensor:
            rows = torch.randint(len(latents), (self.batch_size,), generator=generator)
            z_, seen, sums = share(latents[rows], target[rows], total[rows])
            log_likelihood = (seen * decoder(z_)).sum(dim=1)  # (B,)
            return -(log_likelihood.sum() / sums.sum())

        yield from training_steps(
            self.decoder_,
            loss,
            n_steps=self._decoder_steps(len(z)),
            learning_rate=self.learning_rate,
        )
        self.decoder_.eval()

    def _learn_wide_decoder(
        self, z: NDArray[np.float32], counts: NDArray[np.float32], generator: torch.Generator
    ) -> Iterator[float]:
        """Train on core genes and the sum of the others, then give each of those its share."""
        core = core_genes(counts)
        others = np.setdiff1d(np.arange(counts.shape[1]), core)
        few = counts[:, core]
        rest = np.maximum(counts.sum(axis=1) - few.sum(axis=1), 0)
        yield from self._train_decoder(z, np.hstack([few, rest[:, None]]), generator)
        with torch.no_grad():
            self.decoder_ = completed(self.decoder_, z, counts, core, others)

    def _match_means(self, z: NDArray[np.float32], counts: NDArray[np.float32]) -> None:
        """Shift the decoder's biases until each gene's expected total is the one seen.

        The best biases have this property; training by batches ends near it, which a ranking of
        the genes by their mean shows.
        """
        seen = counts.sum(axis=0, dtype=np.float64) + 0.5
        for _ in range(MATCHING if len(seen) <= WIDE else MATCHING_WIDE):
            expected = np.full(len(seen), 0.5)
            size = BLOCK if len(seen) <= WIDE else ROWS
            for start in range(0, len(z), size):
                rates, _ = self.rates(z[start : start + size])
                expected = expected + rates.sum(axis=0, dtype=np.float64)
            with torch.no_grad():
                self.decoder_.genes.bias.add_(torch.from_numpy(np.log(seen / expected)).float())

    def encode(self, parts: Expression) -> NDArray[np.float32]:
        """Latents of real cells, (cells, n_latent + sizes)."""
        sizes = self._log_sizes(parts)
        if sizes.shape[1] != len(self.size_mean_):
            raise ValueError(
                "these cells and those of `fit` must be normalised alike: one holds values "
                "that were normalised over more genes than the matrix has, the other does not. "
                "Use one scale for both."
            )
        return self._latents(self.encoder_.transform(self._features(parts)), sizes)

    def for_genes(
        self,
        columns: NDArray[np.intp],
        parts: Expression,
        generator: torch.Generator,
        n_steps: int | str,
    ) -> CountCodec:
        """Keep the latent for a matrix of other genes: only a decoder is trained.

        Library sizes are standardised again, since they are those of other genes.

        Parameters
        ----------
        columns : ndarray of shape (n_genes of the encoder,)
            Column of each gene that the encoder reads, -1 where it is absent.
        parts : Expression
            Real cells with the other genes.
        generator : torch.Generator
            Source of all randomness.
        n_steps : int or "auto"
            Training steps of the decoder.
        """
        codec = CountCodec(self.encoder_, self.width, n_steps)
        codec.columns_, codec.core_ = columns, self.core_
        codec.centre_, codec.scale_ = self.centre_, self.scale_
        codec._standardise_sizes(codec._log_sizes(parts))
        held_out = hold_out(len(parts.values), generator)
        for _ in codec.learn_counts(codec.encode(parts), parts.values, held_out, generator):
            pass
        return codec

    def class_gene_effects(
        self,
        pieces: Iterable[LabelledCells],
        n_classes: int,
        tables: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """Return what to add to the logits of each class's genes, (n_classes, genes).

        `tables` are those of other conditions, beyond which the classes' own is learnt.
        """
        totals = ClassTotals(n_classes, len(self.decoder_.genes.bias))
        for piece in pieces:
            for cells in piece.blocks():
                rates, _ = self.rates(cells.z, shift_of(tables or {}, cells.others))
                totals.add(cells.codes, cells.values, rates)
        return torch.from_numpy(totals.log_ratios())

    def rates(
        self, z: NDArray[np.float32], shift: Tensor | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Return expected counts (cells, genes), and the cells' sizes (cells, 1 or 2)."""
        sizes = z[:, -len(self.size_mean_) :] * self.size_std_ + self.size_mean_
        sizes = np.exp(np.clip(sizes, *self.size_range_))
        n_genes = len(self.decoder_.genes.bias)
        if n_genes > WIDE:
            return expected_counts(self.decoder_, z, sizes[:, :1], shift), sizes
        with torch.no_grad():
            proportions = self.decoder_(torch.from_numpy(z), shift).exp().numpy()
        return proportions * sizes[:, :1].astype(np.float32), sizes

    def ratios(self, overdispersion: float) -> NDArray[np.float32] | None:
        """Return what multiplies expected counts, (genes, levels); None where it is always 1."""
        if self._table is None or self._table[0] != overdispersion:
            always = overdispersion == 0 or np.array_equal(self.noise_, poisson(len(self.noise_)))
            table = None if always else ratio_table(self.noise_, overdispersion)
            self._table = (overdispersion, table)
        return self._table[1]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_table": None}  # of 1 kB a gene, and quickly made

    def decode(
        self,
        z: NDArray[np.float32],
        rng: np.random.Generator,
        overdispersion: float = 1.0,
        shift: Tensor | None = None,
        groups: Groups = None,
    ) -> tuple[NDArray[np.float32], NDArray[np.float64] | None]:
        """Draw counts given latents.

        Parameters
        ----------
        z : ndarray of shape (cells, n_latent + sizes)
        rng : numpy.random.Generator
        overdispersion : float, default=1.0
            Share of the measured one.
        shift : Tensor of shape (cells, genes), optional
            What the cells' classes add to the logits of the genes.
        groups : ndarray of int, shape (cells,), optional
            Cells whose random numbers are stratified together; by default all are.

        Returns
        -------
        counts : ndarray of shape (cells, genes), float32
            Draws around library size times decoded proportions.
        factor : ndarray of shape (cells,) or None
            Scale factors, where the latent holds them.
        """
        z = np.ascontiguousarray(z, dtype=np.float32)
        counts = np.empty((len(z), len(self.decoder_.genes.bias)), dtype=np.float32)
        sizes = np.empty((len(z), len(self.size_mean_)))
        ratios = self.ratios(overdispersion)
        for start in range(0, len(z), BLOCK):
            block = slice(start, start + BLOCK)
            rates, sizes[block] = self.rates(z[block], None if shift is None else shift[block])
            some = None if groups is None else groups[block]
            counts[block] = draw_counts(rates, ratios, rng, some)
        return counts, sizes[:, 1] if sizes.shape[1] == 2 else None

    def to_state(self) -> State:
        """Return what storage keeps."""
        name, meta, tensors = encoder_state(self.encoder_)
        numbers = {
            k: torch.from_numpy(np.atleast_1d(np.asarray(getattr(self, k))))
            for k in ("centre_", "scale_", "size_mean_", "size_std_", "size_range_")
        }
        for k in ("columns_", "core_"):
            if getattr(self, k) is not None:
                numbers[k] = torch.from_numpy(getattr(self, k))
        return (
            {"encoder": name, "encoder_meta": meta, "width": self.width},
            {
                **{f"encoder.{k}": v for k, v in tensors.items()},
                **{f"decoder.{k}": v for k, v in self.decoder_.state_dict().items()},
                "noise_": torch.from_numpy(self.noise_),
                **numbers,
            },
        )

    @classmethod
    def from_state(cls, meta: dict[str, Any], tensors: dict[str, Tensor]) -> CountCodec:
        """Build the codec that `to_state` described."""
        encoder = ENCODERS[meta["encoder"]].from_state(
            meta["encoder_meta"], within(tensors, "encoder.")
        )
        codec = cls(encoder, width=meta["width"])
        for name in ("centre_", "size_mean_", "size_std_", "size_range_", "noise_"):
            setattr(codec, name, tensors[name].numpy())
        codec.scale_ = float(tensors["scale_"])
        for name in ("columns_", "core_"):
            setattr(codec, name, tensors[name].numpy() if name in tensors else None)
        decoder = within(tensors, "decoder.")
        n_latent = len(codec.centre_) + len(codec.size_mean_)
        codec.decoder_ = CountDecoder(n_latent, decoder["genes.bias"].clone(), (codec.width,))
        codec.decoder_.load_state_dict(decoder)
        codec.decoder_.eval()
        return codec

    def _seen(self, parts: Expression) -> NDArray[np.float32]:
        """Return counts of the genes that the encoder reads."""
        columns = self.columns_
        if self.core_ is not None:
            columns = self.core_ if columns is None else columns[self.core_]
        return parts.values if columns is None else take_genes(parts.values, columns)

    def _features(self, parts: Expression) -> NDArray[np.float32]:
        return depth_normalised(self._seen(parts))

    def _latents(
        self, coordinates: NDArray[np.float32], log_sizes: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        coordinates = (coordinates - self.centre_) / self.scale_
        sizes = (log_sizes - self.size_mean_) / self.size_std_
        return np.hstack([coordinates, sizes]).astype(np.float32)

    def _standardise_sizes(self, sizes: NDArray[np.float64]) -> None:
        self.size_mean_ = sizes.mean(axis=0)
        self.size_std_ = np.maximum(sizes.std(axis=0), 1e-3)
        self.size_range_ = np.stack([sizes.min(axis=0), sizes.max(axis=0)])

    def _log_sizes(self, parts: Expression) -> NDArray[np.float64]:
        library = np.maximum(parts.values.sum(axis=1, dtype=np.float64), 1.0)
        columns = [np.log(library)]
        if parts.total is None and parts.factor is not None:
            columns.append(np.log(parts.factor))
        return np.stack(columns, axis=1)


def hold_out(
    n_cells: int, generator: torch.Generator, codes: NDArray[np.int64] | None = None
) -> NDArray[np.bool_]:
    """Draw the cells that neither encoder nor decoder sees, (n_cells,): none of rare classes."""
    order = torch.randperm(n_cells, generator=generator).numpy()
    if codes is not None:
        order = order[np.bincount(codes)[codes[order]] >= RARE]
    n = min(int(HELD_OUT * len(order)), MOST)
    held_out = np.zeros(n_cells, dtype=bool)
    if n >= FEWEST:
        held_out[order[:n]] = True
    return held_out
