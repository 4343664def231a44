"""How separate rare types are: two extremes, and the rows."""

import numpy as np
import pytest
from scdiff_bench.evaluation.separation import separation
from scdiff_bench.running import units
from scdiff_bench.running.runner import load_datasets, make_units


def blobs(distance, seed=0):
    rng = np.random.default_rng(seed)
    y = np.repeat(["a", "b", "rare"], [200, 160, 40])
    X = rng.normal(size=(400, 5)).astype(np.float32)
    X[y == "b", 0] += 50
    X[y == "rare", 1] += distance
    return X, y


def test_a_type_on_its_own_and_a_type_that_nothing_tells_apart():
    assert separation(*blobs(50), ["rare"], 0) == 1
    # Among "a" alone its share is 40 of 240 cells.
    assert separation(*blobs(0), ["rare"], 0) == pytest.approx(40 / 240, abs=0.04)
    both = separation(*blobs(0), ["rare", "b"], 0)
    assert both == pytest.approx((separation(*blobs(0), ["rare"], 0) + 1) / 2)
    assert separation(*blobs(0), ["rare"], 0) < separation(*blobs(2), ["rare"], 0) < 1


def test_few_cells_have_few_neighbours():
    X, y = blobs(50)
    keep = np.r_[:360, 360:364]
    assert separation(X[keep], y[keep], ["rare"], 0) == 1
    assert np.isnan(separation(X[:361], y[:361], ["rare"], 0))


def test_it_stands_in_the_rows_of_none_and_sees_no_test_cell(make_config, dataset):
    split = {"kind": "rare_cell_draw", "rare": ["D"], "n": [2, 4], "n_other": 40, "draws": 1}
    made = make_units(make_config(split=split), load_datasets(make_config()))
    rows = [units.run_unit(unit)["rows"][0] for unit in made]
    known = {r["n"]: r["separation"] for r in rows if r["strategy"] == "none"}
    assert known[2] == known[4] > 0.2  # the same cells, cut differently
    assert all(np.isnan(r["separation"]) for r in rows if r["strategy"] != "none")
    unit = made[0]
    seen = np.sort(np.concatenate([unit.fold.train, unit.fold.reserve]))
    assert not set(seen) & set(unit.fold.test)
    expected = separation(dataset.X[seen], dataset.y[seen], ["D"], unit.study.seed)
    assert known[2] == pytest.approx(expected)
