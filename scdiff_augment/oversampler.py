"""DiffusionOversampler: imbalanced-learn's contract around a latent diffusion model."""

from __future__ import annotations

import numbers
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from imblearn.over_sampling.base import BaseOverSampler
from imblearn.utils import Substitution, check_target_type
from imblearn.utils._docstring import _random_state_docstring
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import validate_data

from .expression import detect_kind
from .generator import LatentDiffusion
from .parameters import PARAMETERS
from .validation import (
    cast,
    cells_with_counts,
    refuse_anndata,
    require_finite,
    require_labels,
)

Draw = Callable[[NDArray], NDArray[np.float32]]


class GenerativeOverSampler(BaseOverSampler):
    """What every oversampler that learns a model of the training fold has in common.

    A subclass implements `_fit_model`; validation, exact class counts, containers and dtypes
    are dealt with here.
    """

    def fit(self, X: ArrayLike, y: ArrayLike, **params: Any) -> GenerativeOverSampler:
        """Check X and y and find ``sampling_strategy_``; nothing is trained.

        Parameters
        ----------
        X : {array-like, dataframe, sparse matrix} of shape (n_cells, n_genes)
            Expression matrix.
        y : array-like of shape (n_cells,)
            Class of each cell.
        **params : dict
            Passed on as imbalanced-learn does.

        Returns
        -------
        object
            The sampler itself.
        """
        refuse_anndata(X)
        require_labels(y)
        return super().fit(X, y, **params)

    def fit_resample(self, X: ArrayLike, y: ArrayLike, **params: Any) -> tuple[Any, Any]:
        """Learn the real cells and append synthetic ones.

        Parameters
        ----------
        X : {array-like, dataframe, sparse matrix} of shape (n_cells, n_genes)
            Counts, log1p of depth-normalised counts, or any real matrix. Finite.
        y : array-like of shape (n_cells,)
            Class of each cell.
        **params : dict
            Passed on as imbalanced-learn does.

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
            If X holds NaN or infinity, contradicts `expression`, or y has one class.
        """
        refuse_anndata(X)
        require_labels(y)
        return super().fit_resample(X, y, **params)

    @abstractmethod
    def _fit_model(
        self, X: NDArray, y: NDArray, weight: NDArray, random_state: np.random.RandomState
    ) -> Draw:
        """Learn dense X; return a function from wanted classes to new rows."""

    def _check_X_y(self, X: Any, y: Any, accept_sparse: Any = None) -> tuple[Any, NDArray, bool]:
        y, binarize_y = check_target_type(y, indicate_one_vs_all=True)
        X_checked, y = validate_data(
            self,
            X=X,
            y=y,
            reset=True,
            accept_sparse=accept_sparse or ["csr", "csc"],
            ensure_all_finite=False,
        )
        require_finite(X_checked, getattr(self, "feature_names_in_", None))
        if len(np.unique(y)) == 1:
            raise ValueError(
                f"The target 'y' needs to have more than 1 class. Got 1 class instead: {y[0]!s} "
                f"({len(y)} cells). Balancing compares classes; "
                f"LatentDiffusion().fit(X).sample(n=100) draws cells without labels."
            )
        return X_checked, y, binarize_y

    def _fit_resample(self, X: Any, y: NDArray, **params: Any) -> tuple[Any, NDArray]:
        for name in ("generator_", "history_"):
            self.__dict__.pop(name, None)  # of an earlier call
        wanted = [label for label, n in self.sampling_strategy_.items() for _ in range(n)]
        if not wanted:
            return X.copy(), y.copy()
        labels = np.array(wanted, dtype=y.dtype)
        dense = np.ascontiguousarray(X.toarray() if sparse.issparse(X) else X)
        kind = getattr(self, "expression", "auto")
        used = cells_with_counts(dense, y, detect_kind(dense) if kind == "auto" else kind)
        _, codes, counts = np.unique(y[used], return_inverse=True, return_counts=True)
        weight = counts[codes] ** -0.5  # rare types are seen more often, not equally often
        random_state = check_random_state(self.random_state)
        draw = self._fit_model(dense[used], y[used], weight, random_state)
        new = draw(labels)
        new = cast(new, X.dtype)
        if sparse.issparse(X):
            container = type(X)
            stacked = sparse.vstack([X, container(new)], format=X.format)
        else:
            stacked = np.vstack([X, new])
        return stacked, np.hstack([y, labels])


@Substitution(
    sampling_strategy=BaseOverSampler._sampling_strategy_docstring,
    random_state=_random_state_docstring,
)
class DiffusionOversampler(GenerativeOverSampler):
    """Over-sample cells with a latent diffusion model of the training fold.

    `fit_resample` learns a codec, a denoiser of all cells and a condition classifier for `y`,
    draws as many cells of each class as `sampling_strategy` asks for, and appends them. Counts
    stay counts and log1p values stay log1p values, with the sampling noise and the zeros of
    real cells.

    Parameters
    ----------
    {sampling_strategy}

    {random_state}

    expression : {{"auto", "counts", "log1p", "real"}}, default="auto"
        What X holds. "auto" finds non-negative integers and log1p of depth-normalised counts;
        anything else is modelled as real values with Gaussian noise.

    n_latent : int or "auto", default="auto"
        Principal components of the latent; clamped to what X allows, said in ``history_``. "auto"
        takes one for every 35 cells, 5 to 50.

    guidance_scale : float, default=1.0
        Weight of the class gradient in sampling; 1 is Bayes' rule, more sharpens classes.

    sampler : {{"dpm++", "ddim", "ddpm"}}, default="dpm++"
        How noise becomes cells; "ddpm" wants ``n_steps=n_timesteps``.

    n_steps : int, default=20
        Noise levels that the sampler visits, at least 5.

    n_timesteps : int, default=1000
        Noise levels of the training ladder.

    width : int, default=64
        Hidden units of the denoiser.

    n_blocks : int, default=2
        Residual blocks of the denoiser.

    decoder_steps, denoiser_steps, classifier_steps : int, default=400, 300, 0
        Training steps of each part. ``classifier_steps=0`` uses the closed form of Gaussian
        classes alone.

    n_jobs : int, default=None
        Threads for torch and BLAS; None means 1, -1 all cores. Restored afterwards.

    verbose : bool, default=False
        Show progress.

    Attributes
    ----------
    sampling_strategy_ : dict
        Class to the number of cells that were added.

    generator_ : LatentDiffusion
        The fitted model; ``generator_.sample({{"y": label}}, n=100)`` draws more cells. Neither
        this nor ``history_`` exists where no cell was asked for.

    history_ : dict
        Losses of the training steps, and notes on what was adapted to the data.

    n_features_in_ : int
        Number of genes.

    feature_names_in_ : ndarray of shape (n_features_in_,)
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

    _parameter_constraints: ClassVar[dict] = {
        **PARAMETERS,
        **BaseOverSampler._parameter_constraints,
        "guidance_scale": [Interval(numbers.Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        *,
        sampling_strategy: Any = "auto",
        random_state: Any = None,
        expression: str = "auto",
        n_latent: int | str = "auto",
        guidance_scale: float = 1.0,
        sampler: str = "dpm++",
        n_steps: int = 20,
        n_timesteps: int = 1000,
        width: int = 64,
        n_blocks: int = 2,
        decoder_steps: int = 400,
        denoiser_steps: int = 300,
        classifier_steps: int = 0,
        n_jobs: int | None = None,
        verbose: bool = False,
    ):
        super().__init__(sampling_strategy=sampling_strategy)
        self.random_state = random_state
        self.expression = expression
        self.n_latent = n_latent
        self.guidance_scale = guidance_scale
        self.sampler = sampler
        self.n_steps = n_steps
        self.n_timesteps = n_timesteps
        self.width = width
        self.n_blocks = n_blocks
        self.decoder_steps = decoder_steps
        self.denoiser_steps = denoiser_steps
        self.classifier_steps = classifier_steps
        self.n_jobs = n_jobs
        self.verbose = verbose

    def _fit_model(
        self, X: NDArray, y: NDArray, weight: NDArray, random_state: np.random.RandomState
    ) -> Draw:
        model = LatentDiffusion(
            expression=self.expression,
            n_latent=self.n_latent,
            width=self.width,
            n_blocks=self.n_blocks,
            decoder_steps=self.decoder_steps,
            denoiser_steps=self.denoiser_steps,
            classifier_steps=self.classifier_steps,
            n_timesteps=self.n_timesteps,
            sampler=self.sampler,
            n_steps=self.n_steps,
            random_state=random_state,
            n_jobs=self.n_jobs,
            verbose=self.verbose,
        )
        self.generator_ = model.fit(X, groups=y, sample_weight=weight).add_condition("y", y)
        self.history_ = model.history_
        return lambda labels: model.sample({"y": labels}, guidance_scale=self.guidance_scale)
