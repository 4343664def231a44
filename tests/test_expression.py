"""Expression kinds: found, denormalised, normalised again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scanpy.datasets import pbmc68k_reduced

from scdiff_augment.expression.detection import integer_fraction
from scdiff_augment.expression.kinds import (
    denormalise,
    depth_normalised,
    detect_kind,
    normalise,
)


@given(seed=st.integers(0, 10_000), target=st.floats(10, 1e6))
def test_counts_survive_log_normalisation(seed, target):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(rng.gamma(0.5, 2.0, 30), (20, 30))
    counts[:, 0] = 1  # the smallest positive value of every cell is one count
    parts = denormalise(depth_normalised(counts, target))
    assert parts.kind == "log1p"
    np.testing.assert_array_equal(parts.values, counts)
    np.testing.assert_allclose(parts.total, target, rtol=1e-3)
    again = normalise(parts.values, "log1p", total=parts.total)
    np.testing.assert_allclose(again, depth_normalised(counts, target), rtol=1e-3)


def test_a_selection_of_genes_keeps_each_cells_factor(counts):
    X = depth_normalised(counts[0])[:, ::2]
    parts = denormalise(X)
    assert parts.total is None
    again = normalise(parts.values, "log1p", factor=parts.factor)
    np.testing.assert_allclose(again, X, rtol=1e-4)


def test_packaged_cells_are_recognised():
    raw = pbmc68k_reduced().raw.X.toarray()
    assert detect_kind(raw) == "log1p"
    assert integer_fraction(raw) > 0.999  # values are stored with three decimals


@pytest.mark.parametrize(
    "X",
    [
        np.random.default_rng(0).normal(size=(50, 8)),
        np.random.default_rng(0).uniform(size=(50, 8)),
        np.random.default_rng(0).gamma(2.0, size=(50, 8)),
    ],
    ids=["normal", "uniform", "gamma"],
)
def test_other_matrices_are_real(X):
    assert detect_kind(X) == "real"
    np.testing.assert_array_equal(denormalise(X).values, X.astype(np.float32))


def test_integers_are_counts_whatever_their_type():
    X = np.array([[0, 3], [2, 1]])
    for dtype in (np.int8, np.uint16, np.int64, np.float32, float):
        assert detect_kind(X.astype(dtype)) == "counts"


def test_cells_of_zeros_stay_cells_of_zeros(counts):
    X = depth_normalised(counts[0])
    X[3] = 0
    parts = denormalise(X)
    assert parts.kind == "log1p"
    assert parts.values[3].sum() == 0
    assert normalise(parts.values, "log1p", total=parts.total)[3].sum() == 0


def test_values_that_contradict_the_kind_are_named(counts):
    z_scored = np.random.default_rng(0).normal(size=(20, 5))
    with pytest.raises(ValueError, match=r"expression='counts'.*non-negative.*cell \d+.*'real'"):
        denormalise(z_scored, "counts")
    with pytest.raises(ValueError, match=r"expression='log1p'.*non-negative"):
        denormalise(z_scored, "log1p")
    with pytest.raises(ValueError, match=r"expression='log1p'.*integers.*99%.*expression='real'"):
        denormalise(np.abs(z_scored), "log1p")
    with pytest.raises(ValueError, match=r"expression='counts' needs integers.*log1p"):
        denormalise(depth_normalised(counts[0]), "counts")
    with pytest.raises(ValueError, match="`total` or `factor`"):
        normalise(counts[0], "log1p")


def test_values_beyond_any_count_are_refused_or_real():
    with pytest.raises(ValueError, match=r"must not exceed 1e\+15, but cell 1 has 1e\+18"):
        denormalise(np.array([[1.0, 2.0], [1e18, 3.0]]))
    assert detect_kind(np.array([[0.5, 800.0], [1.5, 900.0]])) == "real"


def test_a_single_positive_value_says_nothing():
    assert detect_kind(np.random.default_rng(0).random((40, 1)) + 1) == "real"
    assert detect_kind(np.full((10, 4), 0.5)) == "real"
