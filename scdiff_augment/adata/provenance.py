"""What uns says of an oversampled AnnData."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from scdiff_augment.annotation.new_cells import threads_of
from scdiff_augment.oversampler import DiffusionOversampler
from scdiff_augment.results_version import versions


def provenance_of(
    sampler: DiffusionOversampler,
    label_key: str,
    layer: str | None,
    labels: ArrayLike,
    training_hash: str,
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """How new cells were made, in types that a file can hold.

    Parameters
    ----------
    sampler : DiffusionOversampler
        Fitted; its own notes come first.
    label_key : str
    layer : str or None
        That was learnt from; None is X.
    labels : array-like of shape (n_new,)
    training_hash : str
    notes : sequence of str
    """
    classes, sizes = np.unique(np.asarray(labels).astype(str), return_counts=True)
    seed = sampler.random_state
    history = getattr(sampler, "history_", {})
    learnt = history.get("notes", [])
    return {
        **threads_of(history),
        "label_key": label_key,
        "layer": layer or "X",
        "expression": history.get("expression", ""),
        "scale": history.get("scale", ""),
        "parameters": {k: str(v) for k, v in sampler.get_params(deep=False).items()},
        "random_state": int(seed) if isinstance(seed, numbers.Integral) else str(seed),
        "notes": np.array([*learnt, *notes], dtype=str),
        "synthetic_labels": classes.astype(str),  # two arrays: labels may hold "/", keys may not
        "synthetic_cells": sizes,
        "training_hash": training_hash,
        "versions": versions(),
    }
