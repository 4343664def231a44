"""Strategies: what is done about the imbalance before or around the classifier."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from imblearn.over_sampling import SMOTE, RandomOverSampler
from imblearn.utils import check_sampling_strategy

from benchmarks.messages import choose, nearest


@dataclass(frozen=True)
class Strategy:
    """One way of dealing with imbalance.

    Attributes
    ----------
    sampler : object or None
        imbalanced-learn sampler, with ``fit_resample``.
    class_weight : bool
        Whether the classifier weights its classes.
    thresholds : bool
        Whether the classifier's thresholds are tuned on the training cells.
    """

    sampler: Any = None
    class_weight: bool = False
    thresholds: bool = False


Build = Callable[..., Strategy]


@dataclass(frozen=True)
class Entry:
    """A registered strategy.

    Attributes
    ----------
    build : callable
        ``build(sampling_strategy, random_state, **params) -> Strategy``.
    trivial : bool
        Whether it makes no new expression profiles of its own: the bar that others must pass.
    package : bool
        Whether it runs code of scdiff_augment, so that its results go stale with it.
    """

    build: Build
    trivial: bool = True
    package: bool = False


STRATEGIES: dict[str, Entry] = {}


def register(*, trivial: bool = True, package: bool = False) -> Callable[[Build], Build]:
    """Put a function into the registry under its own name.

    Parameters
    ----------
    trivial, package : bool
        As in `Entry`.

    Returns
    -------
    callable
        The decorator.
    """

    def add(build: Build) -> Build:
        STRATEGIES[build.__name__] = Entry(build, trivial, package)
        return build

    return add


@register()
def none(sampling_strategy: Any, random_state: int) -> Strategy:
    """Train on the cells as they are."""
    return Strategy()


@register()
def class_weight(sampling_strategy: Any, random_state: int) -> Strategy:
    """Weight each class by the inverse of its size."""
    return Strategy(class_weight=True)


@register()
def class_weight_thresholds(sampling_strategy: Any, random_state: int) -> Strategy:
    """Weight the classes, then tune one threshold per class on the training cells."""
    return Strategy(class_weight=True, thresholds=True)


@register()
def random_oversampler(
    sampling_strategy: Any, random_state: int, *, shrinkage: float | None = None
) -> Strategy:
    """Repeat cells of the small classes."""
    return Strategy(
        RandomOverSampler(
            sampling_strategy=sampling_strategy, random_state=random_state, shrinkage=shrinkage
        )
    )


@register()
def smote(sampling_strategy: Any, random_state: int, *, k_neighbors: int = 5) -> Strategy:
    """Interpolate between neighbouring cells of a class."""
    return Strategy(SmallClassSMOTE(sampling_strategy, random_state, k_neighbors))


@register(trivial=False, package=True)
def latent_gaussian(sampling_strategy: Any, random_state: int, **params: Any) -> Strategy:
    """Draw from one Gaussian per class in the latent, decoded as the diffusion's cells are."""
    from benchmarks.latent_gaussian import LatentGaussianOversampler

    return Strategy(
        LatentGaussianOversampler(
            sampling_strategy=sampling_strategy, random_state=random_state, **params
        )
    )


@register(trivial=False, package=True)
def diffusion(sampling_strategy: Any, random_state: int, **params: Any) -> Strategy:
    """Draw cells from a guided latent diffusion model."""
    from benchmarks.objects import with_objects
    from scdiff_augment import DiffusionOversampler

    built = with_objects(params)
    return Strategy(
        DiffusionOversampler(
            sampling_strategy=sampling_strategy, random_state=random_state, **built
        )
    )


@dataclass
class SmallClassSMOTE:
    """SMOTE with ``k_neighbors`` lowered to what the smallest class it tops up allows.

    Attributes
    ----------
    sampling_strategy, random_state, k_neighbors
        As in `imblearn.over_sampling.SMOTE`.
    note_ : str
        What was lowered, empty if nothing was.
    """

    sampling_strategy: Any
    random_state: int
    k_neighbors: int = 5
    note_: str = field(default="", init=False)

    def fit_resample(self, X: Any, y: Any) -> tuple[Any, Any]:
        """Resample.

        Parameters
        ----------
        X : ndarray, shape (cells, genes)
            Cells.
        y : ndarray, shape (cells,)
            Labels.

        Returns
        -------
        tuple
            Cells and labels, the originals first.

        Raises
        ------
        ValueError
            If a class to top up has 1 cell, so that there is nothing to interpolate.
        """
        targets = check_sampling_strategy(self.sampling_strategy, y, "over-sampling")
        counts = Counter(np.asarray(y).tolist())
        small = min((c for c, n in targets.items() if n), key=lambda c: counts[c], default=None)
        k = self.k_neighbors
        if small is not None and counts[small] <= k:
            k = counts[small] - 1
            if k < 1:
                raise ValueError(
                    f"Class {str(small)!r} has 1 cell; SMOTE interpolates and needs at least 2. "
                    "Leave the class out of sampling_strategy."
                )
            self.note_ = (
                f"k_neighbors lowered from {self.k_neighbors} to {k}: "
                f"class {str(small)!r} has {counts[small]} cells"
            )
        sampler = SMOTE(
            sampling_strategy=self.sampling_strategy,
            random_state=self.random_state,
            k_neighbors=k,
        )
        return sampler.fit_resample(X, y)


def check_params(name: str, params: dict[str, Any]) -> None:
    """Raise an error if a strategy does not know one of the parameters.

    Parameters
    ----------
    name : str
        A name in ``STRATEGIES``.
    params : dict
        Its parameters.

    Raises
    ------
    ValueError
        If the strategy or a parameter is unknown; it names the nearest valid one.
    """
    build = STRATEGIES[choose("strategy", name, STRATEGIES)].build
    if not params:
        return
    declared = inspect.signature(build).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in declared):
        known = list(inspect.signature(type(build("auto", 0).sampler)).parameters)
    else:
        known = [p.name for p in declared if p.kind is p.KEYWORD_ONLY]
    free = [k for k in known if k not in ("sampling_strategy", "random_state")]
    for key in params:
        if key not in free:
            raise ValueError(f"Strategy {name!r} has no parameter {key!r}. {nearest(key, free)}")


def build_strategy(
    name: str, sampling_strategy: Any, random_state: int, params: dict[str, Any]
) -> Strategy:
    """Build a strategy by name.

    Parameters
    ----------
    name : str
        A name in ``STRATEGIES``.
    sampling_strategy : str or dict
        Which classes are topped up, as in imbalanced-learn.
    random_state : int
        Seed.
    params : dict
        Further parameters of the strategy.

    Returns
    -------
    Strategy
        Sampler, class weights and thresholds.
    """
    entry = STRATEGIES[choose("strategy", name, STRATEGIES)]
    return entry.build(sampling_strategy, random_state, **params)
