"""The reservoir: what probability theory says of a sample drawn in one pass."""

import numpy as np
import pytest
from scipy import sparse

from scdiff_augment.streaming.reservoir import Reservoir, reservoir_size


def sample(n_cells, size, seed, weights=None, block=7):
    reservoir = Reservoir(size, lambda: np.random.default_rng(seed))
    X = np.arange(n_cells)[:, None] * np.ones((1, 2))
    for start in range(0, n_cells, block):
        some = slice(start, start + block)
        reservoir.add(X[some], start, None if weights is None else weights[some])
    return reservoir.cells()


def test_everything_stays_where_it_fits_and_nothing_is_drawn():
    def never():
        raise AssertionError("a random number was drawn")

    reservoir = Reservoir(20, never)
    reservoir.add(sparse.csr_matrix(np.eye(12)), 0)
    reservoir.add(sparse.csr_matrix(np.eye(12)[:8]), 12)
    cells, rows = reservoir.cells()
    np.testing.assert_array_equal(cells.toarray(), np.concatenate([np.eye(12), np.eye(12)[:8]]))
    assert rows.tolist() == list(range(20))


def test_rows_belong_to_their_numbers_and_keep_their_order():
    cells, rows = sample(100, 30, seed=0)
    assert len(rows) == 30
    assert (np.diff(rows) > 0).all()
    np.testing.assert_array_equal(cells[:, 0], rows)


def test_every_cell_is_as_likely():
    n_draws, n_cells, size = 2000, 40, 10
    kept = np.zeros(n_cells)
    for seed in range(n_draws):
        kept[sample(n_cells, size, seed)[1]] += 1
    expected = n_draws * size / n_cells
    # hypergeometric counts: their variance over the cells is n p (1 - p)
    chi_square = ((kept - expected) ** 2).sum() / (expected * (1 - size / n_cells))
    assert 40 - 4 * np.sqrt(80) < chi_square < 40 + 4 * np.sqrt(80)


def test_the_first_drawn_is_drawn_by_weight():
    weights = np.array([1.0, 2.0, 5.0, 0.0])
    first = [int(sample(4, 1, seed, weights, block=2)[1][0]) for seed in range(4000)]
    share = np.bincount(first, minlength=4) / 4000
    np.testing.assert_allclose(share, weights / 8, atol=0.03)
    assert share[3] == 0


@pytest.mark.parametrize(("n_genes", "n_cells"), [(2000, 25_000), (20_000, 2500), (60_000, 2000)])
def test_the_default_size_is_a_number_of_bytes(n_genes, n_cells):
    assert reservoir_size(n_genes) == n_cells
