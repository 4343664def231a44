"""Every scale that people have: found, undone exactly, and not found where there is none."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scdiff_augment.cli.options import Scale as Option
from scdiff_augment.expression.advice import advice_on, note_on
from scdiff_augment.expression.detection import find_scale
from scdiff_augment.expression.integers import are_counts, not_integers
from scdiff_augment.expression.kinds import (
    denormalise,
    depth_normalised,
    described,
    detect_kind,
    log_values,
    normalise,
    scale_like,
)
from scdiff_augment.expression.scales import KINDS, Scale


def cells(seed, n_cells=60, n_genes=50, mean=1.0):
    """Counts of cells of different depth; each has at least one count of 1."""
    rng = np.random.default_rng(seed)
    depth = rng.lognormal(0, 0.4, (n_cells, 1))
    counts = rng.poisson(rng.gamma(0.5, 2 * mean, n_genes) * depth)
    counts[:, 0], counts[:, 1] = 1, rng.integers(0, 9, n_cells)
    return counts


def size_factors(counts, seed=0):
    totals = counts.sum(axis=1, keepdims=True)
    return totals / totals.mean() * np.random.default_rng(seed).lognormal(0, 0.1, totals.shape)


def per(counts, target):
    return counts / counts.sum(axis=1, keepdims=True) * target


RECOVERED = {
    "CP10k": (lambda c: per(c, 1e4), "normalized", 1e4),
    "CPM": (lambda c: per(c, 1e6), "normalized", 1e6),
    "median": (lambda c: per(c, np.median(c.sum(axis=1))), "normalized", None),
    "proportions": (lambda c: per(c, 1), "normalized", 1),
    "CP10k, some genes": (lambda c: per(c, 1e4)[:, :30], "normalized", None),
    "log1p CP10k": (lambda c: np.log1p(per(c, 1e4)), "log1p", 1e4),
    "log1p, base 2": (lambda c: np.log1p(per(c, 1e4)) / np.log(2), "log2", 1e4),
    "log2(CPM + 1)": (lambda c: np.log2(per(c, 1e6) + 1), "log2", 1e6),
    "log10(CP10k + 1)": (lambda c: np.log10(per(c, 1e4) + 1), "log10", 1e4),
    "base 7": (lambda c: np.log1p(per(c, 1e4)) / np.log(7), "log", 1e4),
    "log1p over its maximum": (lambda c: np.log1p(per(c, 1e4)) / 9.3, "log", 1e4),
    "scran": (lambda c: np.log2(c / size_factors(c) + 1), "log2", None),
    "log2, some genes": (lambda c: np.log2(per(c, 1e4) + 1)[:, :30], "log2", None),
    "log2 of raw counts": (lambda c: np.log2(c + 1), "log2", None),
    "log(x + 0.5)": (lambda c: np.log(per(c, 100) + 0.5), "log", 100),
    "log2(x + 0.25)": (lambda c: np.log2(c / size_factors(c) + 0.25), "log2", None),
    "log10(x + 0.01)": (lambda c: np.log10(per(c, 1e4) + 0.01), "log10", 1e4),
    "sqrt": (np.sqrt, "sqrt", None),
    "sqrt of CP10k": (lambda c: np.sqrt(per(c, 1e4)), "sqrt", 1e4),
    "Freeman–Tukey": (lambda c: np.sqrt(c) + np.sqrt(c + 1), "freeman-tukey", None),
    "Freeman–Tukey of a median": (
        lambda c: np.sqrt(per(c, 60)) + np.sqrt(per(c, 60) + 1),
        "freeman-tukey",
        60,
    ),
}
"""What is done to counts, the kind that it gives, and the total that is found."""


@pytest.mark.parametrize("name", RECOVERED)
@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    shape=st.sampled_from([(60, 50, 1.0), (30, 200, 0.3), (200, 40, 3.0)]),
    single=st.booleans(),
)
def test_counts_come_back_from_every_scale_exactly(name, seed, shape, single):
    transform, kind, total = RECOVERED[name]
    counts = cells(seed, *shape)
    X = transform(counts).astype(np.float32 if single else np.float64)
    parts = denormalise(X)
    assert parts.kind == detect_kind(X) == kind
    np.testing.assert_array_equal(parts.values, counts[:, : X.shape[1]])
    if total is not None:
        np.testing.assert_allclose(parts.total, total, rtol=1e-3)
    again = parts.scale.normalise(parts.values, parts.factor)
    np.testing.assert_allclose(again, X, rtol=1e-4, atol=1e-4)
    named = denormalise(X, kind)
    np.testing.assert_array_equal(named.values, parts.values)
    some = denormalise(X[:3], scale_like(X[:3], parts.scale))  # too few to tell by themselves
    np.testing.assert_array_equal(some.values, parts.values[:3])


@given(
    seed=st.integers(0, 10_000),
    dtype=st.sampled_from([np.float16, np.float32, np.float64]),
    by=st.floats(0.01, 100),
)
@settings(max_examples=40, deadline=None)
def test_counts_that_were_divided_and_multiplied_are_counts(seed, dtype, by):
    counts = np.minimum(cells(seed), 60)
    by = dtype(by)
    X = (counts.astype(dtype) / by * by).astype(dtype)
    parts = denormalise(X)
    assert parts.kind == "counts"
    np.testing.assert_array_equal(parts.values, counts)
    assert not np.signbit(parts.values).any()


def test_noise_of_logarithms_and_of_zeros_is_noise():
    counts = cells(0)
    X = np.expm1(depth_normalised(counts)) * counts.sum(axis=1, keepdims=True) / 1e4
    assert not np.array_equal(X, np.rint(X))
    np.testing.assert_array_equal(denormalise(X).values, counts)
    X = counts - 1e-17 * (counts == 0)
    assert X.min() < 0
    np.testing.assert_array_equal(denormalise(X).values, counts)


@pytest.mark.parametrize(
    "X",
    [
        np.full((20, 5), 1e-7),
        np.random.default_rng(0).uniform(1e5, 1e6, (20, 5)),
        np.random.default_rng(0).uniform(0, 1e7, (200, 5)),
        np.arange(100).reshape(20, 5) + 1e-3,
        np.random.default_rng(0).uniform(0, 300, (40, 5)).astype(np.float16),
    ],
    ids=["tiny", "large", "wide", "a thousandth off", "half precision"],
)
def test_values_near_integers_by_their_size_alone_are_no_counts(X):
    assert not are_counts(X)


def test_integers_of_any_type_are_themselves():
    assert not not_integers(np.array([[0, 200]], dtype=np.uint8)).any()
    assert are_counts(np.array([[True, False]]))


def real_matrices(rng, n, g):
    normal = rng.normal(size=(n, g))
    counts = rng.poisson(rng.gamma(0.5, 2, g), (n, g))
    logs = np.log1p(counts)
    return {
        "uniform": rng.random((n, g)),
        "gamma": rng.gamma(0.5, size=(n, g)),
        "absolute normal": np.abs(normal),
        "components": normal @ rng.normal(size=(g, g)),
        "proportions": rng.dirichlet(np.ones(g), n),
        "logs of gamma": np.log(rng.gamma(2, size=(n, g))),
        "log1p of gamma": np.log1p(rng.gamma(0.5, size=(n, g))),
        "image": rng.integers(0, 256, (n, g)) / 255,
        "image with black": rng.integers(0, 256, (n, g)) * (rng.random((n, g)) < 0.3) / 255,
        "digits": rng.integers(0, 17, (n, g)) / 16,
        "rounded": np.round(rng.random((n, g)), 2),
        "percent": 100 * rng.random((n, g)),
        "activations": np.maximum(3 * normal, 0),
        "dropout": rng.random((n, g)) * (rng.random((n, g)) < 0.6),
        "clipped": np.maximum(normal, -0.5),
        "z-scored": (logs - logs.mean(axis=0)) / (logs.std(axis=0) + 1e-9),
        "lognormal": np.exp(normal),
    }


@pytest.mark.parametrize("name", real_matrices(np.random.default_rng(0), 5, 5))
@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n=st.sampled_from([12, 40, 150]),
    g=st.sampled_from([12, 40]),
    single=st.booleans(),
)
def test_real_matrices_are_not_taken_for_counts(name, seed, n, g, single):
    X = real_matrices(np.random.default_rng(seed), n, g)[name]
    X = X.astype(np.float32 if single else np.float64)
    assert detect_kind(X) == "real"


def soupx(counts, rng):
    """Counts less what is estimated to float in: fractions, none negative."""
    profile = counts.mean(axis=0)
    soup = 0.1 * counts.sum(axis=1, keepdims=True) * profile / profile.sum()
    return np.maximum(counts - soup, 0)


def estimated(counts, rng):
    """Some reads of ambiguous genes, shared out as RSEM and salmon do."""
    moved = rng.beta(0.4, 4, counts.shape) * (rng.random(counts.shape) < 0.5) * counts
    return counts - moved + np.roll(moved, 1, axis=1) * (counts > 0)


def tpm(counts, rng):
    lengths = rng.lognormal(7, 0.7, counts.shape[1])
    return per(counts / lengths, 1e6)


FRACTIONAL = {
    "SoupX": (soupx, "fractional", math.e),
    "RSEM": (estimated, "fractional", math.e),
    "TPM": (tpm, "fractional", math.e),
    "log1p TPM": (lambda c, r: np.log1p(tpm(c, r)), "log-fractional", math.e),
    "log2 TPM": (lambda c, r: np.log2(tpm(c, r) + 1), "log-fractional", 2.0),
    "log10 TPM": (lambda c, r: np.log10(tpm(c, r) + 1), "log-fractional", 10.0),
    "log1p of SoupX": (lambda c, r: np.log1p(per(soupx(c, r), 1e4)), "log-fractional", math.e),
}


@pytest.mark.parametrize("name", FRACTIONAL)
def test_fractional_counts_are_counted_and_come_back_as_fractional_as_they_were(name):
    transform, kind, base = FRACTIONAL[name]
    rng = np.random.default_rng(3)
    X = transform(cells(3, 300, 120), rng)
    parts = denormalise(X)
    assert (parts.kind, parts.base) == (kind, base)
    np.testing.assert_array_equal(parts.values, np.rint(parts.values))
    np.testing.assert_array_equal(parts.values == 0, X == 0)
    new = parts.scale.normalise(parts.values, None, rng)
    np.testing.assert_array_equal(new == 0, X == 0)
    assert new.min() >= 0
    linear, again = parts.scale.linear(X), parts.scale.linear(new)
    seen = (X > 0).sum(axis=0) > 20
    ratio = again.mean(axis=0)[seen] / linear.mean(axis=0)[seen]
    assert 0.9 < np.median(ratio) < 1.1
    assert np.mean(np.isclose(new[new > 0] % 1, 0)) < 0.5
    advice = advice_on(parts)
    assert "fractional counts" in advice
    assert "Zeros stay zeros" in advice
    named = denormalise(X, kind)
    np.testing.assert_array_equal(named.values, parts.values)
    further = denormalise(X[:5], scale_like(X[:5], parts.scale))
    np.testing.assert_array_equal(further.values, parts.values[:5])


def test_a_step_is_a_molecule_or_what_a_read_adds():
    rng = np.random.default_rng(0)
    counts = cells(0, 400, 200, 0.5)
    assert denormalise(soupx(counts, rng)).steps.sizes.tolist() == [1]
    lengths = np.random.default_rng(0).lognormal(7, 0.7, 200)
    steps = denormalise(tpm(counts, np.random.default_rng(0))).steps
    often = (counts > 0).sum(axis=0) > 100
    assert np.corrcoef(np.log(steps.sizes[often]), -np.log(lengths[often]))[0, 1] > 0.9


def test_means_of_fractional_values_need_no_random_numbers():
    scale = denormalise(soupx(cells(1, 100), np.random.default_rng(0))).scale
    counts = np.array([[0.0, 1, 2, 30]] * 400)
    few = Scale("fractional", steps=scale.steps)
    drawn = few.normalise(counts, None, np.random.default_rng(0)).mean(axis=0)
    np.testing.assert_allclose(few.normalise(counts)[0], drawn, rtol=0.05)


def test_words_say_what_was_found():
    counts = cells(0)
    assert described(counts) == "counts"
    assert described(np.random.default_rng(0).normal(size=(20, 20))) == "real values"
    assert described(np.log2(per(counts, 1e6) + 1)) == (
        "log2(x + 1) of counts normalised to 1,000,000 a cell"
    )
    assert described(np.sqrt(per(counts, 1e4))[:, :30]) == (
        "square roots of counts times a factor of each cell"
    )
    assert described(np.log(per(counts, 100) + 0.5)).startswith("log(x + 0.5) of counts normal")
    parts = denormalise(np.log10(counts + 1.0))
    assert note_on(parts).startswith("X holds log10(x + 1) of counts times a factor of each cell")
    assert advice_on(parts) is None


def test_a_transform_that_is_not_known_is_said_in_one_warning():
    counts = cells(0)
    smoothed = np.log1p(per(counts + 0.3 * (counts > 0) * np.roll(counts, 1, axis=0), 1e4)) ** 1.3
    for X in (np.arcsinh(counts / 3.7) ** 0.9 - 1.5, 1 - smoothed / smoothed.max() * 0.7 - 1.2):
        lowest = X - 2 * (counts == 0)
        parts = denormalise(lowest)
        assert parts.kind == "real"
        assert "no scale that is known leads back to counts" in advice_on(parts)
    for X in real_matrices(np.random.default_rng(0), 40, 40).values():
        if X.min() < 0 and np.mean(X.min() == X) < 0.05:
            assert advice_on(denormalise(X)) is None


def test_what_contradicts_a_named_kind_is_refused_with_a_way_out():
    dense = np.random.default_rng(0).random((40, 10))
    for kind in ("normalized", "log2", "sqrt"):
        with pytest.raises(ValueError, match=rf"expression='{kind}' needs.*integers.*'real'"):
            denormalise(dense, kind)
    with pytest.raises(ValueError, match=r"integers under no base.*'log-fractional'"):
        denormalise(dense, "log")
    with pytest.raises(ValueError, match=r"expression='log2' needs logarithms.*lowest value"):
        denormalise(dense - 0.5, "log2")
    for kind in ("fractional", "log-fractional", "normalized", "freeman-tukey"):
        with pytest.raises(ValueError, match=rf"expression='{kind}' needs non-negative"):
            denormalise(dense - 0.5, kind)
    with pytest.raises(
        ValueError, match=r"'log2' needs logarithms.*57.7, but the largest value is"
    ):
        denormalise(900 * dense, "log2")
    with pytest.raises(ValueError, match=r"needs integers.*expression='fractional'"):
        denormalise(dense, "counts")


def test_scales_are_stored_as_plain_values():
    X = np.log2(tpm(cells(0, 100, 60), np.random.default_rng(0)) + 1)
    parts = denormalise(X)
    again = Scale.from_state(parts.scale.to_state())
    np.testing.assert_array_equal(
        again.normalise(parts.values, None, np.random.default_rng(1)),
        parts.scale.normalise(parts.values, None, np.random.default_rng(1)),
    )
    assert Scale.from_state({"kind": "log1p", "total": 1e4}) == Scale("log1p", 1e4)
    assert set(Scale("counts").to_state()) == {"kind", "total"}  # as older versions wrote it
    assert Scale.from_state(Scale("log", base=7.0, zero=-1.0).to_state()).pseudo_count == 1 / 7


@pytest.mark.parametrize(
    "name", ["CP10k", "log2(CPM + 1)", "log(x + 0.5)", "sqrt", "Freeman–Tukey"]
)
def test_sparse_counts_are_brought_to_a_scale_as_dense_ones(name):
    from scipy import sparse

    counts = cells(0)
    parts = denormalise(RECOVERED[name][0](counts))
    dense = parts.scale.normalise(counts.astype(np.float32), parts.factor)
    stored = parts.scale.normalise_sparse(
        sparse.csr_matrix(counts.astype(np.float32)), parts.factor
    )
    assert sparse.issparse(stored) == parts.scale.keeps_zeros
    np.testing.assert_allclose(stored.toarray() if sparse.issparse(stored) else stored, dense)


@pytest.mark.parametrize("name", ["CP10k", "log2(CPM + 1)", "log(x + 0.5)", "sqrt", "log1p CP10k"])
def test_log_values_of_any_scale_are_log1p_of_ten_thousand(name):
    counts = cells(0)
    np.testing.assert_allclose(
        log_values(RECOVERED[name][0](counts)), depth_normalised(counts), rtol=1e-4
    )


def test_the_command_line_and_the_parameters_know_the_same_words():
    assert {option.value for option in Option} == {"auto", *KINDS}


def test_a_kind_by_name_and_a_total_still_normalise():
    counts = cells(0).astype(np.float32)
    np.testing.assert_allclose(
        normalise(counts, "normalized", total=1e4), per(counts, 1e4), rtol=1e-5
    )
    with pytest.raises(ValueError, match="normalized values need `total` or `factor`"):
        normalise(counts, "normalized")


def test_a_matrix_is_judged_by_cells_of_all_of_it():
    counts = cells(0, 3000, 30)
    assert find_scale(np.sqrt(counts)).kind == "sqrt"
    odd = np.sqrt(counts)
    odd[5, 5] = 0.123  # not among the cells that are looked at
    assert denormalise(odd).kind in ("sqrt", "real")
