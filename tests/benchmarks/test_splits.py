import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scdiff_bench.evaluation.splits import make_folds, small_types

Y = np.repeat(["A", "B", "C", "D"], [400, 200, 60, 40])
DRAW = {"rare": ["C", "D"], "n": [10, 5], "n_other": 120, "draws": 3}


DONORS = np.tile(list("wxyz"), 175)
HELD = {"rare": ["C", "D"], "n": [10, 5]}


def held_out(seed=0, groups=None, y=Y, **changes):
    return make_folds(y, seed, "donor_held_out", changes, {"donor": DONORS} | (groups or {}))


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


def test_the_training_half_as_it_is_comes_after_the_cut_ones_and_leaves_them_alone():
    folds = draws(natural=True, n=[5, 10])
    cut, whole = ([f for f in folds if (f.n is None) == natural] for natural in (False, True))
    assert [f.index for f in folds] == list(range(9))
    assert [f.rare_set for f in whole] == ["natural proportions"] * 3
    for mine, before in zip(cut, draws(n=[5, 10]), strict=True):
        np.testing.assert_array_equal(mine.train, before.train)
    for fold, small in zip(whole, cut[::2], strict=True):
        np.testing.assert_array_equal(fold.test, small.test)
        np.testing.assert_array_equal(np.union1d(fold.train, fold.test), np.arange(len(Y)))
        assert fold.rare == small_types(Y)


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


def test_what_is_set_aside_is_neither_trained_on_nor_tested():
    for fold in [*draws(), *held_out(**HELD)]:
        parts = [set(p.tolist()) for p in (fold.train, fold.test, fold.reserve)]
        assert sum(map(len, parts)) == len(set.union(*parts)) == len(Y)
    assert all(len(f.reserve) == 0 for f in held_out())


def test_several_sets_of_rare_types_share_the_halves_of_a_draw():
    folds = draws(rare=[["C"], ["C", "D"]], n=[5])
    assert [f.name for f in folds[:2]] == ["C n 5 draw 0", "C + D n 5 draw 0"]
    assert [f.index for f in folds] == list(range(6))
    one, two = folds[:2]
    assert (one.rare, one.rare_set, two.rare, two.rare_set) == (("C",), "C", ("C", "D"), "C + D")
    np.testing.assert_array_equal(one.test, two.test)
    assert (Y[one.train] == "C").sum() == (Y[two.train] == "D").sum() == 5
    assert draws(rare=[["C", "D"]])[0].name == "n 5 draw 0"  # one set needs no name


def test_every_donor_tests_alone_and_never_trains():
    folds = held_out()
    assert [f.name for f in folds] == [f"donor {d}" for d in "wxyz"]
    for fold, donor in zip(folds, "wxyz", strict=True):
        assert set(DONORS[fold.test]) == {donor}
        assert donor not in DONORS[np.concatenate([fold.train, fold.reserve])]
        assert fold.rare == ("D", "C")
    folds = held_out(n_splits=2, **HELD)
    assert len(folds) == 4
    for fold in folds:
        assert not set(DONORS[fold.test]) & set(DONORS[fold.train])
        assert (Y[fold.train] == "C").sum() == fold.n
    small, large = sorted(folds[:2], key=lambda f: f.n)
    assert set(small.train) < set(large.train)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"groups": {"sample": DONORS}, "key": "samples"}, r"'samples'.*Did you mean 'sample'"),
        ({"groups": {"donor": np.repeat("w", 700)}}, r"has 1 donors; this split needs at least 2"),
        ({"n_splits": 5}, r"has 4 donors; this split needs at least 5"),
        (
            {"groups": {"donor": np.where(np.arange(700) < 50, "v", DONORS)}},
            r"Donor 'v' has cells of one type only \(A\)",
        ),
        (
            {"groups": {"donor": np.where(Y == "D", "w", DONORS)}},
            "'D' occurs only in donor w",
        ),
        ({"n": [5]}, r"n=\[5\] needs the types to subsample.*'rare'"),
    ],
)
def test_donors_that_cannot_be_held_out(changes, message):
    with pytest.raises(ValueError, match=message):
        held_out(**changes)


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


@pytest.mark.parametrize(
    "changes", [{"rare": ["C", "C"]}, {"n": [10, 10]}, {"rare": [["C"], ["C"]]}]
)
def test_a_type_or_size_named_twice_is_refused(changes):
    with pytest.raises(ValueError, match=r"split\.\w+ lists .* twice. List each value once"):
        list(draws(**changes))
