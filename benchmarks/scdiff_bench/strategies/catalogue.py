"""Strategies: what is done about class imbalance before or around the classifier.

To add one, write a function here under ``@register()``; its name is what configs say.

LoRAS is not among them: its only package beside smote-variants, which pulls in TensorFlow, is
pyloras, whose one version is a pre-release of 2023 that calls itself experimental.
"""

from __future__ import annotations

from typing import Any

from imblearn.over_sampling import ADASYN, BorderlineSMOTE, RandomOverSampler
from scdiff_bench.strategies.controls import Oracle, ShuffledLabels
from scdiff_bench.strategies.objects import with_objects
from scdiff_bench.strategies.registry import (
    STRATEGIES,
    Entry,
    Strategy,
    build_strategy,
    check_params,
    register,
    require_installed,
)
from scdiff_bench.strategies.resamplers import BorderCases, LatentSMOTE, SmallClass

__all__ = [
    "STRATEGIES",
    "Entry",
    "Strategy",
    "build_strategy",
    "check_params",
    "register",
    "require_installed",
]


@register()
def none(sampling_strategy: Any, random_state: int) -> Strategy:
    """Train on the cells as they are, without augmentation."""
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
def thresholds(sampling_strategy: Any, random_state: int) -> Strategy:
    """Tune one threshold per class on the training cells."""
    return Strategy(thresholds=True)


@register()
def balance_cell_type(sampling_strategy: Any, random_state: int) -> Strategy:
    """Let CellTypist draw its mini-batches evenly from the types; others train as usual."""
    return Strategy(balance_cell_type=True)


@register()
def random_oversampler(
    sampling_strategy: Any, random_state: int, *, shrinkage: float | None = None
) -> Strategy:
    """Repeat cells of the small classes, as imbalanced-learn does."""
    return Strategy(
        RandomOverSampler(
            sampling_strategy=sampling_strategy, random_state=random_state, shrinkage=shrinkage
        )
    )


@register()
def smote(sampling_strategy: Any, random_state: int, *, k_neighbors: int = 5) -> Strategy:
    """Interpolate between neighbouring cells of a class."""
    return Strategy(SmallClass(sampling_strategy, random_state, k_neighbors))


@register()
def borderline_smote(
    sampling_strategy: Any, random_state: int, *, k_neighbors: int = 5, m_neighbors: int = 10
) -> Strategy:
    """Interpolate from cells at the border to other classes."""

    def make(wanted: Any, seed: int, k: int) -> Any:
        return BorderlineSMOTE(
            sampling_strategy=wanted, random_state=seed, k_neighbors=k, m_neighbors=m_neighbors
        )

    return Strategy(
        BorderCases(sampling_strategy, random_state, k_neighbors, make, "BorderlineSMOTE")
    )


@register()
def adasyn(sampling_strategy: Any, random_state: int, *, n_neighbors: int = 5) -> Strategy:
    """Interpolate, more often from cells with many neighbours of other classes."""

    def make(wanted: Any, seed: int, k: int) -> Any:
        return ADASYN(sampling_strategy=wanted, random_state=seed, n_neighbors=k)

    return Strategy(BorderCases(sampling_strategy, random_state, n_neighbors, make, "ADASYN"))


@register()
def pca_smote(
    sampling_strategy: Any, random_state: int, *, k_neighbors: int = 5, n_components: int = 50
) -> Strategy:
    """Interpolate between principal components, and project the new cells back to genes."""
    return Strategy(
        LatentSMOTE(
            sampling_strategy,
            random_state,
            k_neighbors,
            title="SMOTE in PCA space",
            n_components=n_components,
        )
    )


@register(needs=("imblearn_extra", "imbalanced-learn-extra"))
def geometric_smote(
    sampling_strategy: Any,
    random_state: int,
    *,
    k_neighbors: int = 5,
    truncation_factor: float = 1.0,
    deformation_factor: float = 0.0,
) -> Strategy:
    """Draw from a ball around a cell that reaches to a neighbour."""

    def make(wanted: Any, seed: int, k: int) -> Any:
        from imblearn_extra.gsmote import GeometricSMOTE

        return GeometricSMOTE(
            sampling_strategy=wanted,
            random_state=seed,
            k_neighbors=k,
            truncation_factor=truncation_factor,
            deformation_factor=deformation_factor,
        )

    return Strategy(
        SmallClass(sampling_strategy, random_state, k_neighbors, make, "Geometric SMOTE")
    )


@register(baseline=False, package=True)
def latent_gaussian(sampling_strategy: Any, random_state: int, **params: Any) -> Strategy:
    """Sample from one Gaussian per class in the latent space, with the decoder of `diffusion`."""
    from scdiff_bench.strategies.latent_gaussian import LatentGaussianOversampler

    return Strategy(
        LatentGaussianOversampler(
            sampling_strategy=sampling_strategy, random_state=random_state, **params
        )
    )


@register(baseline=False, package=True)
def diffusion(sampling_strategy: Any, random_state: int, **params: Any) -> Strategy:
    """Sample cells from a guided latent diffusion model."""
    from scdiff_augment import DiffusionOversampler

    built = with_objects(params)
    return Strategy(
        DiffusionOversampler(
            sampling_strategy=sampling_strategy, random_state=random_state, **built
        )
    )


@register(baseline=False, package=True, needs=("scvi", "scdiff-augment[scvi]"))
def scvi(sampling_strategy: Any, random_state: int, **params: Any) -> Strategy:
    """Sample from scVI's posterior predictive distribution of the class's real cells."""
    from scdiff_bench.strategies.scvi_oversampler import ScviOversampler

    return Strategy(ScviOversampler(sampling_strategy, random_state, **params))


@register(baseline=False, package=True, needs=("scvi", "scdiff-augment[scvi]"))
def scanvi(sampling_strategy: Any, random_state: int, **params: Any) -> Strategy:
    """Sample as `scvi` does, from a latent space that has learnt the labels too."""
    from scdiff_bench.strategies.scvi_oversampler import ScviOversampler

    return Strategy(ScviOversampler(sampling_strategy, random_state, labelled=True, **params))


@register(baseline=False, control=True)
def oracle(sampling_strategy: Any, random_state: int) -> Strategy:
    """Positive control: add the real cells that the split has held out, as many as exist."""
    return Strategy(Oracle(sampling_strategy, random_state))


@register(baseline=False, package=True, control=True)
def null(sampling_strategy: Any, random_state: int, *, of: str = "diffusion") -> Strategy:
    """Negative control: shuffle the labels of another strategy's synthetic cells."""
    made = build_strategy(of, sampling_strategy, random_state, {})
    return Strategy(ShuffledLabels(made.sampler, random_state))
