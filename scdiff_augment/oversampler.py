"""DiffusionOversampler: its parameters, and how it learns and draws from a latent diffusion."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from imblearn.over_sampling.base import BaseOverSampler
from imblearn.utils import Substitution, check_sampling_strategy
from imblearn.utils._docstring import _random_state_docstring
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.base import clone
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

from scdiff_augment.expression.checks import computed, refuse_anndata, require_labels
from scdiff_augment.expression.kinds import denormalise, depth_normalised
from scdiff_augment.oversampling.base import Draw, GenerativeOverSampler, in_blocks, start_cells
from scdiff_augment.oversampling.pretrained import adapted_to_fold
from scdiff_augment.oversampling.rare_types import warn_of_few
from scdiff_augment.oversampling.rejection import draw_accepted, seeded, warn_of_rejected
from scdiff_augment.oversampling.requested_classes import require_requested_classes
from scdiff_augment.oversampling.target_batch import cells_wanted, require_change, target_of
from scdiff_augment.sampling.requests import require_interval
from scdiff_augment.streaming.block_readers import as_blocks
from scdiff_augment.streaming.block_sizes import cells_per_block

from .generator import LatentDiffusion
from .parameters import PARAMETERS, clone_but_keep

OWN = ("sampler", "n_steps", "overdispersion", "device", "n_jobs", "verbose")
"""Parameters that hold for a pretrained generator too."""


@Substitution(
    sampling_strategy=BaseOverSampler._sampling_strategy_docstring,
    random_state=_random_state_docstring,
)
class DiffusionOversampler(GenerativeOverSampler):
    """Over-sample cells with a latent diffusion model of the training fold.

    `fit_resample` learns a codec, a denoiser of all cells and a condition classifier for `y`,
    draws as many cells of each class as `sampling_strategy` asks for, and appends them. Counts,
    normalised values, their logarithms and roots stay what they are, with the sampling noise and
    the zeros of real cells. Of a sparse matrix of more than 50 million entries no more than a block
    is ever dense; the codec is then learnt from a random sample of 50 million entries, all else
    from all cells, and ``history_["notes"]`` says so.

    Parameters
    ----------
    {sampling_strategy}

    {random_state}

    expression : str, default="auto"
        What X holds, in the words of `LatentDiffusion`: "counts", "normalized", "log1p", "log2",
        "log10", "log", "sqrt", "freeman-tukey", "fractional", "log-fractional" or "real". "auto"
        finds it. New cells come on the same scale.

    n_latent : int or "auto", default="auto"
        Dimensions of the latent of a named encoder. "auto" takes one for every 20 cells,
        16 to 64, for "autoencoder", 128 for the published one, and of principal components one
        for every 35 cells, 5 to 50.

    encoder : str or object, default="auto"
        "pca", "autoencoder", "autoencoder-published", an `AutoEncoder`, a `SCimilarityEncoder`, or
        any fitted object with ``transform``; see `LatentDiffusion`. "auto" is "autoencoder" for
        counts and log1p of 800 cells and more, "pca" otherwise. A fitted object is shared with
        clones of the sampler, not refitted.

    guidance_scale : float, default=1.0
        Weight of the class gradient in sampling; 1 is Bayes' rule, more sharpens classes.

    guidance_interval : (low, high), default=None
        Noise levels sigma between which the gradient acts; everywhere by default.

    strength : float in (0, 1], default=1.0
        1 draws cells from pure noise. Less starts from real cells of the class, each in turn,
        noised to the level from which this share of the sampler's steps remains; such a class
        needs at least 2 cells.

    temperature : float, default=0.7
        Standard deviation of the noise that cells are made of. Real cells vary as with 1; less
        keeps new ones nearer to what is typical of their class.

    balance : float in [0, 1], default=0.5
        How far training batches are balanced: cells are drawn with weight ``n_class ** -balance``.
        0 keeps the natural proportions, 1 shows all classes equally often.

    judge : classifier, default=None
        A rejection classifier: an unfitted scikit-learn classifier that is fitted on the real
        cells and rejects new cells that it assigns to another class. They are drawn again, up to
        10 times; counts stay exact.

    into : label, default=None
        The batch that new cells are made for, of those in ``fit_resample(X, y, batch=batch)``; or
        the donor, where donors are given. `sampling_strategy` then counts classes in that batch,
        and classes that it lacks are made, too. A class that it has few cells of, or none, is
        drawn as in the other batches and moved: by what the way there changes in other classes,
        and by the cells of its own, weighed by their precision. ``history_["notes"]`` says so
        class by class. None spreads new cells over batches as the real ones are.

    generator : LatentDiffusion, default=None
        A pretrained model: only the classes are learnt here (and a decoder, where the genes
        differ). `sampler`, `n_steps`, `overdispersion`, `device`, `n_jobs` and `verbose` are those
        given here, all other parameters of the model its own. Its genes and those of X are matched
        by name.

    on_overlap : {{"warn", "raise", "ignore"}}, default="warn"
        What to do if `generator` has seen cells of X in its training.

    sampler : {{"dpm++", "ddim", "ddpm"}}, default="dpm++"
        How noise becomes cells; "ddpm" wants ``n_steps=n_timesteps``.

    n_steps : int, default=20
        Noise levels that the sampler visits, at least 5.

    overdispersion : float, default=0.0
        Share of the measured overdispersion that new counts get; 0 draws them from Poisson
        distributions around their expected values. Real cells vary as with 1, but classifiers
        learn types better from cells that vary less.

    n_timesteps : int, default=1000
        Noise levels of the training ladder.

    width : int, default=64
        Hidden units of the denoiser.

    n_blocks : int, default=2
        Residual blocks of the denoiser.

    decoder_steps, denoiser_steps, classifier_steps : int, default="auto", 300, 0
        Training steps of each part; "auto" shows the decoder each cell about 20 times, in 100 to
        400 steps. ``classifier_steps=0`` uses the closed form of Gaussian
        classes alone.

    device : str, default="cpu"
        Where networks are trained and cells drawn: "cpu", "cuda", "cuda:1", or "auto", a GPU
        where there is one.

    n_jobs : int, default=None
        Threads for torch and BLAS; None means 1, -1 all cores. Restored afterwards. With another
        number sums are rounded in another order, and training goes another way: the same seed
        gives other cells. ``history_["n_threads"]`` says how many there were.

    verbose : bool, default=False
        Show progress.

    Attributes
    ----------
    sampling_strategy_ : dict
        Class to the number of cells that were added.

    generator_ : LatentDiffusion
        The fitted model; ``generator_.sample({{"y": label}}, n=100)`` draws more cells, under
        its own options' defaults. Like
        ``synthetic_source_``, ``annotations_`` and ``history_``, it does not exist where no cell
        was asked for.

    synthetic_source_ : ndarray of shape (n_new,)
        Row of X that each new cell started from; -1 for pure noise.

    synthetic_factor_ : ndarray of shape (n_new,)
        By what the counts of each new cell were multiplied before any logarithm or root. Of log1p
        values ``expm1(X_new) / synthetic_factor_`` are its counts; 1 where X holds counts, NaN
        where it holds fractional counts or other real values.

    annotations_ : dict of str to ndarray of shape (n_new,)
        "donor" and "batch" of the new cells, where they were given.

    history_ : dict
        Losses of the training steps, and notes on what was adapted to the data.

    n_features_in_ : int
        Number of genes.

    feature_names_in_ : ndarray of shape (n_genes,)
        Names of the genes, where X has string column names.

    See Also
    --------
    LatentDiffusion : The model itself, with several conditions.
    oversample_adata : The same for AnnData.

    References
    ----------
    Luo et al. 2024, scDiffusion: conditional generation of high-quality single-cell data using
    diffusion model, Bioinformatics 40(9), btae518.

    Examples
    --------
    >>> from collections import Counter
    >>> import numpy as np
    >>> from scdiff_augment import DiffusionOversampler
    >>> rng = np.random.default_rng(0)
    >>> y = np.array(["common"] * 90 + ["rare"] * 10)
    >>> X = rng.poisson(np.where(y == "common", 1.0, 4.0)[:, None], (100, 30))
    >>> sampler = DiffusionOversampler(denoiser_steps=100, random_state=0)
    >>> X_resampled, y_resampled = sampler.fit_resample(X, y)
    >>> sorted(Counter(y_resampled.tolist()).items()), X_resampled.dtype == X.dtype
    ([('common', 90), ('rare', 90)], True)
    """

    _of_a_call = (
        "generator_",
        "history_",
        "synthetic_source_",
        "synthetic_factor_",
        "annotations_",
    )

    _parameter_constraints: ClassVar[dict] = {
        **PARAMETERS,
        **BaseOverSampler._parameter_constraints,
        "guidance_scale": [Interval(numbers.Real, 0, None, closed="left")],
        "guidance_interval": ["array-like", None],
        "strength": [Interval(numbers.Real, 0, 1, closed="right")],
        "temperature": [Interval(numbers.Real, 0, None, closed="neither")],
        "balance": [Interval(numbers.Real, 0, 1, closed="both")],
        "judge": [HasMethods(["fit", "predict"]), None],
        "into": [str, numbers.Real, None],
        "generator": [LatentDiffusion, None],
        "on_overlap": [StrOptions({"warn", "raise", "ignore"})],
    }

    def __init__(
        self,
        *,
        sampling_strategy: Any = "auto",
        random_state: Any = None,
        expression: str = "auto",
        encoder: Any = "auto",
        n_latent: int | str = "auto",
        guidance_scale: float = 1.0,
        guidance_interval: tuple[float, float] | None = None,
        strength: float = 1.0,
        temperature: float = 0.7,
        balance: float = 0.5,
        judge: Any = None,
        into: Any = None,
        generator: LatentDiffusion | None = None,
        on_overlap: str = "warn",
        sampler: str = "dpm++",
        n_steps: int = 20,
        overdispersion: float = 0.0,
        n_timesteps: int = 1000,
        width: int = 64,
        n_blocks: int = 2,
        decoder_steps: int | str = "auto",
        denoiser_steps: int = 300,
        classifier_steps: int = 0,
        device: str = "cpu",
        n_jobs: int | None = None,
        verbose: bool = False,
    ):
        super().__init__(sampling_strategy=sampling_strategy)
        self.random_state = random_state
        self.expression = expression
        self.encoder = encoder
        self.n_latent = n_latent
        self.guidance_scale = guidance_scale
        self.guidance_interval = guidance_interval
        self.strength = strength
        self.temperature = temperature
        self.balance = balance
        self.judge = judge
        self.into = into
        self.generator = generator
        self.on_overlap = on_overlap
        self.sampler = sampler
        self.n_steps = n_steps
        self.overdispersion = overdispersion
        self.n_timesteps = n_timesteps
        self.width = width
        self.n_blocks = n_blocks
        self.decoder_steps = decoder_steps
        self.denoiser_steps = denoiser_steps
        self.classifier_steps = classifier_steps
        self.device = device
        self.n_jobs = n_jobs
        self.verbose = verbose

    def fit_resample(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        donor: ArrayLike | None = None,
        batch: ArrayLike | None = None,
    ) -> tuple[Any, Any]:
        """Learn the real cells and append synthetic ones.

        Parameters
        ----------
        X : {array-like, dataframe, sparse matrix} of shape (n_cells, n_genes)
            Counts, normalised counts, their logarithms or roots, or any real matrix. Finite.
        y : array-like of shape (n_cells,)
            Class of each cell.
        donor, batch : array-like of shape (n_cells,), optional
            Donor and batch of each cell. Each becomes a condition of its own: new cells of a class
            are spread over its donors and batches as its real cells are, and steered there;
            ``annotations_`` says which. In pipelines they are routed as scikit-learn's metadata:
            ``set_fit_resample_request(donor=True)``. With `into` it is one of the two, and new
            cells are of the batch or donor that `into` names.

        Returns
        -------
        X_resampled : same container as X, of shape (n_cells + n_new, n_genes)
            The real cells, first and unchanged, then the synthetic ones, class by class.
        y_resampled : same container as y, of shape (n_cells + n_new,)
            Their classes.

        Raises
        ------
        TypeError
            If X is an AnnData; `oversample_adata` takes those.
        ValueError
            If X holds NaN or infinity, contradicts `expression`, or y has one class; if no cell is
            of the batch that `into` names, or how a class differs there cannot be known.
        """
        refuse_anndata(X)
        require_labels(y)
        return super().fit_resample(computed(X), y, donor=donor, batch=batch)

    def _fit_model(
        self,
        X: Any,
        y: NDArray,
        weight: NDArray,
        random_state: np.random.RandomState,
        **annotations: NDArray,
    ) -> Draw:
        self._require_two_cells(y)
        require_interval(self.guidance_interval)
        few = warn_of_few(y, self.sampling_strategy_)
        model = self._model_of(X, y, weight, random_state)
        self.learn_conditions(model, y, annotations)
        self.generator_, self.history_ = model, model.history_
        self.history_["notes"] += few
        rng = np.random.default_rng(random_state.randint(2**31 - 1))

        def draw(labels: NDArray) -> Any:
            like = start_cells(y, labels, rng)  # a real cell of the class for each new one
            self.annotations_ = self.annotations_of_new(annotations, like)
            self.synthetic_source_ = like if self.strength < 1 else np.full(len(like), -1)
            wanted = {"y": labels, **self.annotations_}
            self.synthetic_factor_ = np.ones(len(labels))

            def some(positions: NDArray) -> NDArray[np.float32]:
                plan, request = model.plan(
                    {name: values[positions] for name, values in wanted.items()},
                    len(positions),
                    guidance_scale=self.guidance_scale,
                    guidance_interval=self.guidance_interval,
                    start=X[like[positions]] if self.strength < 1 else None,
                    strength=self.strength,
                    temperature=self.temperature,
                )
                values, factor = model.draw(plan, request)
                self.synthetic_factor_[positions] = model.scale_.factor_of(values, factor)
                return model.scale_.normalise(values, factor, model.random_.numpy)

            if sparse.issparse(X):
                return in_blocks(some, len(labels), X.shape[1])
            if self.judge is None:
                return some(np.arange(len(labels)))
            judge = seeded(clone(self.judge), rng).fit(self._judged(X), y)
            cells, accepted = draw_accepted(
                some, lambda cells, label: judge.predict(self._judged(cells)) == label, labels
            )
            self.history_["accepted"] = float(accepted.mean())
            self.history_["notes"] += warn_of_rejected(labels, accepted)
            return cells

        return draw

    def _model_of(
        self, X: Any, y: NDArray, weight: NDArray, random_state: np.random.RandomState
    ) -> LatentDiffusion:
        """Learn the backbone here, or take the pretrained one."""
        genes = getattr(self, "feature_names_in_", None)
        if self.generator is not None:
            return adapted_to_fold(
                self.generator,
                denormalise(X, self.expression),
                genes,
                on_overlap=self.on_overlap,
                random_state=random_state,
                **{name: getattr(self, name) for name in OWN},
            )
        cells = X
        if sparse.issparse(X):
            cells = as_blocks(X, size=cells_per_block(X.shape[1]))
        return self.unfitted_model(random_state).fit(
            cells, groups=y, sample_weight=weight, genes=genes
        )

    def _reads_blocks(self) -> bool:
        return self.generator is None and self.judge is None

    @property
    def _sampling_type(self) -> str:
        """Which cells imbalanced-learn counts: all, or none where they are counted in a batch."""
        return "over-sampling" if self.into is None else "bypass"

    def _cells_wanted(self, y: NDArray, annotations: Mapping[str, NDArray]) -> dict[Any, int]:
        if self.into is None:
            return super()._cells_wanted(y, annotations)
        target = target_of(self.into, annotations)
        wanted = cells_wanted(self.sampling_strategy, y, target)
        require_change(y, annotations[target.name], target, wanted)
        return wanted

    def learn_conditions(
        self, model: LatentDiffusion, y: NDArray, annotations: Mapping[str, NDArray]
    ) -> None:
        """Let a model learn the classes, and the donors or batches, of the cells of its `fit`.

        Parameters
        ----------
        model : LatentDiffusion
            Fitted; its conditions are added to.
        y : ndarray of shape (n_cells,)
            Class of each cell.
        annotations : mapping of str to ndarray of shape (n_cells,)
            "donor" and "batch" of each cell, where they are given.
        """
        model.add_condition("y", y)
        within = None if self.into is None else {"y": y}
        for name, labels in annotations.items():
            model.add_condition(name, labels, within=within, into=self.into)

    def annotations_of_new(
        self, annotations: Mapping[str, NDArray], like: NDArray[np.intp]
    ) -> dict[str, NDArray]:
        """Return donors and batches of new cells: the one that is wanted, or those of real cells.

        Parameters
        ----------
        annotations : mapping of str to ndarray of shape (n_cells,)
            Those of the real cells.
        like : ndarray of shape (n_new,)
            The real cell that each new one is distributed like.
        """
        if self.into is None:
            return {name: values[like] for name, values in annotations.items()}
        target = target_of(self.into, annotations)
        return {target.name: np.repeat(annotations[target.name][target.inside][:1], len(like))}

    def classes_to_make(
        self, y: NDArray, annotations: Mapping[str, NDArray] = MappingProxyType({})
    ) -> NDArray:
        """Check the parameters and find the class of each cell that is to be made.

        Parameters
        ----------
        y : ndarray of shape (n_cells,)
            Class of each real cell.
        annotations : mapping of str to ndarray of shape (n_cells,), optional
            "donor" and "batch" of each real cell, where they are given.

        Returns
        -------
        ndarray of shape (n_new,)

        Raises
        ------
        ValueError
            If a parameter is out of range, a class is too small for `strength`, or nothing is known
            of it in the batch that `into` names.
        """
        self._validate_params()
        require_interval(self.guidance_interval)
        require_requested_classes(self.sampling_strategy, y, numbers=self.into is None)
        counted = check_sampling_strategy(self.sampling_strategy, y, self._sampling_type)
        self.sampling_strategy_ = counted
        wanted = self.sampling_strategy_ = self._cells_wanted(y, annotations)
        self._require_two_cells(y)
        return np.repeat(np.array(list(wanted), dtype=y.dtype), list(wanted.values()))

    def unfitted_model(self, random_state: Any) -> LatentDiffusion:
        """Return a `LatentDiffusion` of these parameters, which is not fitted yet."""
        shared = set(LatentDiffusion().get_params(deep=False)) - {"random_state"}
        parameters = {name: getattr(self, name) for name in shared}
        return LatentDiffusion(**parameters, random_state=random_state)

    def _require_two_cells(self, y: NDArray) -> None:
        """Refuse to start from a single real cell: it would be copied."""
        labels, counts = np.unique(y, return_counts=True)
        for label, n in zip(labels, counts, strict=True):
            if self.strength < 1 and n < 2 and self.sampling_strategy_.get(label, 0):
                raise ValueError(
                    f"class '{label}' has 1 cell; `strength={self.strength:g}` starts from real "
                    f"cells and needs at least 2. Use strength=1.0 or leave the class out of "
                    f"sampling_strategy."
                )

    def _judged(self, X: NDArray) -> NDArray:
        """Return what the rejection classifier reads: log1p values, or real values as they are."""
        linear = self.generator_.scale_.kind in ("counts", "normalized", "fractional")
        return depth_normalised(X) if linear else X

    def __sklearn_clone__(self) -> DiffusionOversampler:
        return clone_but_keep(self, ("encoder", "generator"))
