"""LatentDiffusion: a codec, a denoiser in its latent, and conditions that steer it."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, overload

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from scdiff_augment.annotation.new_cells import new_adata, provenance_of, require_condition_name
from scdiff_augment.codec.choice import codec_for, latent_size
from scdiff_augment.codec.class_gene_effects import LabelledCells
from scdiff_augment.codec.count_codec import CountCodec
from scdiff_augment.codec.encoders import PCAEncoder
from scdiff_augment.compute.devices import device_of
from scdiff_augment.compute.memory import require_room
from scdiff_augment.compute.progress import progress
from scdiff_augment.compute.randomness import Randomness
from scdiff_augment.compute.threads import bounded_threads, n_threads
from scdiff_augment.conditions.borrowed_changes import Change, cells_moved, changes_into
from scdiff_augment.conditions.combinations import combinations_of
from scdiff_augment.conditions.conditions import Conditions, LearntCondition, class_codes, groups_of
from scdiff_augment.conditions.effects_into import EffectsInto
from scdiff_augment.conditions.training_cells import TrainingCells
from scdiff_augment.conditions.unseen_combinations import Effects, Source, learn_effects
from scdiff_augment.diffusion.denoiser import Denoiser
from scdiff_augment.diffusion.mixture import clusters
from scdiff_augment.expression.advice import advice_on, note_on
from scdiff_augment.expression.checks import (
    dense_matrix,
    require_codes,
    require_latents,
    require_steps,
    require_weights,
    same_genes,
)
from scdiff_augment.expression.hashes import cell_hashes
from scdiff_augment.expression.kinds import Expression, denormalise, scale_like
from scdiff_augment.sampling.calibration import guidance_scales, rounds
from scdiff_augment.sampling.draw import drawer
from scdiff_augment.sampling.plan import SamplingPlan
from scdiff_augment.sampling.requests import (
    AUTO,
    GUIDANCE,
    Guidance,
    Request,
    request_of,
    require_interval,
    require_strength,
    require_temperature,
    resolve,
    scales_of,
)
from scdiff_augment.streaming.block_readers import as_blocks, is_stream
from scdiff_augment.streaming.block_sizes import cells_per_block
from scdiff_augment.streaming.cell_sources import source_of, stream_parts

from . import diffusion, saved_models
from .compute import processes
from .diffusion import training
from .parameters import PARAMETERS, clone_but_keep
from .sampling import interpolation
from .saved_models import SavedModel

if TYPE_CHECKING:
    from anndata import AnnData

SAMPLING: dict[str, Any] = {
    "guidance_scale": AUTO,
    "guidance_interval": None,
    "start": None,
    "strength": 1.0,
    "temperature": 1.0,
}
"""Options of `LatentDiffusion.sample`, with their defaults."""


class LatentDiffusion(BaseEstimator):
    """Latent diffusion model of single-cell expression, steered by condition classifiers.

    Three things are learnt one after another: a codec (expression to latent and back to
    counts), a denoiser of all cells' latents over a ladder of noise levels, and, for each
    condition, a noise-aware classifier whose gradient steers sampling. The denoiser needs no
    labels, and adding a condition changes nothing that was learnt before.

    Parameters
    ----------
    expression : str, default="auto"
        What the matrix holds. "auto" finds it; "counts", "normalized" (divided by size factors, no
        logarithm), "log1p", "log2", "log10", "log" (another base or pseudo-count), "sqrt" and
        "freeman-tukey" are modelled as the counts that they lead back to; "fractional" (corrected
        or estimated counts, TPM) and "log-fractional" as counts with fractions; "real" (z-scores,
        components) with Gaussian noise. docs/matrices.md says how each is recognised.
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
        Threads for torch and BLAS while this model works; None means 1, -1 all cores. With another
        number sums are rounded in another order, and training goes another way: the same seed
        gives other cells. ``history_["n_threads"]`` says how many `fit` used.
    verbose : bool, default=False
        Show progress.

    Attributes
    ----------
    history_ : dict
        "encoder_loss", "decoder_loss", "denoiser_loss", "classifier_loss:<name>": a loss for each
        training step; "n_latent": components in use; "expression": the kind that the matrix held;
        "scale": the same in a sentence; "notes": what was adapted to the data; "carried:<name>":
        those of them on a condition's combinations that were never seen.
    conditions_ : mapping of str to ndarray
        Name of each condition to the array of its classes.
    n_features_in_ : int
        Number of genes.
    genes_ : ndarray of str or None
        Their names, where `fit` saw a data frame or was given them.
    frame_ : bool
        Whether `fit` saw a data frame: new cells then come as data frames, too.
    training_hashes_ : ndarray of uint64, shape (n_cells,)
        Hashes of the cells of `fit`, to tell whether a cell was among them.

    References
    ----------
    Luo et al. 2024, scDiffusion: conditional generation of high-quality single-cell data using
    diffusion model, Bioinformatics 40(9), btae518.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from scdiff_augment import LatentDiffusion
    >>> rng = np.random.default_rng(0)
    >>> labels = np.repeat(["a", "b"], 50)
    >>> X = rng.poisson(np.where(labels == "a", 1.0, 4.0)[:, None], (100, 30))
    >>> model = LatentDiffusion(denoiser_steps=50, decoder_steps=50, random_state=0).fit(X)
    >>> model.add_condition("type", labels).sample({"type": "a"}, n=5).shape
    (5, 30)

    New cells come as `fit` saw real ones, here with the names of genes:

    >>> frame = pd.DataFrame(X).rename(columns="gene{}".format)
    >>> model.fit(frame).sample(n=2).columns[:3].tolist()
    ['gene0', 'gene1', 'gene2']
    """

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
            columns of a data frame name the genes. A stream is read in blocks, twice: the
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
        self.random_ = Randomness(self.random_state)
        source = source_of(
            X, genes, self.expression, sample_weight, n_reservoir, self.random_.numpy
        )
        if source.n_cells < 2:
            raise ValueError(f"a model is learnt from at least 2 cells, got {source.n_cells}.")
        weight = torch.from_numpy(require_weights(sample_weight, source.n_cells)).float()
        codes = None
        if groups is not None:
            codes = require_codes("groups", groups, source.n_cells)
        parts, rows = source.parts()
        self.n_features_in_, self.genes_ = parts.values.shape[1], source.genes
        self.frame_ = isinstance(X, pd.DataFrame)
        self.conditions_ = Conditions()  # an earlier fit's are void
        self.scale_ = parts.scale
        self.history_: dict[str, Any] = {"notes": source.notes, **self._told_of(parts)}
        self.ladder_ = diffusion.ddpm_sigmas(self.n_timesteps)
        with bounded_threads(self.n_jobs), processes.on_device(device_of(self.device)):
            self._fit_codec(parts, None if codes is None else codes[rows])
            z, self.training_hashes_ = source.encode(self.codec_)
            cells = TrainingCells.of(z, weight, parts, rows)
            self.cells_: TrainingCells | None = cells
            self.sigma_max_ = 10 * float(cells.z.std(dim=0).max())
            self._fit_denoiser(cells, codes)
        return self

    def add_condition(
        self,
        name: str,
        labels: ArrayLike,
        X: ArrayLike | None = None,
        *,
        sample_weight: ArrayLike | None = None,
        within: Mapping[str, ArrayLike] | None = None,
        into: Any = None,
    ) -> Self:
        """Learn to steer towards the classes of one more annotation.

        Beside the gradients, which act in the latent, each class gets what its counts have in each
        gene beyond those that its cells' latents, and their classes in conditions added before, let
        expect, shrunken by empirical Bayes. `sample` adds it to new cells; `interpolate`, between
        classes, does not. Of a stream given to `fit`, it is estimated from the cells of the codec;
        of `X`, each condition by itself.

        Parameters
        ----------
        name : str
            What `sample` will call it, for example "cell_type".
        labels : array-like of shape (n_cells,)
            Class of each cell.
        X : {array-like, data frame, sparse matrix} of shape (n_cells, n_genes), or stream, optional
            The labelled cells; those of `fit`, in their order, by default. A model that was
            loaded from a folder holds no cells and needs them.
        sample_weight : array-like of shape (n_cells,), optional
            Weight of each cell of X; equal by default. The cells of `fit` keep theirs.
        within : mapping of one name to array-like of shape (n_cells,), optional
            Another condition, added before, and the class that each of these cells has in it:
            ``add_condition("treatment", treatments, within={"cell_type": types})``. Combinations
            of the two that no cell has can then be sampled: cells of that type under a treatment
            that it was seen in, moved by what the treatment changes in the other types, of which
            similar ones count more (kriging over the types' mean latents).
            ``history_["notes"]`` names each combination and the weights.
        into : class of this condition, optional
            With `within`: the class that cells are going to be drawn as, such as a batch with few
            cells. A type that it has few cells of, or none, is then drawn as in all other classes
            and moved to a mean that is estimated from the type's own cells there and from what the
            other types change (kriging), by their precision (empirical Bayes). Combinations with
            the other classes are drawn as without `within`.

        Returns
        -------
        object
            The model itself; codec and denoiser are unchanged.

        Raises
        ------
        ValueError
            If `name` is no name or one of a column that marks synthetic cells, labels are missing
            or of another number than the cells, `within` does not name one known condition, `into`
            is no class or given without `within`, or the model holds no cells and `X` is not given.
        """
        self._require_fitted()
        require_condition_name(name)
        cells, generator = self.cells_, self.random_.torch
        if X is not None:
            z = torch.from_numpy(self.encode(X))
            weight = torch.from_numpy(require_weights(sample_weight, len(z))).float()
        elif cells is None or not cells.can_teach:
            raise ValueError(
                f"a model that was loaded from a folder or a pickle holds no cells to learn "
                f"condition '{name}' from. Pass them: add_condition('{name}', labels, X)."
            )
        else:
            z, weight = cells.z, cells.weight
        whose = "`X`" if X is not None else "`fit`"
        codes = require_codes(f"condition '{name}'", labels, len(z), f"the cells of {whose}")
        classes = np.unique(np.asarray(labels))
        self.conditions_.require_same_groups(name, classes)
        outer = None if within is None else groups_of(name, within, len(z), self.conditions_)
        if into is not None and outer is None:
            raise ValueError(
                f"into={into!r} says which class of '{name}' types are moved to, so it needs the "
                f"types: add_condition('{name}', labels, within={{'cell_type': types}}, into=...)."
            )
        code = None if into is None else int(class_codes(name, [into], classes)[0])
        with bounded_threads(self.n_jobs), processes.on_device(device_of(self.device)):
            width = self.width if self.classifier_steps else None
            target = torch.from_numpy(codes)
            if X is None and cells is not None:
                pieces = cells.pieces(name, codes)
            else:
                pieces = self._pieces(X, z.numpy(), codes)
            known = self.conditions_.gene_effects
            gene_effects = self.codec_.class_gene_effects(pieces, len(classes), known)
            classifier = training.classifier_for(z, target, len(classes), weight, width, generator)
            steps = training.train_classifier(
                classifier, z, target, weight, self.ladder_, self.classifier_steps, generator
            )
            losses = self._watch(steps, self.classifier_steps, f"condition {name}")
            effects: Effects | EffectsInto | None = None
            sources: Sequence[Source | Change] = []
            if outer is not None and code is None:
                effects, sources = learn_effects(*outer, z, codes, len(classes))
            elif outer is not None and code is not None:
                seen = combinations_of(z, outer.codes, outer.n_groups, codes, len(classes))
                changes = changes_into(seen, code)
                sources = [change for change in changes if change.origin]
                both = outer.codes * len(classes) + codes
                if X is None and cells is not None:
                    pieces = cells.pieces(name, both)
                else:
                    pieces = self._pieces(X, z.numpy(), both)
                own = cells_moved(pieces, len(classes), changes, (outer.name, name))
                tables = {**known, name: gene_effects}
                genes = self.codec_.class_gene_effects(own, outer.n_groups, tables)
                centres = self.conditions_.learnt[outer.name].classifier.mixture.means
                effects = EffectsInto.of(outer.name, changes, centres, genes)
        transferred = []
        if outer is not None:
            names = self.conditions_[outer.name], classes
            transferred = [source.describe(name, outer.name, *names) for source in sources]
        before = self.history_.get(f"carried:{name}", [])
        notes = [note for note in self.history_["notes"] if note not in before]
        self.history_ |= {"notes": notes + transferred, f"carried:{name}": transferred}
        self.history_[f"classifier_loss:{name}"] = losses
        learnt = LearntCondition(classes, classifier, gene_effects, effects)
        self.conditions_.learn(name, learnt)
        if cells is not None:
            cells.codes.pop(name, None)
            if X is None:
                cells.codes[name] = codes
        return self

    def sample(
        self,
        conditions: Mapping[str, Any] | None = None,
        n: int | None = None,
        *,
        guidance_scale: float | str | Mapping[str, float | str] = AUTO,
        guidance_interval: tuple[float, float] | None = None,
        start: ArrayLike | None = None,
        strength: float = 1.0,
        temperature: float = 1.0,
    ) -> NDArray[np.float32] | pd.DataFrame:
        """Draw new cells.

        Cells of the same classes are drawn with stratified noise (Latin hypercubes): each by itself
        is as the model says, and in each gene their mean is nearer to the model's than that of
        independent draws.

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
        guidance_scale : float, "auto" or mapping of name to either, default="auto"
            Weight of the conditions' gradients; 0 leaves a condition out. With 1 classifiers take
            new cells for other classes more often than real ones, since the latent does not hold
            all of a class; with too much cells are too typical. "auto" finds, when conditions are
            first asked for together, the scale of each of their classes at which judges, learnt
            from the training cells, are right about new cells as often as about those; from less
            than 400 cells it takes 1.25. ``history_["guidance:<names>"]`` holds what it found.
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
            than 1 cells deviate less from what is typical of their class.

        Returns
        -------
        ndarray or DataFrame of shape (n, n_genes), float32
            On the scale of the matrix that `fit` saw: counts, log1p values or real values. A data
            frame where that was one, with its genes as columns.

        Raises
        ------
        ValueError
            If a condition or class is unknown (the message lists the known ones), a number is
            out of range, or `strength` is below 1 without `start`.
        """
        plan, request = self.plan(
            conditions,
            n,
            guidance_scale=guidance_scale,
            guidance_interval=guidance_interval,
            start=start,
            strength=strength,
            temperature=temperature,
        )
        return self._as_fitted(self.scale_.normalise(*self.draw(plan, request), self.random_.numpy))

    def draw(
        self, plan: SamplingPlan, request: Request
    ) -> tuple[NDArray[np.float32], NDArray[np.float64] | None]:
        """Draw the cells of a plan, before they are brought to the scale of `fit`.

        Parameters
        ----------
        plan : SamplingPlan
            How they are drawn.
        request : Request
            Which they are; both as `plan` returns them.

        Returns
        -------
        values : ndarray of shape (n, n_genes), float32
            Counts, where the model knows counts; otherwise real values.
        factor : ndarray of shape (n,), float64, or None
            For normalised values whose cells do not share one total: the number by which each
            cell's counts are multiplied, before any logarithm or root.
        """
        n_cells = request.n_cells
        require_room(
            4 * n_cells * self.n_features_in_,
            f"{n_cells:,} new cells of {self.n_features_in_:,} genes as a dense matrix",
            "Ask for fewer cells, or use sample_adata(..., out='cells.zarr'), which writes them "
            "to a store block by block.",
        )
        values = np.empty((n_cells, self.n_features_in_), dtype=np.float32)
        factor = np.empty(n_cells)
        cells = drawer(plan)
        size = cells_per_block(self.n_features_in_)
        with (
            bounded_threads(self.n_jobs),
            progress(n_cells, "sampling", "cell", verbose=self.verbose) as done,
        ):
            for first in range(0, n_cells, size):
                block = slice(first, min(first + size, n_cells))
                part = request.part(block)
                values[block], scale = cells.dense(part, self.random_.torch, self.random_.numpy)
                factor[block] = np.nan if scale is None else scale
                done(block.stop - block.start)
        return values, None if np.isnan(factor).any() else factor

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
            with a model of the same `random_state`, resumes where it stopped; the store is the
            same as without one, and has its name only when it is complete.
        client : distributed.Client, optional
            Of a Dask cluster, whose workers draw the blocks; `out` is written here. The cells do
            not depend on the number of workers, as long as these are machines of one kind.
        overwrite : bool, default=False
            Whether a store at `out` may be replaced when the new one is complete.

        Returns
        -------
        AnnData of shape (n, n_genes), or Path
            Counts in ``layers["counts"]``, where the model knows counts, and in ``X`` values on the
            scale of `fit`, of counts their log1p CP10k values. ``obs`` holds the conditions,
            "is_synthetic" and "synthetic_source"; ``uns["scdiff_augment"]`` says how the cells were
            made. With `out`, the path of the store that holds all this.

        Raises
        ------
        FileExistsError
            If there is something at `out`, or another process writes to it.
        ValueError
            As in `sample`; if `out` was begun with other conditions, options or another model.
        """
        asked = {**SAMPLING, **options}
        if out is None and (client is not None or overwrite):
            raise ValueError("client and overwrite are about stores; name one with out=....")
        plan, request = self.plan(conditions, n, **asked)
        if any(isinstance(scale, torch.Tensor) for scale in plan.guidance.values()):
            asked["guidance_scale"] = self._described(plan.guidance)
        start = asked.pop("start")
        sources = None
        if start is not None:
            sources = [str(name) for name in getattr(start, "index", range(request.n_cells))]
        labels = {name: self.conditions_[name][c.numpy()] for name, c in request.asked.items()}
        provenance = provenance_of(
            self.get_params(deep=False), asked, self.training_hashes_, self.history_
        )
        provenance |= {"expression": self.scale_.kind, "scale": self.scale_.describe()}
        if out is not None:
            from scdiff_augment.sampling.sample_to_store import sample_to_store

            return sample_to_store(
                plan,
                request,
                Path(out),
                labels=labels,
                n_genes=self.n_features_in_,
                genes=self.genes_,
                sources=sources,
                provenance=provenance,
                random_state=self.random_state,
                rng=self.random_.numpy,
                client=client,
                overwrite=overwrite,
                verbose=self.verbose,
            )
        values, factor = self.draw(plan, request)
        return new_adata(
            None if self.scale_.kind == "real" else values,
            self.scale_.normalise(values, factor, self.random_.numpy),
            labels,
            genes=self.genes_,
            sources=sources,
            provenance=provenance,
        )

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
    ) -> NDArray[np.float32] | pd.DataFrame:
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
            Weight of the gradients. Below 1 cells drift to other classes; from 2 on they hold to
            the two ends, and change in fewer steps.
        noise : {"drawn", "inverted"}, default="drawn"
            "drawn": random noise, most of which overwrites the cell where `sigma` is high.
            "inverted": the noise from which deterministic DDIM, steered to `source`, leads back
            to the cell; what distinguishes a cell from the other source cells goes along the path.
            It uses DDIM, whatever `sampler` is, at twice as many levels.

        Returns
        -------
        ndarray of shape (n_weights, n_cells, n_genes), float32, or DataFrame
            New cells, on the scale of the matrix that `fit` saw. Where that was a data frame, one
            of shape (n_weights * n_cells, n_genes), whose rows are named by "weight" and by the
            "cell" of `start`: ``path.loc[0.5]`` are the cells half-way.

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
        scale = scales_of(guidance_scale, [name]).get(name)
        if scale is None:
            raise ValueError("guidance_scale='auto' is for sample; interpolate needs a number.")
        resolve({name: source}, 1, self.conditions_)
        codes = class_codes(name, [source, target], self.conditions_[name])
        z = torch.from_numpy(self.encode(start))
        learnt = self.conditions_.learnt[name]
        ends = (int(codes[0]), int(codes[1]))
        mix = interpolation.mixed(self.denoiser_, learnt.classifier, ends, scale)
        if noise == "drawn":
            sigmas = diffusion.select_sigmas(self.ladder_, self.n_steps, sigma)
            seed = self.random_.torch_seed()
            found = interpolation.from_noise(mix, z, shares, sigmas, self.sampler, seed)
        else:
            sigmas = diffusion.select_sigmas(self.ladder_, 2 * self.n_steps, sigma)
            found = interpolation.from_inversion(mix, z, shares, sigmas)
        paths = np.empty((len(shares), len(z), self.n_features_in_), dtype=np.float32)
        with bounded_threads(self.n_jobs), torch.no_grad():
            for i, latents in enumerate(found):
                paths[i] = self._decoded(latents.numpy())
        if not self.frame_:
            return paths
        cells = start.index if isinstance(start, pd.DataFrame) else range(len(z))
        index = pd.MultiIndex.from_product([shares, cells], names=["weight", "cell"])
        return self._as_fitted(paths.reshape(-1, self.n_features_in_), index)

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

    def decode(self, z: ArrayLike) -> NDArray[np.float32] | pd.DataFrame:
        """Draw expression given latents; counts come with their sampling noise.

        Parameters
        ----------
        z : array-like of shape (n_cells, n_latent)
            Latents, as `encode` gives them.

        Returns
        -------
        ndarray or DataFrame of shape (n_cells, n_genes), float32
            On the scale of the matrix that `fit` saw; a data frame where that was one.

        Raises
        ------
        ValueError
            If `z` is of another shape, or not finite.
        """
        self._require_fitted()
        return self._as_fitted(self._decoded(require_latents("z", z, len(self.denoiser_.scale))))

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

    def plan(
        self,
        conditions: Mapping[str, Any] | None = None,
        n: int | None = None,
        *,
        guidance_scale: float | str | Mapping[str, float | str] = AUTO,
        guidance_interval: tuple[float, float] | None = None,
        start: ArrayLike | None = None,
        strength: float = 1.0,
        temperature: float = 1.0,
        latents: NDArray[np.float32] | None = None,
    ) -> tuple[SamplingPlan, Request]:
        """Return how `sample` would draw these cells, without drawing them.

        Parameters
        ----------
        conditions, n, guidance_scale, guidance_interval, start, strength, temperature
            As in `sample`.
        latents : ndarray of shape (n, n_latent), float32, optional
            Latents to start from, in the place of `start`.

        Returns
        -------
        plan : SamplingPlan
            Everything that drawing needs of the model; it can be sent to another machine.
        request : Request
            The cells that are asked for.

        Raises
        ------
        ValueError
            As in `sample`.
        """
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
        n = n if z is None else len(z)
        asked, n_cells = resolve(conditions or {}, n, self.conditions_)
        guidance = self._guidance(guidance_scale, list(asked))
        off = [name for name, scale in guidance.items() if not torch.as_tensor(scale).any()]
        request = request_of(asked, off, self.conditions_, n_cells, z)
        plan = self._plan(
            request,
            guidance,
            interval=require_interval(guidance_interval),
            sigmas=diffusion.shorten(self.sigmas(), strength),
            temperature=temperature,
        )
        return plan, request

    def _plan(
        self,
        request: Request,
        guidance: Mapping[str, Guidance],
        *,
        interval: tuple[float, float] | None = None,
        sigmas: torch.Tensor | None = None,
        temperature: float = 1.0,
    ) -> SamplingPlan:
        spread = torch.full_like(self.denoiser_.scale, temperature)
        spread[self.codec_.n_latent :] = 1  # library sizes stay as they are
        learnt = self.conditions_.learnt
        # A gradient of weight below 1 leads part of the way to a class; its genes follow.
        part = {name: min(float(torch.as_tensor(k).min()), 1.0) for name, k in guidance.items()}
        return SamplingPlan(
            denoiser=self.denoiser_,
            codec=self.codec_,
            scale=self.scale_,
            classifiers={name: learnt[name].classifier for name in request.targets},
            gene_effects={name: learnt[name].gene_effects * part[name] for name in request.classes},
            combined_effects={
                name: effects.table() * part[name]
                for name in request.combined
                if isinstance(effects := learnt[name].effects, EffectsInto)
            },
            guidance=guidance,
            interval=interval,
            sigmas=self.sigmas() if sigmas is None else sigmas,
            sampler=self.sampler,
            spread=spread,
            overdispersion=self.overdispersion,
            device=self.device,
            n_jobs=self.n_jobs,
        )

    def _guidance(
        self, given: float | str | Mapping[str, float | str], names: Sequence[str]
    ) -> dict[str, Guidance]:
        """Return the weight of each condition's gradient, or of each of its classes."""
        fixed = scales_of(given, names)
        steering = [name for name in names if fixed.get(name) != 0]
        if fixed.keys() >= {*names}:
            return {**fixed}
        self._calibrate(steering)
        found = self.conditions_.calibrated(steering)
        return {name: fixed.get(name, found.get(name, GUIDANCE)) for name in names}

    def _calibrate(self, names: Sequence[str]) -> None:
        """Find the guidance scales of conditions that act together, where cells are at hand."""
        cells, key = self.cells_, frozenset(names)
        if key in self.conditions_.guidance or cells is None or not cells.can_teach:
            return
        if not all(name in cells.codes for name in names):  # other cells had its labels
            return
        used = cells.weight.numpy()[cells.rows] > 0
        codes = {name: cells.codes[name][cells.rows][used] for name in names}
        sizes = {name: len(self.conditions_[name]) for name in names}
        what = f"guidance of {', '.join(names)}"
        with (
            bounded_threads(self.n_jobs),
            progress(sum(map(len, rounds(len(names)))), what, "draw", verbose=self.verbose) as done,
        ):

            def draw(
                asked: Mapping[str, NDArray[np.int64]], scales: Mapping[str, NDArray[np.float32]]
            ) -> NDArray[np.float32]:
                wanted = {name: torch.from_numpy(some) for name, some in asked.items()}
                n_cells = len(next(iter(asked.values())))
                request = request_of(wanted, (), self.conditions_, n_cells)
                guidance = {name: torch.from_numpy(some) for name, some in scales.items()}
                plan = drawer(self._plan(request, guidance))
                noise, rng = torch.Generator().manual_seed(0), np.random.default_rng(0)
                size = cells_per_block(self.n_features_in_)
                starts = range(0, n_cells, size)
                blocks = [request.part(slice(i, min(i + size, n_cells))) for i in starts]
                new = np.concatenate([plan.dense(block, noise, rng)[0] for block in blocks])
                done(1)
                return new

            counts = isinstance(self.codec_, CountCodec)
            found = guidance_scales(cells.values[used], codes, sizes, draw, counts=counts)
        if found is not None:
            self.conditions_.guidance[key] = {k: torch.from_numpy(v) for k, v in found.items()}
            self.history_[f"guidance:{', '.join(names)}"] = self._described(
                self.conditions_.guidance[key]
            )

    def _described(self, guidance: Mapping[str, Guidance]) -> dict[str, Any]:
        """Scales by condition, and by class where each has its own."""
        found: dict[str, Any] = {}
        for name, scale in guidance.items():
            found[name] = scale
            if isinstance(scale, torch.Tensor):
                pairs = zip(self.conditions_[name], scale.tolist(), strict=True)
                found[name] = {str(label): round(one, 2) for label, one in pairs}
        return found

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the model to a folder of safetensors and JSON.

        Parameters
        ----------
        path : str or Path
            The folder; created. It holds no cells, only hashes of those of `fit`.
        overwrite : bool, default=False
            Whether a model that is there may be replaced. It stays intact until the new one is
            complete.

        Raises
        ------
        FileExistsError
            If there is something at `path` that may not be replaced.
        TypeError
            If the encoder is an object that cannot be kept without pickle.
        """
        self._require_fitted()
        for name in self.conditions_:  # which a model without cells can no longer
            self._calibrate([name])
        if len(self.conditions_) > 1:
            self._calibrate(list(self.conditions_))
        saved_models.write(
            SavedModel(
                self.get_params(deep=False),
                self.codec_,
                self.denoiser_,
                self.conditions_,
                self.scale_,
                self.sigma_max_,
                self.n_features_in_,
                self.genes_,
                self.frame_,
                self.training_hashes_,
                self.history_,
            ),
            Path(path),
            overwrite=overwrite,
        )

    @classmethod
    def load(cls, path: str | Path, *, random_state: Any = None) -> Self:
        """Read a model that `save` wrote.

        Parameters
        ----------
        path : str or Path
            The folder.
        random_state : int, numpy.random.Generator or None, default=None
            Source of randomness from here on.

        Returns
        -------
        object
            Ready to sample; `add_condition` needs cells.

        Raises
        ------
        FileNotFoundError
            If there is no such folder, or a file of it is missing.
        ValueError
            If the folder is no such model, was cut off, altered, or written by a newer version.
        """
        saved = saved_models.read(Path(path))
        model = cls(**saved.parameters, random_state=random_state)
        model.codec_, model.denoiser_ = saved.codec, saved.denoiser
        model.conditions_, model.scale_ = saved.conditions, saved.scale
        model.ladder_, model.sigma_max_ = diffusion.ddpm_sigmas(model.n_timesteps), saved.sigma_max
        model.n_features_in_, model.genes_ = saved.n_features_in, saved.genes
        model.frame_ = saved.frame
        model.training_hashes_, model.history_ = saved.training_hashes, saved.history
        model.cells_, model.random_ = None, Randomness(random_state)
        return model

    def adapted(
        self,
        parts: Expression,
        *,
        genes: NDArray | None = None,
        columns: NDArray[np.intp] | None = None,
        notes: Sequence[str] = (),
        **parameters: Any,
    ) -> Self:
        """Return a copy for other cells: its conditions are learnt from them.

        Parameters
        ----------
        parts : Expression
            The cells, with counts where the model knows counts.
        genes : ndarray of str, shape (n_genes,), optional
            Their genes, where these are others than the model's; a decoder for them is trained.
        columns : ndarray of shape (n_genes of the model,), optional
            Column of each gene of the model among `genes`, -1 where it is absent.
        notes : sequence of str, default=()
            What ``history_["notes"]`` begins with.
        **parameters
            Of the copy, in place of the model's.

        Returns
        -------
        LatentDiffusion
            Without conditions; the model itself is not changed.
        """
        self._require_fitted()
        ours = copy.copy(self).set_params(**parameters)
        ours.conditions_, ours.scale_ = Conditions(), parts.scale
        ours.random_ = Randomness(ours.random_state)
        ours.history_ = {
            "notes": list(notes),
            "n_latent": self.history_["n_latent"],
            **ours._told_of(parts),
        }
        if columns is not None and isinstance(self.codec_, CountCodec):
            with bounded_threads(ours.n_jobs), processes.on_device(device_of(ours.device)):
                ours.codec_ = self.codec_.for_genes(
                    columns, parts, ours.random_.torch, self.decoder_steps
                )
            ours.genes_, ours.n_features_in_ = genes, parts.values.shape[1]
            hashes = cell_hashes(parts, genes)  # the decoder has seen these too
            ours.training_hashes_ = np.concatenate([self.training_hashes_, hashes])
        with bounded_threads(ours.n_jobs):
            z, rows = ours.codec_.encode(parts), np.arange(len(parts.values))
        ours.cells_ = TrainingCells.of(z, torch.full((len(z),), 1 / len(z)), parts, rows)
        return ours

    def _decoded(self, z: NDArray[np.float32]) -> NDArray[np.float32]:
        with bounded_threads(self.n_jobs):
            values, factor = self.codec_.decode(z, self.random_.numpy, self.overdispersion)
        return self.scale_.normalise(values, factor, self.random_.numpy)

    def _as_fitted(self, values: NDArray[np.float32], index: Any = None) -> Any:
        """Put new cells into a data frame, where `fit` saw one."""
        if not self.frame_:
            return values
        genes = range(self.n_features_in_) if self.genes_ is None else self.genes_
        return pd.DataFrame(values, index=index, columns=genes)

    def _fit_codec(self, parts: Expression, codes: NDArray[np.int64] | None) -> None:
        self.codec_ = codec_for(
            parts,
            self.encoder,
            n_latent=self.n_latent,
            n_steps=self.decoder_steps,
            genes=self.genes_,
        )
        self.history_ |= {"encoder_loss": [], "decoder_loss": []}
        steps = self.codec_.fit(parts, self.random_.torch, codes)
        total = self.codec_.training_steps
        with progress(total, "codec", "step", verbose=self.verbose) as done:
            for part, loss in steps:
                self.history_[f"{part}_loss"].append(loss)
                done(1)
        if self.expression == "auto" and (note := note_on(parts)):
            self.history_["notes"].append(note)
        self.history_["n_latent"] = self.codec_.n_latent
        if isinstance(self.codec_, CountCodec) and self.codec_.core_ is not None:
            self.history_["notes"].append(
                f"the encoder read the {len(self.codec_.core_):,} of {parts.values.shape[1]:,} "
                f"genes that vary most; the decoder gives all of them"
            )
        asked = latent_size(self.n_latent, len(parts.values))
        named = isinstance(self.codec_.encoder_, PCAEncoder) or not isinstance(self.n_latent, str)
        if named and isinstance(self.encoder, str) and self.codec_.n_latent < asked:
            self.history_["notes"].append(
                f"n_latent lowered from {asked} to {self.codec_.n_latent}: the matrix has "
                f"{parts.values.shape[0]} cells and {parts.values.shape[1]} features"
            )

    def _fit_denoiser(self, cells: TrainingCells, codes: NDArray[np.int64] | None) -> None:
        z, weight, generator = cells.z, cells.weight, self.random_.torch
        groups = clusters(z, generator) if codes is None else torch.from_numpy(codes)
        self.denoiser_ = training.denoiser_for(
            z, groups, weight, self.width, self.n_blocks, generator
        )
        steps = training.train_denoiser(
            self.denoiser_, z, weight, self.ladder_, self.denoiser_steps, generator
        )
        self.history_["denoiser_loss"] = self._watch(steps, self.denoiser_steps, "denoiser")

    def _pieces(
        self, X: Any, z: NDArray[np.float32], codes: NDArray[np.int64]
    ) -> Iterator[LabelledCells]:
        """Yield the cells of X by blocks."""
        first = 0
        for parts in self._parts_of(X):
            last = first + len(parts.values)
            if last > len(codes):
                raise ValueError(
                    f"the blocks gave {len(codes)} cells when they were read first, and more the "
                    f"second time. They must give the same each time."
                )
            yield LabelledCells(parts.values, z[first:last], codes[first:last])
            first = last

    def _parts_of(self, X: Any) -> Iterator[Expression]:
        """Take cells apart that are on the scale of `fit`: a matrix at once, a stream by blocks."""
        if is_stream(X):
            known = self.n_features_in_, self.genes_
            yield from stream_parts(as_blocks(X), self.scale_, *known)
        else:
            X, genes = dense_matrix(X)
            X = same_genes(X, genes, self.n_features_in_, self.genes_)
            yield denormalise(X, scale_like(X, self.scale_))

    def _told_of(self, parts: Expression) -> dict[str, Any]:
        """Say what the matrix held and with how many threads it is learnt; warn of assumptions."""
        if self.expression == "auto" and (advice := advice_on(parts)):
            warnings.warn(advice, UserWarning, stacklevel=3)
        return {
            "expression": parts.kind,
            "scale": parts.scale.describe(),
            "n_threads": n_threads(self.n_jobs),
        }

    def _in_double(self, n_steps: int) -> tuple[Denoiser, torch.Tensor]:
        """Return denoiser and levels of a way between cells and noise, in double precision."""
        sigmas = diffusion.select_sigmas(self.ladder_, n_steps, self.sigma_max_)
        return copy.deepcopy(self.denoiser_).double(), sigmas.double()

    def _watch(self, steps: Iterator[float], n_steps: int, what: str) -> list[float]:
        losses = []
        with progress(n_steps, what, "step", verbose=self.verbose) as done:
            for loss in steps:
                losses.append(loss)
                done(1)
        return losses

    def _require_fitted(self) -> None:
        if not hasattr(self, "denoiser_"):
            raise NotFittedError("this LatentDiffusion is not fitted yet; call `fit` first.")

    def __copy__(self) -> Self:
        new = type(self)(**self.get_params(deep=False))
        new.__dict__.update(self.__dict__)
        for name in ("random_", "conditions_", "cells_"):  # what sampling and learning change
            if name in new.__dict__:
                setattr(new, name, copy.copy(new.__dict__[name]))
        return new

    def __sklearn_clone__(self) -> Self:
        return clone_but_keep(self, ("encoder",))


def _centre(denoiser: Denoiser, sigma: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Return the denoiser's answer to noise alone: the mean, around which noisy cells lie."""
    return denoiser(torch.zeros_like(like), sigma[None])
