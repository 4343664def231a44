"""The study of the samplers: what it computes on a toy model, what it says of made-up rows."""

import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scdiff_bench.generator_studies.config import parse_study_config
from scdiff_bench.generator_studies.plan import GeneratorStudy
from scdiff_bench.generator_studies.samplers import study as samplers
from scdiff_bench.generator_studies.samplers import view
from scdiff_bench.generator_studies.units import run_study_unit
from scdiff_bench.running.store import prepare_folder
from tiny import TINY

RAW = {
    "name": "toy_samplers",
    "title": "Toy samplers",
    "study": "samplers",
    "datasets": ["toy"],
    "params": {
        "draws": 2,
        "n_train": 60,
        "n_score": 30,
        "samplers": {"ddpm": [40], "dpm++": [5, 20]},
        "inversion_steps": [5, 40],
        "n_invert": 10,
        "model": {k: v for k, v in TINY.items() if k != "n_steps"} | {"n_timesteps": 40},
    },
}
COSTS = r"seconds"


@pytest.fixture
def config(make_config, tmp_path, monkeypatch):
    make_config()  # registers the data set
    monkeypatch.setattr(samplers, "TIMING", 0.0)
    return parse_study_config(RAW, tmp_path)


def test_rows_are_complete_and_repeatable(config, dataset):
    first, second = samplers.units(config, [dataset])
    rows = pd.DataFrame(samplers.compute(first, dataset, 5).rows)
    assert rows["kind"].value_counts().to_dict() == {"inversion": 4, "sampler": 3, "null": 1}
    made = rows[rows["kind"] == "sampler"].set_index(["sampler", "steps"])
    assert made.loc[("dpm++", 20), "seconds_ratio"] == 1
    # One evaluation says where the chain starts; the ladder may have fewer rungs than 20.
    assert made["evaluations"].iloc[:2].tolist() == [41, 6]
    assert 6 < made["evaluations"].iloc[2] <= 21
    assert made[["mmd", "forest_auc"]].notna().all(axis=None)
    assert (rows["n"] == 30).all()
    again = pd.DataFrame(samplers.compute(first, dataset, 5).rows)
    drop = rows.filter(regex=COSTS).columns
    pd.testing.assert_frame_equal(rows.drop(columns=drop), again.drop(columns=drop))
    other = pd.DataFrame(samplers.compute(second, dataset, 6).rows)
    assert other["mmd"].iloc[0] != rows["mmd"].iloc[0]


def test_scored_cells_are_held_out(config, dataset, monkeypatch):
    fitted, scored = [], []
    make = samplers.make_model

    def spied(params, seed):
        model = make(params, seed)
        fit = model.fit
        model.fit = lambda X: (fitted.append(X), fit(X))[1]
        return model

    def distance(real, other, random_state):
        scored.append((real, other))
        return 0.0

    monkeypatch.setattr(samplers, "make_model", spied)
    monkeypatch.setattr(samplers, "mmd", distance)
    unit = samplers.units(config, [dataset])[0] | {"samplers": [["dpm++", 20]]}
    samplers.compute(unit, dataset, 0)
    ((train,), ((real, null), (real_too, made))) = fitted, scored
    np.testing.assert_array_equal(real, real_too)
    seen, scored_real, scored_null = ({row.tobytes() for row in X} for X in (train, real, null))
    assert (len(seen), len(scored_real), len(scored_null)) == (60, 30, 30)
    assert not seen & scored_real
    assert not seen & scored_null
    assert not scored_real & scored_null
    assert made.shape == real.shape


def test_every_sampler_starts_from_the_same_noise(config, dataset):
    model = samplers.make_model(config.params.model, 0).fit(dataset.X)
    cells = [samplers._sample(model, "ddim", n, 20)[0] for n in (40, 40, 20)]
    np.testing.assert_array_equal(cells[0], cells[1])
    unrelated = np.abs(cells[0] - cells[0][::-1]).mean()
    assert np.abs(cells[0] - cells[2]).mean() < unrelated


def test_the_fixed_point_brings_cells_back_where_euler_does_not(config, dataset):
    model = samplers.make_model(config.params.model, 0).fit(dataset.X)
    fixed, euler = samplers._inversion(model, dataset.X[:20], 40)
    assert fixed["median_error"] < 1e-3 < euler["median_error"]
    assert fixed["not_back"] <= euler["not_back"]
    assert fixed["evaluations"] > euler["evaluations"]


def test_a_unit_that_went_to_a_process_gives_the_same_rows(config):
    plan = GeneratorStudy(config)
    plan.load()
    work, unit = pickle.loads(pickle.dumps((run_study_unit, plan.units[0])))
    assert unit.key == plan.units[0].key
    here, there = (pd.DataFrame(r["rows"]) for r in (run_study_unit(plan.units[0]), work(unit)))
    drop = here.filter(regex=COSTS).columns
    pd.testing.assert_frame_equal(here.drop(columns=drop), there.drop(columns=drop))


def test_the_page_holds_tables_and_figures(config, tmp_path):
    plan = GeneratorStudy(replace(config, params=replace(config.params, draws=1)))
    plan.load()
    prepare_folder(tmp_path)
    results = plan.run(tmp_path, 1, False)
    files = {p.name for p in plan.write(results, tmp_path)}
    assert {"toy_mmd.svg", "toy_forest_auc.png", "toy_inversion.svg"} <= files
    html = (tmp_path / "index.html").read_text()
    assert html.count("<svg ") == 3
    assert "dpm++ 20 steps against ddpm 40" in html
    assert "real cells" in (tmp_path / "table.md").read_text()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"samplers": {"ddim": [10]}}, r"must hold 'dpm\+\+' with 20 steps"),
        ({"samplers": {"dpm++": [2, 20]}}, "n_steps"),
        ({"samplers": {"euler": [20]}}, "'sampler' parameter"),
        ({"draws": 0}, "draws=0 must be at least 1"),
        ({"model": {"widht": 3}}, "Unknown parameter of the generator 'widht'. Did you mean"),
        ({"model": {"random_state": 3}}, "Unknown parameter of the generator 'random_state'"),
    ],
)
def test_bad_parameters_are_named(make_config, tmp_path, params, message):
    make_config()
    with pytest.raises(ValueError, match=message):
        parse_study_config(RAW | {"params": params}, tmp_path)


def rows_of(mmd, null=0.004):
    """Rows with the MMD of each setting, all of one forest AUC, and 2 draws."""
    rows = [{"kind": "null", "mmd": null, "forest_auc": 0.5}]
    rows += [
        {
            "kind": "sampler",
            "sampler": sampler,
            "steps": steps,
            "mmd": value,
            "forest_auc": 0.5,
            "seconds_ratio": steps / 20,
        }
        for (sampler, steps), value in mmd.items()
    ]
    back = {"fixed point": (0.0, 0.005), "Euler": (0.8, 1.0)}
    rows += [
        {"kind": "inversion", "method": m, "steps": 100, "not_back": share, "worst_error": worst}
        for m, (share, worst) in back.items()
    ]
    draws = [pd.DataFrame(rows).assign(dataset="toy", draw=i) for i in range(2)]
    return pd.concat(draws, ignore_index=True)


def test_the_verdict_follows_from_the_rows():
    mmd = {
        ("ddpm", 1000): 0.0100,
        ("ddim", 10): 0.0300,
        ("ddim", 50): 0.0119,
        ("dpm++", 10): 0.0110,
        ("dpm++", 20): 0.0130,
        ("dpm++", 50): 0.0105,
    }
    few, fewest, cost, real, back = view.verdict(rows_of(mmd))
    assert few.outcome == "missed"  # .003 above the 1,000 steps
    assert "MMD 0.013 against 0.010 (+0.003 ± 0.000)" in few.text
    # 10 steps of dpm++ are within the margin, but 20 are not.
    assert fewest.text.endswith("toy, ddim: 50; toy, dpm++: 50.")
    assert "50 (toy) times" in cost.text
    assert real.outcome == "missed"
    assert back.outcome == "met"
    assert "toy: 0.0% of cells (80% by the usual inversion), the worst is off by 0%" in back.text
    findings = view.verdict(rows_of(mmd | {("dpm++", 20): 0.0119}, null=0.010))
    assert [f.outcome for f in findings] == ["met", "", "", "met", "met"]
    assert findings[1].text.endswith("toy, ddim: 50; toy, dpm++: 10.")


def test_a_setting_with_no_good_number_of_steps_is_said():
    mmd = {("ddpm", 1000): 0.01, ("ddim", 10): 0.03, ("ddim", 50): 0.02, ("dpm++", 20): 0.01}
    assert "toy, ddim: none of up to 50." in view.verdict(rows_of(mmd))[1].text
