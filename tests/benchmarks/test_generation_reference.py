"""A reference: folds keep test cells apart, strategies and verdict are what they say."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scdiff_bench.data.datasets import Dataset
from scdiff_bench.generator_studies.config import parse_study_config
from scdiff_bench.generator_studies.page import markdown
from scdiff_bench.generator_studies.reference import scanvi, strategies, study, view
from scdiff_bench.generator_studies.reference.folds import make_fold
from scdiff_bench.generator_studies.reference.strategies import STRATEGIES
from scdiff_bench.generator_studies.registry import STUDIES

from scdiff_augment.expression.kinds import depth_normalised

HERE = [name for name, entry in STRATEGIES.items() if not entry.needs]
TINY = {"n_latent": 4, "width": 8, "decoder_steps": 10, "denoiser_steps": 10, "n_steps": 5}


@pytest.fixture(scope="module")
def cells():
    """3 types in a reference (40 each) and in mine (24, 20, 16), where six genes are stronger."""
    rng = np.random.default_rng(0)
    sizes = [40, 40, 40, 24, 20, 16]
    types = np.repeat(["a", "b", "c"] * 2, sizes)
    batch = np.repeat(["atlas", "mine"], [120, 60])
    rates = rng.gamma(0.6, 1.0, (3, 60))[np.searchsorted(["a", "b", "c"], types)] + 0.1
    rates[batch == "mine", :6] *= 4
    X = depth_normalised(rng.poisson(5 * rates))
    genes = np.array([f"g{i}" for i in range(60)])
    return Dataset("toy", X, types, genes, {"batch": batch}, {}, "0")


def config_of(**params):
    raw = {
        "name": "borrow",
        "title": "Borrow",
        "study": "reference",
        "datasets": ["pbmc_chemistry"],
        "params": {
            "targets": {"toy": ["batch", "mine"]},
            "classifiers": ["knn", "lda", "logistic_regression"],
            "sampler": TINY,
            "draws": 1,
            "n_genes": 8,
            **params,
        },
    }
    return parse_study_config(raw, None)


@pytest.mark.parametrize("n", [0, 3, 100])
def test_a_fold_keeps_test_cells_and_few_of_the_type(cells, n):
    fold = make_fold(cells, "batch", "mine", "c", n, 2000, 0)
    assert (fold.inside & (fold.y == "c")).sum() == min(n, 8)
    assert len(fold.held_X) == 8 - min(n, 8)
    assert {label: int((fold.test_y == label).sum()) for label in "abc"} == {
        "a": 12,
        "b": 10,
        "c": 8,
    }
    mine = {row.tobytes() for row in cells.X[cells.groups["batch"] == "mine"]}
    sets = [{row.tobytes() for row in part} for part in (fold.X, fold.held_X, fold.test_X)]
    assert sum(map(len, sets)) == len(set.union(*sets)) == len(cells.X)
    assert sets[1] | sets[2] <= mine
    assert fold.inside.sum() == len(sets[0] & mine)


def test_folds_of_a_draw_share_their_test_cells_and_nest_their_few(cells):
    small, large, other = (
        make_fold(cells, "batch", "mine", rare, n, 50, 0)
        for rare, n in [("c", 2), ("c", 5), ("a", 2)]
    )
    np.testing.assert_array_equal(small.test_X, large.test_X)
    np.testing.assert_array_equal(small.test_X, other.test_X)
    few = [{row.tobytes() for row in f.X[f.inside & (f.y == "c")]} for f in (small, large)]
    assert few[0] < few[1]
    assert (~small.inside).sum() == 50
    again = make_fold(cells, "batch", "mine", "c", 2, 50, 1)
    assert not np.array_equal(small.test_X, again.test_X)


def test_units_are_one_for_each_strategy_so_that_a_new_one_computes_itself_alone(cells):
    found = study.units(config_of(sizes=[0, 5]), [cells])
    assert len(found) == 3 * (2 * len(HERE) - 1)
    assert not any(u["n"] == 0 and u["strategy"] == "target_augmented" for u in found)
    assert len({u["name"] for u in found}) == len(found)
    fewer = study.units(config_of(sizes=[5], strategies=["pooled"]), [cells])
    assert all(unit in found for unit in fewer)
    unweighted = study.units(config_of(classifiers=["knn", "lda"]), [cells])
    assert not any(u["strategy"] == "pooled_weights" for u in unweighted)


def test_draws_may_depend_on_the_size_and_be_few_for_slow_strategies(cells):
    several = config_of(
        sizes=[0, 5],
        draws=3,
        draws_of_size={5: 1},
        scvi_draws=2,
        first=10,
        strategies=["pooled", "scanvi"],
    )
    found = [(u["strategy"], u["n"], u["draw"]) for u in study.units(several, [cells])]
    assert set(found) == {
        *(("pooled", 0, draw) for draw in (10, 11, 12)),
        *(("scanvi", 0, draw) for draw in (10, 11)),
        ("pooled", 5, 10),
        ("scanvi", 5, 10),
    }
    with pytest.raises(ValueError, match=r"draws_of_size=\{3: 1\} must .* sizes=\[0, 5\]"):
        config_of(sizes=[0, 5], draws_of_size={3: 1})


def test_a_strategy_that_is_a_classifier_is_scored_by_its_own_calls(cells, monkeypatch):
    monkeypatch.setattr(strategies, "scanvi_calls", lambda fold, seed, surgery: fold.test_y)
    config = config_of(sizes=[0], strategies=["scanvi", "scanvi_query"])
    for unit in study.units(config, [cells]):
        (row,) = study.compute(unit, cells, 0).rows
        assert (row["classifier"], row["f1"], row["macro_f1"]) == ("itself", 1.0, 1.0)


@pytest.mark.parametrize("surgery", [False, True])
def test_scanvi_calls_the_test_cells(cells, monkeypatch, surgery):
    pytest.importorskip("scvi", reason="scvi-tools is not installed")
    for name in ("EPOCHS", "LABEL_EPOCHS", "QUERY_EPOCHS"):
        monkeypatch.setattr(scanvi, name, 10)
    fold = make_fold(cells, "batch", "mine", "c", 0, 2000, 0)
    calls = scanvi.scanvi_calls(fold, 0, surgery=surgery)
    assert calls.shape == fold.test_y.shape
    assert set(calls) <= {"a", "b", "c"}
    np.testing.assert_array_equal(calls, scanvi.scanvi_calls(fold, 0, surgery=surgery))


@pytest.fixture(scope="module")
def rows(cells):
    units = study.units(config_of(sizes=[4]), [cells])
    some = [u for u in units if u["rare"] == "c"]
    return pd.DataFrame(
        [
            {**row, "dataset": "toy", "unit_name": u["name"]}
            for u in some
            for row in study.compute(u, cells, 0).rows
        ]
    )


def test_every_strategy_is_scored_by_the_classifiers_that_it_can_have(rows):
    scores = rows[rows["kind"] == "score"]
    assert set(scores["strategy"]) == set(HERE)
    by = {name: set(part["classifier"]) for name, part in scores.groupby("strategy")}
    assert by["pooled"] == {"knn", "lda", "logistic_regression", "balanced_forest"}
    assert by["pooled_weights"] == {"logistic_regression"}
    assert by["harmony"] == by["borrowed"] == {"knn", "lda", "logistic_regression"}
    assert scores["f1"].between(0, 1).all()


def test_moved_cells_are_nearer_to_the_target_than_pooled_ones(rows):
    cells = rows[rows["kind"] == "cells"].set_index("strategy")
    assert cells.loc["borrowed_alone", "r2"] > cells.loc["pooled", "r2"]
    assert set(cells.index) == {
        "target_augmented",
        "pooled",
        "combat",
        "mean_shift",
        "borrowed",
        "borrowed_alone",
        "borrowed_to_median",
        "oracle",
    }
    for name in ("combat", "mean_shift", "borrowed", "oracle"):
        assert cells.loc[name, "r2"] > cells.loc["pooled", "r2"]


def test_combat_moves_test_cells_as_training_cells_of_the_target(cells):
    fold = make_fold(cells, "batch", "mine", "c", 4, 2000, 0)
    known = replace(fold, test_X=fold.X[fold.inside], test_y=fold.y[fold.inside])
    training = STRATEGIES["combat"].build(known, 0, {})
    np.testing.assert_allclose(training.test_X, training.X[fold.inside], atol=1e-5)


def test_the_page_can_be_made(rows):
    page = markdown(config_of(), STUDIES["reference"], rows)
    assert "F1 of the type" in page
    assert "pooled + cells borrowed into the target" in page
    (picture,) = view.pictures(rows, {})
    from matplotlib.figure import Figure

    figure = Figure(figsize=picture.size, layout="constrained")
    picture.paint(figure)
    assert len(figure.axes) == 1


def made(ours, pooled, oracle, harmony=0.89):
    values = {"borrowed": ours, "pooled": pooled, "oracle": oracle, "harmony": harmony}
    return pd.DataFrame(
        {
            "kind": "score",
            "dataset": "toy",
            "into": "mine",
            "n": 0,
            "strategy": name,
            "classifier": classifier,
            "f1": value,
        }
        for name, value in values.items()
        for classifier in ("knn", "lda")
    )


@pytest.mark.parametrize(
    ("numbers", "outcomes"),
    [
        ((0.9, 0.6, 0.95), ["met", "met", "met"]),
        ((0.62, 0.6, 0.95), ["missed", "missed", "missed"]),  # large shift, small lead
        ((0.9, 0.9, 0.91), ["met", "met", "met"]),  # small shift, level
        ((0.88, 0.9, 0.91), ["missed", "met", "met"]),  # small shift, behind
        ((0.86, 0.5, 0.91), ["met", "met", "missed"]),  # behind Harmony
    ],
)
def test_the_verdict_says_what_was_met(numbers, outcomes):
    assert [finding.outcome for finding in view.verdict(made(*numbers))] == outcomes


def test_parameters_that_make_no_sense(cells):
    with pytest.raises(ValueError, match="strategy"):
        config_of(strategies=["poled"])
    with pytest.raises(ValueError, match=r"sizes=\[-1\]"):
        config_of(sizes=[-1])
    with pytest.raises(ValueError, match="parameter of the sampler"):
        config_of(sampler={"into": "mine"})
    with pytest.raises(ValueError, match="targets names no target batch of 'toy'"):
        study.units(config_of(targets={"other": ["batch", "mine"]}), [cells])
    with pytest.raises(ValueError, match="batch of 'toy'"):
        study.units(config_of(targets={"toy": ["batch", "min"]}), [cells])
    with pytest.raises(ValueError, match="no type has 50 cells with batch 'mine'"):
        study.units(config_of(least=50), [cells])
