"""LatentDiffusion: a backbone, and conditions that steer it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from tqdm.auto import tqdm

from scdiff_augment.annotation.new_cells import new_adata, provenance_of
from scdiff_augment.compute.training_loop import bounded_threads
from scdiff_augment.expression.kinds import put_together
from scdiff_augment.sampling.draw import drawer
from scdiff_augment.sampling.plan import Drawing
from scdiff_augment.sampling.requests import (
    GUIDANCE,
    carry_over,
    class_codes,
    require_interval,
    require_strength,
    require_temperature,
    resolve,
    scales_of,
)
from scdiff_augment.streaming.block_sizes import cells_per_block

from .conditioned import Conditioned
from .diffusion import samplers as diffusion
from .sampling import interpolation

if TYPE_CHECKING:
    from anndata import AnnData

SAMPLING: dict[str, Any] = {
    "guidance_scale": GUIDANCE,
    "guidance_interval": None,
    "start": None,
    "strength": 1.0,
    "temperature": 1.0,
}
"""Options of `LatentDiffusion.sample`, with their defaults."""


class LatentDiffusion(Conditioned):
    """Latent diffusion model of single-cell expression, steered by condition classifiers.

    Three things are learnt one after another: a codec (expression to latent and back to
    counts), a denoiser of all cells' latents over a ladder of noise levels, and, for each
    condition, a noise-aware classifier whose gradient steers sampling. The denoiser needs no
    labels, and adding a condition changes nothing that was learnt before.

    Parameters
    ----------
    expression : {"auto", "counts", "log1p", "real"}, default="auto"
        What the matrix holds; see `scdiff_augment.expression.kinds.detect_kind`.
    encoder : str or object, default="auto"
        "pca", "autoencoder" (small), "autoencoder-published" (3 x 1024 hidden units, 128
        dimensions), an `AutoEncoder`, a `SCimilarityEncoder`, or any fitted object whose
        ``transform`` gives (cells, n_latent) for log1p CP10k values (real matrices: for the
        values as they are). "auto" is "autoencoder" for counts and log1p of 800 cells and more,
        "pca" otherwise. What is named, or an `AutoEncoder`, is trained here; the decoder always is.
    n_latent : int or "auto", default="auto"
        Dimensions of the latent of a named encoder. "auto" takes one for every 20 cells,
        16 to 64, for "autoencoder", 128 for the published one, and of principal components one
        for every 35 cells, 5 to 50.
        Components are clamped to what the matrix allows.
    width : int, default=64
        Hidden units of the denoiser.
    n_blocks : int, default=2
        Residual blocks of the denoiser.
    decoder_steps, denoiser_steps, classifier_steps : int, default="auto", 300, 0
        Training steps of each part; "auto" shows the decoder each cell about 20 times, in 100 to
        400 steps. With ``classifier_steps=0`` a condition is the closed form
        of Gaussian classes alone.
    n_timesteps : int, default=1000
        Noise levels of the training ladder.
    sampler : {"dpm++", "ddim", "ddpm"}, default="dpm++"
        How noise becomes cells. "ddpm" wants ``n_steps=n_timesteps``.
    n_steps : int, default=20
        Noise levels that the sampler visits.
    random_state : int, numpy.random.RandomState, numpy.random.Generator or None, default=None
        Source of all randomness; global generators are never touched.
    overdispersion : float, default=1.0
        Share of the measured overdispersion that new counts get: with 1 they vary as real ones do,
        with 0 as Poisson counts around their expected values.
    device : str, default="cpu"
        Where networks are trained and `sample` draws: "cpu", "cuda", "cuda:1", or "auto", a GPU
        where there is one. Cells go in and come out on the host, where `decode`, `invert`,
        `from_noise` and `interpolate` compute.
    n_jobs : int, default=None
        Threads for torch and BLAS while this model works; None means 1, -1 all cores.
    verbose : bool, default=False
        Show progress.

    Attributes
    ----------
    history_ : dict
        "encoder_loss", "decoder_loss", "denoiser_loss", "classifier_loss:<name>": a loss for each
        training step; "n_latent": components in use; "expression": what the matrix held; "notes":
        what was adapted to the data; "carried:<name>": those of them on a condition's combinations
        that were never seen.
    conditions_ : dict
        Name of each condition to the array of its classes.
    n_features_in_ : int
        Number of genes.
    genes_ : ndarray of str or None
        Their names, where `fit` saw a data frame or was given them.
    training_hashes_ : ndarray of uint64, shape (n_cells,)
        Hashes of the cells of `fit`, to tell whether a cell was among them.

    References
    ----------
    Luo et al. 2024, scDiffusion: conditional generation of high-quality single-cell data using
    diffusion model, Bioinformatics 40(9), btae518.

    Examples
    --------
    >>> import numpy as np
    >>> from scdiff_augment import LatentDiffusion
    >>> rng = np.random.default_rng(0)
    >>> labels = np.repeat(["a", "b"], 50)
    >>> X = rng.poisson(np.where(labels == "a", 1.0, 4.0)[:, None], (100, 30))
    >>> model = LatentDiffusion(denoiser_steps=50, decoder_steps=50, random_state=0).fit(X)
    >>> model.add_condition("type", labels).sample({"type": "a"}, n=5).shape
    (5, 30)
    """

    def sample(
        self,
        conditions: Mapping[str, Any] | None = None,
        n: int | None = None,
        *,
        guidance_scale: float | Mapping[str, float] = GUIDANCE,
        guidance_interval: tuple[float, float] | None = None,
        start: ArrayLike | None = None,
        strength: float = 1.0,
        temperature: float = 1.0,
    ) -> NDArray[np.float32]:
        """Draw new cells.

        Cells of the same classes are drawn together: each by itself is as the model says, and in
        each gene their mean is nearer to the model's than that of independent draws (`strata`).

        Parameters
        ----------
        conditions : mapping of name to class, or to n classes, optional
            What the cells shall be; several conditions act together. Without any, cells come
            in the proportions of training. A combination that no cell of training has needs
            ``add_condition(..., within=...)``; without it, gradients lead to the nearest cells
            that were seen.
        n : int, optional
            How many cells; may be left out where a condition lists a class for each cell, or
            where `start` holds the cells to start from.
        guidance_scale : float or mapping of name to float, default=1.25
            Weight of the conditions' gradients; 0 leaves a condition out. With the default, judges
            that learnt from real cells call new ones what they were asked to be about as often
            as real ones; with 1 less often, since the latent does not hold all of a class, and with
            2 more often: cells are then too typical.
        guidance_interval : (low, high), optional
            Noise levels sigma between which the gradients act; everywhere by default.
        start : {array-like, data frame, sparse matrix} of shape (n, n_genes), optional
            Real cells to start from, with `strength` below 1. For a combination that was never
            seen: cells of that group in the class that ``history_["notes"]`` says it is drawn from.
        strength : float in (0, 1], default=1.0
            Share of the sampler's steps that are run: 1 starts from pure noise, less from the
            cells of `start` noised to the level where the remaining steps begin.
        temperature : float, default=1.0
            Standard deviation of the noise that cells are made of, library sizes apart. With less
            than 1 cells stray less from what is typical of their class.

        Returns
        -------
        ndarray of shape (n, n_genes), float32
            On the scale of the matrix that `fit` saw: counts, log1p values or real values.

        Raises
        ------
        ValueError
            If a condition or class is unknown (the message lists the known ones), a number is
            out of range, or `strength` is below 1 without `start`.
        """
        conditions = conditions or {}
        values, factor = self._draw(
            conditions,
            n,
            guidance_scale=guidance_scale,
            guidance_interval=guidance_interval,
            start=start,
            strength=strength,
            temperature=temperature,
        )
        return put_together(values, self._kind, total=self._total, factor=factor)

    def interpolate(
        self,
        start: ArrayLike,
        name: str,
        source: Any,
        target: Any,
        weights: Iterable[float],
        *,
        sigma: float = 8.0,
        guidance_scale: float = 1.5,
        noise: str = "drawn",
    ) -> NDArray[np.float32]:
        """Lead real cells of one class towards another by mixing the two gradients.

        Cells are noised to `sigma` and denoised from there under the gradient
        ``(1 - w) grad log p(source | z) + w grad log p(target | z)`` ([1]_, gradient
        interpolation). A cell meets the same noise at every weight.

        The defaults are those under which cells of two data sets reached the target and passed
        through types that were left out of training.

        Parameters
        ----------
        start : {array-like, data frame, sparse matrix} of shape (n_cells, n_genes)
            Real cells of `source`.
        name : str
            The condition that `source` and `target` are classes of.
        source, target : label
            Where the path begins and ends.
        weights : iterable of float in [0, 1]
            Weight of `target`.
        sigma : float, default=8.0
            Noise level of the start, in units of the latents' common standard deviation: about
            the distance between the two classes, or more. With less, cells stay near the source
            at every weight.
        guidance_scale : float, default=1.5
            Weight of the gradients. Below 1 cells stray to other classes; from 2 on they hold to
            the two ends, and change in fewer steps.
        noise : {"drawn", "inverted"}, default="drawn"
            "drawn": random noise, most of which overwrites the cell where `sigma` is high.
            "inverted": the noise from which deterministic DDIM, steered to `source`, leads back
            to the cell; what a cell has of its own among the source's cells goes along the path.
            It uses DDIM, whatever `sampler` is, at twice as many levels.

        Returns
        -------
        ndarray of shape (n_weights, n_cells, n_genes), float32
            New cells, on the scale of the matrix that `fit` saw.

        Raises
        ------
        ValueError
            If a name or class is unknown, or a number is out of range.

        References
        ----------
        .. [1] Luo et al. 2024, scDiffusion, Bioinformatics 40(9), btae518, §2.
        """
        self._require_fitted()
        shares = interpolation.checked(weights, sigma, noise)
        scale = scales_of(guidance_scale, [name])[name]
        resolve({name: source}, 1, self.conditions_)
        codes = class_codes(name, [source, target], self.conditions_[name])
        z = torch.from_numpy(self.encode(start))
        ends = (int(codes[0]), int(codes[1]))
        mix = interpolation.mixed(self.denoiser_, self.classifiers_[name], ends, scale)
        if noise == "drawn":
            sigmas = diffusion.select_sigmas(self.ladder_, self.n_steps, sigma)
            seed = int(torch.randint(2**31, (), generator=self._torch))
            found = interpolation.from_noise(mix, z, shares, sigmas, self.sampler, seed)
        else:
            sigmas = diffusion.select_sigmas(self.ladder_, 2 * self.n_steps, sigma)
            found = interpolation.from_inversion(mix, z, shares, sigmas)
        paths = np.empty((len(shares), len(z), self.n_features_in_), dtype=np.float32)
        with bounded_threads(self.n_jobs), torch.no_grad():
            for i, latents in enumerate(found):
                paths[i] = self.decode(latents.numpy())
        return paths

    @overload
    def sample_adata(
        self,
        conditions: Mapping[str, Any] | None = None,
        n: int | None = None,
        *,
        out: None = None,
        **options: Any,
    ) -> AnnData: ...

    @overload
    def sample_adata(
        self,
        conditions: Mapping[str, Any] | None = None,
        n: int | None = None,
        *,
        out: str | Path,
        client: Any = None,
        overwrite: bool = False,
        **options: Any,
    ) -> Path: ...

    def sample_adata(
        self,
        conditions: Mapping[str, Any] | None = None,
        n: int | None = None,
        *,
        out: str | Path | None = None,
        client: Any = None,
        overwrite: bool = False,
        **options: Any,
    ) -> AnnData | Path:
        """Draw new cells as an AnnData, or into a zarr store, block by block.

        Parameters
        ----------
        conditions, n, **options
            As in `sample`.
        out : str or Path, optional
            Zarr store to write, ending in ".zarr". Blocks of up to 4,096 cells are drawn and
            written one by one, each from a seed of its own. After an interruption the same call,
            with a model of the same `random_state`, goes on where it stopped; the store is the
            same as without one, and has its name only when it is complete.
        client : distributed.Client, optional
            Of a Dask cluster, whose workers draw the blocks; `out` is written here. The cells do
            not depend on the number of workers, as long as these are machines of one kind.
        overwrite : bool, default=False
            Whether a store at `out` may be replaced when the new one is complete.

        Returns
        -------
        AnnData of shape (n, n_genes), or Path
            Counts in ``layers["counts"]`` and log1p values in ``X``, where the model knows counts,
            otherwise values in ``X``. ``obs`` holds the conditions, "is_synthetic" and
            "synthetic_source"; ``uns["scdiff_augment"]`` says how the cells were made. With `out`,
            the path of the store that holds all this.

        Raises
        ------
        FileExistsError
            If there is something at `out`, or another process writes to it.
        ValueError
            As in `sample`; if `out` was begun with other conditions, options or another model.
        """
        conditions = conditions or {}
        asked = {**SAMPLING, **options}
        if out is not None:
            from scdiff_augment.sampling.to_store import sample_to_store

            return sample_to_store(
                self, conditions, n, asked, Path(out), client=client, overwrite=overwrite
            )
        if client is not None or overwrite:
            raise ValueError("client and overwrite are about stores; name one with out=....")
        values, factor = self._draw(conditions, n, **asked)
        wanted, _ = resolve(conditions, len(values), self.conditions_)
        start = asked.pop("start")
        sources = None
        if start is not None:
            sources = [str(name) for name in getattr(start, "index", range(len(values)))]
        return new_adata(
            None if self._kind == "real" else values,
            put_together(values, self._kind, total=self._total, factor=factor),
            {name: self.conditions_[name][codes.numpy()] for name, codes in wanted.items()},
            genes=self.genes_,
            sources=sources,
            provenance=provenance_of(self, asked),
        )

    def _draw(
        self, conditions: Mapping[str, Any], n: int | None, **options: Any
    ) -> tuple[NDArray[np.float32], NDArray[np.float64] | None]:
        """Return decoded values (counts, where the model knows counts) and the factors of log1p."""
        drawing, _, n_cells = self._drawing(conditions, n, **options)
        values = np.empty((n_cells, self.n_features_in_), dtype=np.float32)
        factor = np.empty(n_cells)
        cells = drawer(self, drawing)
        with bounded_threads(self.n_jobs):
            size = cells_per_block(self.n_features_in_)
            for first in tqdm(range(0, n_cells, size), desc="sampling", disable=not self.verbose):
                block = slice(first, min(first + size, n_cells))
                values[block], scale = cells.dense(block, self._torch, self._rng)
                factor[block] = np.nan if scale is None else scale
        return values, None if np.isnan(factor).any() else factor

    def _drawing(
        self,
        conditions: Mapping[str, Any],
        n: int | None,
        guidance_scale: float | Mapping[str, float],
        guidance_interval: tuple[float, float] | None,
        start: ArrayLike | None,
        strength: float,
        temperature: float,
        latents: NDArray[np.float32] | None = None,
    ) -> tuple[Drawing, dict[str, torch.Tensor], int]:
        """Return how the cells are drawn, and the class codes asked for."""
        self._require_fitted()
        require_strength(strength, start if latents is None else latents)
        require_temperature(temperature)
        if start is not None:
            latents = self.encode(start)
        z = None if latents is None else torch.from_numpy(latents)
        if z is not None and n not in (None, len(z)):
            raise ValueError(
                f"n={n} cells are asked for, but start has {len(z)}, and each leads to one. Leave "
                f"n out, or pass n rows in start; rows may repeat."
            )
        wanted, n_cells = resolve(conditions, n if z is None else len(z), self.conditions_)
        scales = scales_of(guidance_scale, list(wanted))
        asked = {name: codes for name, codes in wanted.items() if scales[name] > 0}
        return (
            Drawing(
                self.classifiers_,
                carry_over(self.classifiers_, asked, self.conditions_),
                scales,
                require_interval(guidance_interval),
                diffusion.shorten(self.sigmas(), strength),
                self.sampler,
                z,
                self._spread(temperature),
            ),
            wanted,
            n_cells,
        )

    def _spread(self, temperature: float) -> torch.Tensor:
        """Return the noise's standard deviation, (n_latent,): library sizes stay as they are."""
        spread = torch.full_like(self.denoiser_.scale, temperature)
        spread[self.codec_.n_latent :] = 1
        return spread
