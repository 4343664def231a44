"""The generator, built from a config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scdiff_bench.messages import choose
from scdiff_bench.strategies.objects import with_objects

from scdiff_augment import LatentDiffusion

NOT_FOR_CONFIGS = ("random_state", "n_jobs", "verbose")


def make_model(params: Mapping[str, Any], seed: int) -> LatentDiffusion:
    """Return a generator that is not fitted yet.

    Parameters
    ----------
    params : mapping of str to object
        Parameters of `LatentDiffusion` that differ from its defaults.
    seed : int
        Of its random numbers.

    Returns
    -------
    LatentDiffusion
        For one thread.
    """
    return LatentDiffusion(**with_objects(params), random_state=seed)


def check_model(params: Mapping[str, Any]) -> None:
    """Find out before any work whether parameters of the generator are valid.

    Parameters
    ----------
    params : mapping of str to object
        As for `make_model`.

    Raises
    ------
    ValueError
        If `LatentDiffusion` has no such parameter, or refuses its value.
    """
    known = [name for name in LatentDiffusion().get_params() if name not in NOT_FOR_CONFIGS]
    for key in params:
        choose("parameter of the generator", key, known)
    make_model(params, 0)._validate_params()
