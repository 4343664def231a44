"""Random generators from what scikit-learn takes as random_state."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


def generators(random_state: Any) -> tuple[np.random.Generator, torch.Generator]:
    """One NumPy and one torch generator from whatever scikit-learn takes as random_state."""
    if isinstance(random_state, np.random.RandomState):
        random_state = random_state.randint(2**31 - 1)
    rng = np.random.default_rng(random_state)
    return rng, torch.Generator().manual_seed(int(rng.integers(2**31)))


class Randomness:
    """The two generators of a model.

    Its pickle holds torch's generator by value, so that joblib, which caches steps of pipelines,
    can hash it.

    Parameters
    ----------
    random_state : int, numpy.random.RandomState, numpy.random.Generator or None
    """

    def __init__(self, random_state: Any):
        self.numpy, self.torch = generators(random_state)

    def __getstate__(self) -> dict[str, Any]:
        return {"numpy": self.numpy, "torch": self.torch.get_state().numpy()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.numpy, self.torch = state["numpy"], torch.Generator()
        self.torch.set_state(torch.from_numpy(state["torch"]))

    def torch_seed(self) -> int:
        """Draw a seed from torch's generator."""
        return int(torch.randint(2**31, (), generator=self.torch))
