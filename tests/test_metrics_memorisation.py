"""Copies of training cells are found, and cells that copy nothing are not taken for copies."""

from itertools import combinations

import numpy as np
import pytest

from scdiff_augment import metrics
from scdiff_augment.metrics.memorisation import nearest_distance


@pytest.fixture
def sets():
    """Training, held-out and new cells of one distribution: 300 each, 6 genes."""
    return np.random.default_rng(0).normal(size=(3, 300, 6))


def test_copies_have_ratio_zero_and_are_counted(sets):
    training, held_out, _ = sets
    copies = np.random.default_rng(1).permutation(training)[:120]
    assert metrics.nearest_neighbour_ratio(held_out, copies, training) == pytest.approx(0, abs=1e-9)
    assert metrics.duplicates(held_out, copies, training) == (120, 1.0)


def test_independent_cells_are_about_as_near_to_training_as_to_other_cells(sets):
    training, held_out, new = sets
    assert metrics.nearest_neighbour_ratio(held_out, new, training) == pytest.approx(1, abs=0.08)
    exact, near = metrics.duplicates(held_out, new, training)
    assert exact == 0
    assert near < 0.03


def test_copies_with_noise_are_near_but_not_exact(sets):
    training, held_out, new = sets
    noisy = training + np.random.default_rng(1).normal(scale=1e-3, size=training.shape)
    exact, near = metrics.duplicates(held_out, np.concatenate([noisy[:100], new[:100]]), training)
    assert exact == 0
    assert near == pytest.approx(0.5, abs=0.03)
    assert metrics.nearest_neighbour_ratio(held_out, noisy, training) < 0.01


def test_cells_that_differ_in_one_gene_are_no_copies(sets):
    training, held_out, _ = sets
    other = training[:50].copy()
    other[:30, 2] += 0.01
    assert metrics.duplicates(held_out, other, training).exact == 20


def test_nearest_over_subsets_equals_the_mean_of_all_subsets():
    rng = np.random.default_rng(0)
    points, others = rng.normal(size=(4, 2)), rng.normal(size=(7, 2))
    distance = np.linalg.norm(points[:, None] - others, axis=2)
    for n in range(1, 8):
        expected = np.mean(
            [distance[:, list(chosen)].min(axis=1) for chosen in combinations(range(7), n)], axis=0
        )
        np.testing.assert_allclose(nearest_distance(points, others, n), expected)


def test_more_held_out_cells_do_not_change_the_ratio():
    rng = np.random.default_rng(0)
    training, new = rng.normal(size=(2, 200, 6))
    many = rng.normal(size=(1600, 6))
    few = [metrics.nearest_neighbour_ratio(part, new, training) for part in many.reshape(8, 200, 6)]
    found = metrics.nearest_neighbour_ratio(many, new, training)
    assert found == pytest.approx(np.mean(few), abs=0.03)


def test_ten_cells_of_a_rare_type_are_enough():
    rng = np.random.default_rng(0)
    training, held_out = rng.normal(size=(2, 10, 30))
    independent = rng.normal(size=(200, 30))
    copies = training[rng.integers(10, size=200)] + rng.normal(scale=0.3, size=(200, 30))
    assert metrics.nearest_neighbour_ratio(held_out, independent, training) == pytest.approx(
        1, abs=0.1
    )
    assert metrics.nearest_neighbour_ratio(held_out, copies, training) < 0.5


@pytest.mark.parametrize("metric", [metrics.nearest_neighbour_ratio, metrics.duplicates])
def test_training_cells_are_checked(sets, metric):
    training, held_out, new = sets
    with pytest.raises(ValueError, match=r"`real` and `training` .* 6 and 5"):
        metric(held_out, new, training[:, :5])
    with pytest.raises(ValueError, match="at least 2 cells, but `training` has 1"):
        metric(held_out, new, training[:1])
    assert metric(held_out, new, training) == metric(held_out, new, training)
