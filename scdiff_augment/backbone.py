"""Backbone: a codec and a denoiser in its latent, learnt without labels."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from tqdm.auto import tqdm

from scdiff_augment.codec.choice import codec_for, latent_size
from scdiff_augment.codec.encoders import PCAEncoder
from scdiff_augment.compute.devices import device_of
from scdiff_augment.compute.training_loop import bounded_threads
from scdiff_augment.diffusion.denoiser import Denoiser
from scdiff_augment.diffusion.guidance import LatentClassifier
from scdiff_augment.diffusion.mixture import clusters
from scdiff_augment.expression.checks import (
    dense_matrix,
    require_codes,
    require_latents,
    require_steps,
    require_weights,
    same_genes,
)
from scdiff_augment.expression.kinds import (
    Expression,
    detect_kind,
    integer_fraction,
    put_together,
    take_apart,
)
from scdiff_augment.streaming.block_sizes import as_csr
from scdiff_augment.streaming.blocks import as_blocks, is_stream
from scdiff_augment.streaming.training_cells import source_of, stream_parts

from .compute import processes as team
from .diffusion import samplers as diffusion
from .diffusion import training as learning
from .parameters import PARAMETERS, clone_but_keep


class Backbone(BaseEstimator):
    """What of `LatentDiffusion` needs no labels; parameters are documented there."""

    _parameter_constraints: ClassVar[dict] = PARAMETERS

    def __init__(
        self,
        *,
        expression: str = "auto",
        encoder: Any = "auto",
        n_latent: int | str = "auto",
        width: int = 64,
        n_blocks: int = 2,
        decoder_steps: int | str = "auto",
        denoiser_steps: int = 300,
        classifier_steps: int = 0,
        n_timesteps: int = 1000,
        sampler: str = "dpm++",
        n_steps: int = 20,
        overdispersion: float = 1.0,
        random_state: Any = None,
        device: str = "cpu",
        n_jobs: int | None = None,
        verbose: bool = False,
    ):
        self.expression = expression
        self.encoder = encoder
        self.n_latent = n_latent
        self.width = width
        self.n_blocks = n_blocks
        self.decoder_steps = decoder_steps
        self.denoiser_steps = denoiser_steps
        self.classifier_steps = classifier_steps
        self.n_timesteps = n_timesteps
        self.sampler = sampler
        self.n_steps = n_steps
        self.overdispersion = overdispersion
        self.random_state = random_state
        self.device = device
        self.n_jobs = n_jobs
        self.verbose = verbose

    def fit(
        self,
        X: Any,
        *,
        groups: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        genes: ArrayLike | None = None,
        n_reservoir: int | None = None,
    ) -> Self:
        """Learn the codec and the denoiser from real cells.

        Parameters
        ----------
        X : {array-like, data frame, sparse matrix} of shape (n_cells, n_genes), or stream
            Finite, at least 2 cells; counts, log1p of normalised counts, or real values. The
            columns of a data frame name the genes. A stream is read block by block, twice: the
            path of an h5ad file or of a zarr store, a backed AnnData, a list of blocks, or what
            `scdiff_augment.as_blocks` makes (for layers, and for large matrices in memory). The
            codec, and the genes of classes, are then learnt from a random sample of its cells, the
            rest from all of them.
        groups : array-like of shape (n_cells,), optional
            Labels that shape the denoiser's starting point, a mixture with one Gaussian per
            group, and the label term of an `AutoEncoder`; k-means clusters of the latents by
            default.
        sample_weight : array-like of shape (n_cells,), optional
            How often a cell is drawn in training, relative to others; raise it for rare types.
        genes : array-like of str, shape (n_genes,), optional
            Names of the genes; by default the columns of X, where it is a data frame.
        n_reservoir : int, optional
            Of a stream: cells that the codec is learnt from, drawn by `sample_weight`, so that
            rare types are among them. By default as many as take 200 MB: 25,000 of 2,000 genes,
            at least 2,000. A stream of no more cells gives the same model as a matrix.

        Returns
        -------
        object
            The model itself.

        Raises
        ------
        TypeError
            If X can be read only once, such as a generator.
        ValueError
            If X is not such a matrix, contradicts `expression`, or has another length than
            `groups` or `sample_weight`. For streams the message names block and row.
        """
        self._validate_params()
        device_of(self.device)
        self._reset_randomness()
        cells = source_of(X, genes, self.expression, sample_weight, n_reservoir, self._rng)
        if cells.n_cells < 2:
            raise ValueError(f"a model is learnt from at least 2 cells, got {cells.n_cells}.")
        weight = require_weights(sample_weight, cells.n_cells)
        codes = None
        if groups is not None:
            codes = require_codes("groups", groups, cells.n_cells)
        parts, rows = cells.parts()
        self.n_features_in_, self.genes_ = parts.values.shape[1], cells.genes
        self.conditions_: dict[str, NDArray] = {}  # an earlier fit's are void
        self.classifiers_: dict[str, LatentClassifier] = {}
        self.gene_shifts_: dict[str, torch.Tensor] = {}
        self._codes: dict[str, NDArray] = {}
        self.history_: dict[str, Any] = {"notes": cells.notes, "expression": parts.kind}
        self._kind, self._total = parts.kind, parts.total
        self._weight = torch.from_numpy(weight).float()
        self.ladder_ = diffusion.ddpm_sigmas(self.n_timesteps)
        with bounded_threads(self.n_jobs), team.on_device(device_of(self.device)):
            self._fit_codec(parts, None if codes is None else codes[rows])
            z, self.training_hashes_ = cells.encode(self.codec_)
            self._keep(z, parts, rows)
            self.sigma_max_ = 10 * float(self._z.std(dim=0).max())
            self._fit_denoiser(codes)
        return self

    def _hold(self, parts: Expression) -> None:
        """Take other cells for those that conditions are learnt from, all with one weight."""
        with bounded_threads(self.n_jobs):
            self._keep(self.codec_.encode(parts), parts, np.arange(len(parts.values)))
        self._weight = torch.full((len(parts.values),), 1 / len(parts.values))
        self._codes = {}

    def encode(self, X: Any) -> NDArray[np.float32]:
        """Latents of real cells.

        Parameters
        ----------
        X : {array-like, data frame, sparse matrix} of shape (n_cells, n_genes), or stream
            Cells on the scale that `fit` saw, in memory or as a stream of blocks. Genes that have
            names are brought into the model's order.

        Returns
        -------
        ndarray of shape (n_cells, n_latent), float32
            Coordinates of the encoder, then, of counts and log1p values, the standardised log
            library size, and the log scale factor where the matrix has a selection of genes.

        Raises
        ------
        ValueError
            If X is no such matrix, lacks genes of the model, or is on another scale.
        """
        self._require_fitted()
        with bounded_threads(self.n_jobs):
            return np.concatenate([self.codec_.encode(parts) for parts in self._parts_of(X)])

    def decode(self, z: ArrayLike) -> NDArray[np.float32]:
        """Draw expression given latents; counts come with their sampling noise.

        Parameters
        ----------
        z : array-like of shape (n_cells, n_latent)
            Latents, as `encode` gives them.

        Returns
        -------
        ndarray of shape (n_cells, n_genes), float32
            On the scale of the matrix that `fit` saw.

        Raises
        ------
        ValueError
            If `z` is of another shape, or not finite.
        """
        self._require_fitted()
        z = require_latents("z", z, len(self.denoiser_.scale))
        with bounded_threads(self.n_jobs):
            values, factor = self.codec_.decode(z, self._rng, self.overdispersion)
        return put_together(values, self._kind, total=self._total, factor=factor)

    def invert(self, X: ArrayLike, *, n_steps: int = 100) -> NDArray[np.float64]:
        """Noise from which deterministic DDIM leads back to the cells, without any condition.

        Both ways are computed in double precision: between modes small errors grow, and a few of
        a hundred cells would not come back in single precision.

        Parameters
        ----------
        X : {array-like, data frame, sparse matrix} of shape (n_cells, n_genes)
            Real cells, on the scale that `fit` saw.
        n_steps : int, default=100
            Noise levels on the way.

        Returns
        -------
        ndarray of shape (n_cells, n_latent), float64
            Noise of unit variance, as far as the model describes the cells.

        Raises
        ------
        ValueError
            If X is not of the model's genes, or `n_steps` below 1.

        References
        ----------
        Song et al. 2021, Denoising diffusion implicit models, arXiv:2010.02502, section 4.3.
        """
        require_steps(n_steps)
        z = torch.from_numpy(self.encode(X)).double()
        exact, sigmas = self._in_double(n_steps)
        with bounded_threads(self.n_jobs), torch.no_grad():
            noisy = diffusion.invert_ddim(exact, z, sigmas)
            return ((noisy - _centre(exact, sigmas[0], z)) / sigmas[0]).numpy()

    def from_noise(self, noise: ArrayLike, *, n_steps: int = 100) -> NDArray[np.float32]:
        """Latents that deterministic DDIM makes of given noise: the way back from `invert`.

        Parameters
        ----------
        noise : array-like of shape (n_cells, n_latent)
            Noise of unit variance.
        n_steps : int, default=100
            Noise levels on the way; the same as in `invert` for a round trip.

        Returns
        -------
        ndarray of shape (n_cells, n_latent), float32
            Latents; `decode` draws expression from them.

        Raises
        ------
        ValueError
            If `noise` is of another shape or not finite, or `n_steps` below 1.
        """
        self._require_fitted()
        require_steps(n_steps)
        values = require_latents("noise", noise, len(self.denoiser_.scale), np.float64)
        unit = torch.from_numpy(values)
        exact, sigmas = self._in_double(n_steps)
        with bounded_threads(self.n_jobs), torch.no_grad():
            start = _centre(exact, sigmas[0], unit) + sigmas[0] * unit
            return diffusion.sample_ddim(exact, start, sigmas).float().numpy()

    def sigmas(self) -> torch.Tensor:
        """Noise levels that the sampler visits, falling, the last is 0."""
        highest = None if self.n_steps >= self.n_timesteps else self.sigma_max_
        return diffusion.select_sigmas(self.ladder_, self.n_steps, highest)

    def _fit_codec(self, parts: Expression, codes: NDArray[np.int64] | None) -> None:
        self.codec_ = codec_for(
            parts,
            self.encoder,
            n_latent=self.n_latent,
            n_steps=self.decoder_steps,
            genes=self.genes_,
        )
        self.history_ |= {"encoder_loss": [], "decoder_loss": []}
        steps = self.codec_.fit(parts, self._torch, codes)
        for part, loss in tqdm(steps, desc="codec", disable=not self.verbose):
            self.history_[f"{part}_loss"].append(loss)
        if parts.kind == "real" and self.expression == "auto" and parts.values.min() >= 0:
            self.history_["notes"].append(
                f"modelled as real values: the matrix is not negative, but only "
                f"{integer_fraction(parts.values):.1%} of its entries lead back to counts by expm1"
            )
        self.history_["n_latent"] = self.codec_.n_latent
        asked = latent_size(self.n_latent, len(parts.values))
        named = isinstance(self.codec_.encoder_, PCAEncoder) or not isinstance(self.n_latent, str)
        if named and isinstance(self.encoder, str) and self.codec_.n_latent < asked:
            self.history_["notes"].append(
                f"n_latent lowered from {asked} to {self.codec_.n_latent}: the matrix has "
                f"{parts.values.shape[0]} cells and {parts.values.shape[1]} features"
            )

    def _keep(self, z: NDArray[np.float32], parts: Expression, rows: NDArray[np.int64]) -> None:
        """Keep latents, and the values of some rows, for conditions that are added later."""
        self._z = torch.from_numpy(z)
        values = parts.values.copy() if parts.kind == "real" else as_csr(parts.values)
        self._kept: tuple[Any, NDArray[np.int64]] | None = (values, rows)

    def _fit_denoiser(self, codes: NDArray[np.int64] | None) -> None:
        groups = clusters(self._z, self._torch) if codes is None else torch.from_numpy(codes)
        self.denoiser_ = learning.denoiser_for(
            self._z, groups, self._weight, self.width, self.n_blocks, self._torch
        )
        steps = learning.train_denoiser(
            self.denoiser_, self._z, self._weight, self.ladder_, self.denoiser_steps, self._torch
        )
        self.history_["denoiser_loss"] = self._watch(steps, self.denoiser_steps, "denoiser")

    def _parts_of(self, X: Any) -> Iterator[Expression]:
        """Take cells apart that are on the scale of `fit`: a matrix at once, a stream by blocks."""
        if is_stream(X):
            known = self.n_features_in_, self.genes_
            yield from stream_parts(as_blocks(X), self._kind, self._total, *known)
        else:
            X, genes = dense_matrix(X)
            X = same_genes(X, genes, self.n_features_in_, self.genes_)
            yield take_apart(X, self._kind_of(X))

    def _in_double(self, n_steps: int) -> tuple[Denoiser, torch.Tensor]:
        """Return denoiser and levels of a way between cells and noise, in double precision."""
        sigmas = diffusion.select_sigmas(self.ladder_, n_steps, self.sigma_max_)
        return copy.deepcopy(self.denoiser_).double(), sigmas.double()

    def _kind_of(self, X: NDArray) -> str:
        """Tell what X holds: a model of counts reads counts and their log1p alike."""
        found = detect_kind(X)
        return found if "real" not in (found, self._kind) else self._kind

    def _reset_randomness(self) -> None:
        self._rng, self._torch = generators(self.random_state)

    def _watch(self, steps: Iterator[float], n_steps: int, what: str) -> list[float]:
        return list(tqdm(steps, total=n_steps, desc=what, disable=not self.verbose))

    def _require_fitted(self) -> None:
        if not hasattr(self, "denoiser_"):
            raise NotFittedError("this LatentDiffusion is not fitted yet; call `fit` first.")

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__().copy()
        if "_kept" in state:
            state["_kept"] = None  # a pickle holds no cells, as a saved model does not
        if "_torch" in state:  # by value: joblib, which caches steps of pipelines, hashes this
            state["_torch"] = state["_torch"].get_state().numpy()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "_torch" in state:
            self._torch = torch.Generator()
            self._torch.set_state(torch.from_numpy(state["_torch"]))

    def __copy__(self) -> Self:
        return self._with_cells(self.__getstate__())

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self._with_cells(copy.deepcopy(self.__getstate__(), memo))

    def _with_cells(self, state: dict[str, Any]) -> Self:
        """Build a copy within this process: it holds the cells that a pickle leaves out."""
        new = type(self).__new__(type(self))
        new.__setstate__(state | ({"_kept": self._kept} if "_kept" in state else {}))
        return new

    def __sklearn_clone__(self) -> Self:
        return clone_but_keep(self, ("encoder",))


def _centre(denoiser: Denoiser, sigma: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Return the denoiser's answer to noise alone: the mean, around which noisy cells lie."""
    return denoiser(torch.zeros_like(like), sigma[None])


def generators(random_state: Any) -> tuple[np.random.Generator, torch.Generator]:
    """One NumPy and one torch generator from whatever scikit-learn takes as random_state."""
    if isinstance(random_state, np.random.RandomState):
        random_state = random_state.randint(2**31 - 1)
    rng = np.random.default_rng(random_state)
    return rng, torch.Generator().manual_seed(int(rng.integers(2**31)))
