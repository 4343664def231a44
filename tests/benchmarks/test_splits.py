import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.splits import make_folds, small_types

Y = np.repeat(["A", "B", "C", "D"], [400, 200, 60, 40])
DRAW = {"rare": ["C", "D"], "n": [10, 5], "n_other": 120, "draws": 3}


def draws(seed=0, **changes):
    return make_folds(Y, seed, "rare_cell_draw", DRAW | changes)


def test_cross_validation_tests_every_cell_once_per_repeat():
    params = {"n_splits": 4, "n_repeats": 2}
    folds = make_folds(Y, 0, "repeated_stratified_cv", params)
    assert [f.index for f in folds] == list(range(8))
    assert len({f.name for f in folds}) == 8
    for fold in folds:
        assert not set(fold.train) & set(fold.test)
        assert len(fold.train) + len(fold.test) == len(Y)
        assert fold.rare == ("D", "C")
    for repeat in (0, 1):
        tested = np.concatenate([f.test for f in folds if f.repeat == repeat])
        np.testing.assert_array_equal(np.sort(tested), np.arange(len(Y)))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31 - 1), st.integers(1, 20), st.integers(2, 300))
def test_a_draw_has_exactly_the_cells_asked_for(seed, n, n_other):
    for fold in draws(seed, n=[n], n_other=n_other, draws=1):
        assert not set(fold.train) & set(fold.test)
        assert len(set(fold.train)) == len(fold.train) == 2 * n + n_other
        assert [(Y[fold.train] == t).sum() for t in ("C", "D")] == [n, n]
        others = [(Y[fold.train] == t).sum() for t in ("A", "B")]
        np.testing.assert_allclose(others, [n_other * 2 / 3, n_other / 3], atol=1)
        assert fold.n == n


def test_the_test_half_is_untouched_and_keeps_its_proportions():
    for fold in draws():
        assert [int((Y[fold.test] == t).sum()) for t in "ABCD"] == [200, 100, 30, 20]


def test_draws_are_nested_over_n_and_differ_from_each_other():
    by_draw = {}
    for fold in draws():
        by_draw.setdefault(fold.repeat, {})[fold.n] = fold
    for sizes in by_draw.values():
        assert set(sizes[5].train) < set(sizes[10].train)
        np.testing.assert_array_equal(sizes[5].test, sizes[10].test)
    tests = [tuple(sizes[5].test) for sizes in by_draw.values()]
    assert len(set(tests)) == 3
    # One more n or one more draw leaves the draws that were there as they were.
    more = {f.name: f for f in draws(n=[5, 10, 15], draws=4)}
    for fold in draws():
        np.testing.assert_array_equal(fold.train, more[fold.name].train)


def test_same_seed_same_folds():
    for kind, params in [("rare_cell_draw", DRAW), ("repeated_stratified_cv", {"n_splits": 3})]:
        first, again, other = (make_folds(Y, seed, kind, params) for seed in (1, 1, 2))
        assert all((a.train == b.train).all() for a, b in zip(first, again, strict=True))
        assert any(list(a.train) != list(b.train) for a, b in zip(first, other, strict=True))


def test_small_types_are_those_below_half_of_the_mean():
    assert small_types(Y) == ("D", "C")
    assert small_types(np.repeat(["A", "B"], [5, 4])) == ("B",)


@pytest.mark.parametrize(
    ("kind", "params", "message"),
    [
        (
            "repeated_stratified_cv",
            {"n_splits": 50},
            r"Type 'D' has 40 cells; n_splits=50 needs at least 50.*Use n_splits=40 or fewer",
        ),
        ("rare_cell_draw", DRAW | {"rare": ["c"]}, r"Unknown rare type 'c'. Did you mean 'C'"),
        ("rare_cell_draw", DRAW | {"n": [21]}, r"'D' has 20 cells in the training half; n=21"),
        ("rare_cell_draw", DRAW | {"n_other": 301}, r"has 300 cells of the other types"),
        ("cv", {}, r"Unknown split 'cv'"),
    ],
)
def test_a_split_that_does_not_fit_says_why(kind, params, message):
    with pytest.raises(ValueError, match=message):
        make_folds(Y, 0, kind, params)


def test_a_type_with_one_cell_has_another_way_out():
    with pytest.raises(ValueError, match=r"Type 'E' has 1 cell;.*Merge it"):
        make_folds(np.append(Y, "E"), 0, "repeated_stratified_cv", {"n_splits": 2})


@pytest.mark.parametrize("changes", [{"rare": ["C", "C"]}, {"n": [10, 10]}])
def test_a_type_or_size_named_twice_is_refused(changes):
    with pytest.raises(ValueError, match=r"split\.\w+ names .* twice; name each once"):
        list(draws(**changes))
