"""Held-out combinations: nothing left out is learnt from, scores and verdict say what they say."""

import numpy as np
import pandas as pd
import pytest
from scdiff_bench.data.datasets import Dataset
from scdiff_bench.generator_studies.config import parse_study_config
from scdiff_bench.generator_studies.held_out_combinations import study, view
from scdiff_bench.generator_studies.page import markdown
from scdiff_bench.generator_studies.registry import STUDIES

from scdiff_augment.expression.kinds import depth_normalised

TINY = {"n_latent": 4, "width": 8, "decoder_steps": 10, "denoiser_steps": 10, "n_steps": 5}


@pytest.fixture(scope="module")
def cells():
    """3 types x 2 conditions, 16 cells each."""
    rng = np.random.default_rng(0)
    types = np.repeat(["a", "b", "c"], 32)
    condition = np.tile(np.repeat(["ctrl", "stim"], 16), 3)
    rates = rng.gamma(0.6, 1.0, (3, 40))[np.repeat(np.arange(3), 32)] + 0.1
    rates[condition == "stim", :6] *= 4
    X = depth_normalised(rng.poisson(5 * rates))
    genes = np.array([f"g{i}" for i in range(40)])
    return Dataset("crossed", X, types, genes, {"condition": condition}, {}, "0")


def config_of(**params):
    raw = {
        "name": "held",
        "title": "Held out",
        "study": "held_out_combinations",
        "datasets": ["kang_ifnb_small_counts"],
        "params": {"model": TINY, "n_genes": 8, "n_splits": 2, **params},
    }
    return parse_study_config(raw, None)


def test_units_leave_out_each_type_and_each_pair(cells):
    found = study.units(config_of(draws=2, design_draws=1), [cells])
    final = [u["left_out"] for u in found if u["stage"] == "final"]
    assert final == [["a"], ["a"], ["b"], ["b"], ["c"], ["c"]]
    pairs = [u["left_out"] for u in found if u["stage"] == "design"]
    assert pairs == [["a", "b"], ["a", "c"], ["b", "c"]]


def test_no_left_out_cell_is_learnt_from(cells, monkeypatch):
    seen = []
    make = study.make_model

    def watched(params, seed):
        model = make(params, seed)
        fit = model.fit
        model.fit = lambda X: (seen.append(X), fit(X))[1]
        return model

    monkeypatch.setattr(study, "make_model", watched)
    (unit, *_) = study.units(config_of(draws=1, design_draws=0), [cells])
    study.compute(unit, cells, 0)
    left_out = (cells.y == "a") & (cells.groups["condition"] == "stim")
    (X,) = seen
    known = {row.tobytes() for row in X}
    assert not any(row.tobytes() in known for row in cells.X[left_out])
    assert all(row.tobytes() in known for row in cells.X[~left_out])


@pytest.fixture(scope="module")
def output(cells):
    units = study.units(config_of(draws=1, design_draws=1), [cells])
    return [(u, study.compute(u, cells, 0)) for u in units]


@pytest.fixture(scope="module")
def rows(output):
    return pd.DataFrame(
        [{**row, "unit_name": u["name"]} for u, made in output for row in made.rows]
    )


def test_every_arm_is_scored_with_as_many_cells(rows):
    assert len(rows) == (3 + 6) * len(study.ARMS)
    assert set(rows["arm"]) == set(study.ARMS)
    assert (rows["n"] == 8).all()
    assert np.isfinite(rows[["mmd", "r2", "r2_welch"]]).all(axis=None)
    assert rows["source"].str.contains("was never seen with condition stim").all()
    best = rows.groupby("arm")[["mmd", "r2"]].mean()
    assert best["r2"].idxmax() == "null"


def test_scores_of_the_reference_itself_and_of_what_misses(cells):
    real = cells.X[(cells.y == "a") & (cells.groups["condition"] == "stim")]
    control = cells.X[(cells.y == "a") & (cells.groups["condition"] == "ctrl")]
    arms = {"control": control, "same": real, "far": control + 3}
    scores = study.score(np.concatenate([real, real]), arms, 8, 3, 0)
    assert scores["same"]["r2"] > 0.9 > scores["far"]["r2"]
    assert scores["same"]["mmd"] < scores["control"]["mmd"] < scores["far"]["mmd"]


def test_top_genes_are_those_that_respond(cells):
    condition = cells.groups["condition"]
    found = study.top_genes(cells.X[condition == "stim"], cells.X[condition == "ctrl"], 6)
    assert set(found) == set(range(6))


def made_rows(won, n_types=5):
    """Rows where the generator is ahead of every baseline in `won` types."""
    found = []
    for t in range(n_types):
        for arm in study.ARMS:
            mmd, r2 = {"generator": (0.2, 0.8), "null": (0.1, 0.9)}.get(arm, (0.5, 0.2))
            if arm == "counts" and t >= won:
                mmd, r2 = 0.3, 0.85  # ahead in R² alone
            line = {"stage": "final", "draw": 0, study.TYPE: f"t{t}", "arm": arm, "mmd": mmd}
            found.append({**line, "r2": r2, "r2_welch": r2, "source": "s", "unit_name": f"u{t}"})
    return pd.DataFrame(found)


@pytest.mark.parametrize(("won", "outcome"), [(5, "met"), (4, "met"), (3, "missed")])
def test_verdict_counts_types_that_are_better_in_both(won, outcome):
    rows = made_rows(won)
    findings = view.verdict(rows)
    assert findings[0].outcome == outcome
    assert f"{won} of 5 types" in findings[0].text
    lines = view.by_type(rows)
    assert lines["draws_won"].tolist() == [1] * won + [0] * (5 - won)
    if won < 5:
        assert "t4: MMD 0.200 against 0.300" in findings[1].text
        assert "R² 0.800 against 0.850" in findings[1].text


def test_the_page_has_tables_and_pictures(rows, output):
    config = config_of(draws=1, design_draws=1)
    text = markdown(config, STUDIES["held_out_combinations"], rows)
    for title in ("Type by type", "Every method", "Carried from", "Design stage"):
        assert f"## {title}" in text
    from matplotlib.figure import Figure

    arrays = {u["name"]: made.arrays for u, made in output}
    for picture in view.pictures(rows, arrays):
        figure = Figure(figsize=picture.size)
        picture.paint(figure)
        assert sum(len(ax.collections) > 0 for ax in figure.axes) == 3


def test_what_the_data_must_have(cells):
    with pytest.raises(ValueError, match="not an annotation of 'crossed'"):
        study.units(config_of(condition="donor"), [cells])
    with pytest.raises(ValueError, match="0 cells of 'a' with condition 'other'"):
        study.units(config_of(target="other"), [cells])
    with pytest.raises(ValueError, match="draws=0 must be at least 1"):
        config_of(draws=0)
