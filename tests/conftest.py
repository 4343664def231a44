"""Data that the tests share."""

import numpy as np
import pytest


@pytest.fixture
def counts():
    """60 + 30 + 10 cells of three types, 40 genes, negative binomial counts, and labels."""
    rng = np.random.default_rng(0)
    labels = np.repeat(["common", "middle", "rare"], [60, 30, 10])
    profile = rng.gamma(0.5, 1.0, (3, 40)) + 0.02
    proportions = (profile / profile.sum(axis=1, keepdims=True))[np.repeat([0, 1, 2], [60, 30, 10])]
    library = rng.lognormal(4.5, 0.3, (100, 1))
    return rng.poisson(rng.gamma(5, proportions * library / 5)), labels
