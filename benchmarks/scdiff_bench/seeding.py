"""scvi-tools, which draws from global generators and reports to the terminal: seeded and quiet."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

SCVI_TRAINING = {"accelerator": "cpu", "enable_progress_bar": False, "logger": False}
"""Keywords of its `train`."""


@contextmanager
def scvi_seeded(seed: int) -> Iterator[None]:
    """Seed what scvi-tools draws from, and put the global generators back afterwards."""
    import torch

    state = np.random.get_state()  # noqa: NPY002
    lightning = logging.getLogger("lightning.pytorch")
    level = lightning.level
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import scvi

        scvi.settings.seed = seed
        lightning.setLevel(logging.ERROR)
        try:
            yield
        finally:
            np.random.set_state(state)  # noqa: NPY002
            lightning.setLevel(level)
