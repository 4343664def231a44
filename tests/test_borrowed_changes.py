"""How far the cells of a group are moved into one class, and what their genes have beyond that."""

import numpy as np
import pytest
import torch
from tiny import make_sampler

from scdiff_augment.codec.class_gene_effects import LabelledCells
from scdiff_augment.conditions.borrowed_changes import (
    cells_moved,
    changes_into,
    variance_between,
)
from scdiff_augment.conditions.combinations import Combinations, combinations_of
from scdiff_augment.conditions.kriging import (
    Field,
    kriging_variance,
    kriging_weights,
    squared_distances,
)


def test_means_and_sizes_of_combinations_are_those_of_their_cells():
    rng = np.random.default_rng(0)
    groups, codes = rng.integers(3, size=50), rng.integers(2, size=50)
    keep = (groups != 1) | (codes != 1)
    z, groups, codes = rng.normal(size=(50, 4))[keep], groups[keep], codes[keep]
    seen = combinations_of(torch.from_numpy(z), groups, 3, codes, 2)
    squares = 0.0
    for g in range(3):
        for c in range(2):
            cells = z[(groups == g) & (codes == c)]
            assert seen.sizes[g, c] == len(cells)
            mean = cells.mean(axis=0) if len(cells) else np.zeros(4)
            np.testing.assert_allclose(seen.means[g, c], mean)
            squares += ((cells - mean) ** 2).sum()
    assert seen.variance == pytest.approx(squares / 4 / (len(z) - 5))


@pytest.mark.parametrize("n_others", [1, 2, 5])
def test_batches_that_add_up_are_told_apart_from_types(n_others):
    """Types in very different mixtures of batches; a mean over cells would mix the two up."""
    rng = np.random.default_rng(n_others)
    kinds, batches = rng.normal(size=(n_others + 1, 6)), 3 * rng.normal(size=(4, 6))
    means = kinds[:, None] + batches
    sizes = rng.integers(20, 500, (n_others + 1, 4))
    sizes[-1, 3] = 0
    change = changes_into(Combinations(means * (sizes > 0)[..., None], sizes, 1e-9), 3)[-1]
    np.testing.assert_allclose(change.target, kinds[-1] + batches[3], atol=1e-4)
    assert (change.n_own, change.own) == (0, 0)
    assert sum(change.shares.values()) == pytest.approx(1)
    assert sum(change.origin.values()) == pytest.approx(1)


def test_own_cells_and_other_types_are_weighed_by_their_precision():
    """Two other types: no field can be fitted, so the sums can be done by hand."""
    means = np.zeros((3, 2, 2))
    means[:, 1] = [[1.0, 0.0], [3.0, 0.0], [9.0, 4.0]]
    sizes = np.array([[100, 50], [100, 25], [100, 4]])
    change = changes_into(Combinations(means, sizes, 1.0), 1)[2]
    noise = np.array([1 / 50 + 1 / 100, 1 / 25 + 1 / 100])
    between = (2.0 + 0.0) / 2 - noise.mean()  # variances of 1, 3 and of 0, 0, over dimensions
    precision = 1 / (between + noise)
    expected = precision @ means[:2, 1] / precision.sum()
    error = between + 1 / precision.sum()
    kept = error / (error + 1 / 4 + 1 / 100)
    assert change.own == pytest.approx(kept)
    np.testing.assert_allclose(change.target, (1 - kept) * expected + kept * means[2, 1])
    assert change.shares == pytest.approx(
        {g: (1 - kept) * w for g, w in enumerate(precision / precision.sum())}
    )


def test_many_own_cells_are_believed_and_none_are_not():
    rng = np.random.default_rng(0)
    means = rng.normal(size=(5, 2, 3))
    for n_own, least, most in [(0, 0, 0), (3, 0.01, 0.99), (100_000, 0.99, 1)]:
        sizes = np.full((5, 2), 200)
        sizes[4, 1] = n_own
        change = changes_into(Combinations(means, sizes, 1.0), 1)[4]
        assert least <= change.own <= most
        if n_own > 1000:
            np.testing.assert_allclose(change.target, means[4, 1], atol=0.02)


def test_what_nothing_shows():
    means, sizes = np.ones((2, 3, 2)), np.array([[5, 0, 0], [0, 5, 0]])
    changes = changes_into(Combinations(means, sizes, 1.0), 2)
    assert [change.target for change in changes] == [None, None]
    sizes[0, 2] = 4  # 0 has own cells there; 1 shares no class with 0
    first, second = changes_into(Combinations(means, sizes, 1.0), 2)
    np.testing.assert_array_equal(first.target, [1, 1])
    assert first.own == 1
    assert second.target is None


def test_the_error_of_kriging_is_that_of_the_textbook():
    rng = np.random.default_rng(0)
    places, place, noise = rng.normal(size=(6, 3)), rng.normal(size=3), rng.uniform(0.1, 1, 6)
    field = Field(1.3, 2.0)
    weights = kriging_weights(field, places, place, noise)
    c = field.covariance(squared_distances(np.vstack([places, place])))
    multiplier = c[:6, 6] - (c[:6, :6] + np.diag(noise)) @ weights
    np.testing.assert_allclose(multiplier, multiplier[0])
    expected = field.variance - weights @ c[:6, 6] + multiplier[0] * -1
    assert kriging_variance(field, places, place, noise, weights) == pytest.approx(expected)


def test_variance_between_changes_is_what_noise_leaves_over():
    rng = np.random.default_rng(0)
    changes = rng.normal(0, np.sqrt(2.0 + 0.5), (400, 50))
    assert variance_between(changes, np.full(400, 0.5)) == pytest.approx(2.0, rel=0.03)
    assert variance_between(np.ones((3, 2)), np.full(3, 0.5)) == pytest.approx(0, abs=1e-9)
    assert variance_between(np.full((1, 2), 3.0), np.array([1.0])) == pytest.approx(8.0)


def test_own_cells_are_moved_to_the_mean_that_new_cells_have():
    means, sizes = np.zeros((3, 2, 2)), np.array([[9, 9], [9, 9], [9, 2]])
    means[:, 1] = [[1, 0], [3, 0], [9, 4]]
    changes = changes_into(Combinations(means, sizes, 1.0), 1)
    z = np.array([[8.0, 4], [10, 4], [0, 0]], dtype=np.float32)
    piece = LabelledCells(np.arange(6).reshape(3, 2), z, np.array([5, 5, 4]), {"more": np.ones(3)})
    (moved,) = cells_moved([piece], 2, changes, ("type", "batch"))
    np.testing.assert_array_equal(moved.values, [[0, 1], [2, 3]])
    np.testing.assert_allclose(moved.z.mean(axis=0), changes[2].target, atol=1e-6)
    np.testing.assert_allclose(moved.z[1] - moved.z[0], [2, 0], atol=1e-6)
    assert moved.codes.tolist() == [2, 2]
    assert {name: codes.tolist() for name, codes in moved.others.items()} == {
        "more": [1, 1],
        "type": [2, 2],
        "batch": [1, 1],
    }


def test_a_gene_that_only_this_type_has_here_is_in_the_new_cells():
    """No other type shows it, so its own ten cells must; the latent of 5 hardly holds it."""
    rng = np.random.default_rng(0)
    y = np.repeat(list("abcabc"), [60, 60, 60, 60, 60, 10])
    batch = np.repeat(["atlas", "mine"], [180, 130])
    rates = rng.gamma(0.6, 1.0, (3, 60))[np.searchsorted(list("abc"), y)] + 0.5
    rates[(y == "c") & (batch == "mine"), 7] = 12.0
    X = rng.poisson(rates * 400 / rates.sum(axis=1, keepdims=True))
    sampler = make_sampler(into="mine", temperature=1.0)
    out, y_out = sampler.fit_resample(X, y, batch=batch)
    assert (y_out[310:] == "c").all()
    share = {
        name: cells[:, 7].sum() / cells.sum()
        for name, cells in {
            "new": out[310:],
            "own": X[(y == "c") & (batch == "mine")],
            "atlas": X[(y == "c") & (batch == "atlas")],
        }.items()
    }
    assert share["own"] > 4 * share["atlas"]
    assert share["atlas"] < 0.5 * share["new"]
    assert share["new"] < 1.2 * share["own"]
