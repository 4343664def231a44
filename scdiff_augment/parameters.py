"""What each parameter of the model may be, for `LatentDiffusion` and `DiffusionOversampler`."""

from __future__ import annotations

import copy
import numbers
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

from scdiff_augment.diffusion.samplers import SAMPLERS
from scdiff_augment.expression.scales import KINDS


def _at_least(least: int) -> Interval:
    return Interval(numbers.Integral, least, None, closed="left")


PARAMETERS: dict[str, list] = {
    "random_state": ["random_state", np.random.Generator],
    "expression": [StrOptions({"auto", *KINDS})],
    "encoder": [
        StrOptions({"auto", "pca", "autoencoder", "autoencoder-published"}),
        HasMethods(["transform"]),
    ],
    "n_latent": [_at_least(1), StrOptions({"auto"})],
    "sampler": [StrOptions(set(SAMPLERS))],
    "n_steps": [_at_least(5)],
    "n_timesteps": [_at_least(5)],
    "width": [_at_least(2)],
    "n_blocks": [_at_least(1)],
    "decoder_steps": [_at_least(0), StrOptions({"auto"})],
    "denoiser_steps": [_at_least(0)],
    "classifier_steps": [_at_least(0)],
    "overdispersion": [Interval(numbers.Real, 0, None, closed="left")],
    "device": [str],
    "n_jobs": [numbers.Integral, None],
    "verbose": ["boolean"],
}


def clone_but_keep(estimator: Any, names: tuple[str, ...]) -> Any:
    """Copy an estimator without what it learnt; keep what objects given as parameters have learnt.

    scikit-learn's `clone` would strip a fitted encoder or generator of all it has learnt. Copies of
    these are shallow: they share what was learnt, but parameters set on one leave the other alone.
    """
    parameters = {
        name: copy.copy(value) if name in names else clone(value, safe=False)
        for name, value in estimator.get_params(deep=False).items()
    }
    fresh = type(estimator)(**parameters)
    if hasattr(estimator, "_metadata_request"):
        fresh._metadata_request = clone(estimator._metadata_request, safe=False)
    return fresh
