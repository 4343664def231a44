import numpy as np
import pytest
import torch
from scipy import stats

from scdiff_augment.codec.draw_counts import draw_counts
from scdiff_augment.compute.stratified import (
    EXACT,
    members,
    modulo,
    normals,
    prime,
    strata,
    uniforms,
)
from scdiff_augment.sampling.draw import uniforms_on


def generator(seed=0):
    return np.random.default_rng(seed)


def on_device(groups, shape, rng):
    chance = torch.Generator().manual_seed(int(rng.integers(2**31)))
    return uniforms_on(torch.empty(shape), groups, chance).numpy()


@pytest.mark.parametrize("draw", [uniforms, on_device])
@pytest.mark.parametrize("sizes", [(150,), (1, 2, 3, 8, 97), (512, 40)])
def test_each_column_of_a_group_has_at_most_one_number_in_a_stratum(draw, sizes):
    groups = generator().permutation(np.repeat(np.arange(len(sizes)), sizes))
    numbers = draw(groups, (len(groups), 50), generator(1))
    assert numbers.dtype == np.float32
    assert ((numbers >= 0) & (numbers < 1)).all()
    for group, size in enumerate(sizes):
        p = prime(size) if size > 1 else 1
        places = np.floor(numbers[groups == group].astype(float) * p)
        assert all(len(np.unique(column)) == size for column in places.T)


@pytest.mark.parametrize("n", [2, 7, 150, 512, 1500, 4096])
def test_strata_are_whole_numbers_each_once(n):
    found = strata(n, prime(n), 300, generator()).numpy()
    np.testing.assert_array_equal(found, np.round(found))
    assert found.min() >= 0
    assert found.max() < prime(n)
    assert all(len(np.unique(column)) == n for column in found.T)


@pytest.mark.parametrize("p", [2, 7, 521, 1021, 4099])
def test_modulo_is_exact(p):
    kind = np.float32 if p < EXACT else np.float64
    values = np.arange(p)[:, None] * np.arange(1, p, max(1, p // 500)) + p - 1
    found = modulo(torch.from_numpy(values.astype(kind)), p)
    np.testing.assert_array_equal(found.numpy(), values % p)


def test_primes():
    assert [prime(n) for n in (2, 3, 4, 8, 150, 512)] == [2, 3, 5, 11, 151, 521]


@pytest.mark.parametrize("draw", [uniforms, on_device])
def test_single_numbers_are_uniform_whatever_the_group(draw):
    groups = np.repeat(np.arange(3), [1, 4, 9])
    numbers = np.stack([draw(groups, (14, 40), generator(seed)) for seed in range(200)])
    for cell in (0, 1, 4, 5, 13):
        assert stats.kstest(numbers[:, cell].ravel(), "uniform").pvalue > 1e-3


def test_means_stray_far_less_than_those_of_independent_numbers():
    means = np.stack(
        [uniforms(None, (150, 200), generator(seed)).mean(axis=0) for seed in range(50)]
    )
    assert means.std() < 0.15 * np.sqrt(1 / 12 / 150)


def test_neither_genes_nor_cells_go_together():
    numbers = uniforms(None, (150, 2000), generator())
    between = np.corrcoef(numbers.T)[np.triu_indices(2000, 1)]
    assert abs(between.mean()) < 0.002
    assert np.sqrt((between**2).mean()) < 1.1 / np.sqrt(150)  # as far as independent ones do
    cells = np.corrcoef(numbers)[np.triu_indices(150, 1)]
    assert np.abs(cells).max() < 6 / np.sqrt(2000)


def test_normal_numbers():
    groups = np.repeat([0, 1], [60, 4000])
    numbers = normals(groups, (4060, 20), generator())
    assert np.isfinite(numbers).all()
    assert stats.kstest(numbers[60:].ravel(), "norm").pvalue > 1e-3
    assert np.abs(numbers[:60].mean(axis=0)).max() < 0.08  # independent ones: about .3
    np.testing.assert_allclose(numbers[60:].std(axis=0), 1, atol=0.01)


def test_members_are_the_places_of_each_group():
    found = members(np.array([2, 0, 2, 5]), 4)
    assert [places.tolist() for places in found] == [[1], [0, 2], [3]]
    assert [places.tolist() for places in members(None, 3)] == [[0, 1, 2]]


def test_counts_of_a_group_add_up_to_what_was_expected():
    rng = generator()
    groups = rng.permutation(np.repeat([0, 1], [100, 200]))
    rates = np.where(groups[:, None] == 0, 0.3, 2.5) * rng.gamma(2, 0.5, 800)
    rates = rates.astype(np.float32)
    counts = draw_counts(rates, None, rng, groups)
    for group in (0, 1):
        mine = groups == group
        off = counts[mine].sum(axis=0) - rates[mine].sum(axis=0)
        assert (off**2).mean() < 0.2 * rates[mine].sum(axis=0).mean()  # Poisson sums: 1
