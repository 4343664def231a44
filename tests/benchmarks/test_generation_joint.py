"""The study of several conditions at once, and its judges."""

import json

import numpy as np
import pandas as pd
import pytest
from scdiff_bench.data.datasets import DATASETS, from_anndata
from scdiff_bench.generator_studies.config import parse_study_config
from scdiff_bench.generator_studies.joint_conditions import study, view
from scdiff_bench.generator_studies.joint_conditions.evaluators import Judge, train_judge
from scdiff_bench.generator_studies.parts import Output
from scdiff_bench.generator_studies.plan import GeneratorStudy
from scdiff_bench.running.store import prepare_folder
from tiny import TINY

RAW = {
    "name": "toy_joint",
    "title": "Toy names",
    "study": "joint_conditions",
    "datasets": ["toys"],
    "params": {
        "splits": 2,
        "conditions": ["cell_type", "condition"],
        "guidance_scales": [1.0, 2.0],
        "judges": ["logistic_regression"],
        "model": {**TINY, "encoder": "pca"},
    },
}


@pytest.fixture
def toys(make_anndata, monkeypatch):
    """Three types, each in two conditions that turn ten genes up."""
    adata = make_anndata({"A": 60, "B": 40, "C": 24})
    stim = np.arange(adata.n_obs) % 2 == 1
    adata.X[:, :10] += np.where(stim, 12, 0)[:, None].astype(adata.X.dtype)
    adata.obs["condition"] = np.where(stim, "stim", "ctrl")
    found = from_anndata(adata, "toys", "cell_type")
    monkeypatch.setitem(DATASETS, "toys", lambda: found)
    return found


@pytest.fixture
def config(toys, tmp_path):
    return parse_study_config(RAW, tmp_path)


def test_rows_are_complete_and_repeatable(config, toys):
    unit, _ = study.units(config, [toys])
    rows = pd.DataFrame(study.compute(unit, toys, 3).rows)
    assert rows["arm"].tolist() == ["real", "unguided", "several", "several", "found", "one"]
    assert (rows[["n_generator", "n_judge", "n_held_out"]] == [62, 31, 31]).all(axis=None)
    real = rows.iloc[0]
    assert real["spread"] == 1
    # The toy's conditions are far apart: judges know real cells, and guided ones are as asked.
    assert real["agrees_jointly"] > 0.9
    several = rows[rows["arm"] == "several"]["agrees_condition"]
    assert (several > rows.loc[rows["arm"] == "unguided", "agrees_condition"].item() + 0.2).all()
    for row in study.compute(unit, toys, 3).rows:
        mine = rows[(rows["arm"] == row["arm"]) & (rows["guidance_scale"] == row["guidance_scale"])]
        assert mine["agrees_jointly"].item() == row["agrees_jointly"]


def test_judges_and_judged_cells_are_not_the_generators(config, toys, monkeypatch):
    fitted, judging, judged, asked = [], [], [], []
    make = study.make_model

    def spied(params, seed):
        model = make(params, seed)
        fit = model.fit
        model.fit = lambda X: (fitted.append(X), fit(X))[1]
        return model

    def judge(name, X, labels, genes, seed):
        judging.append(X)

        class Spy:
            def right(self, X, wanted):
                judged.append(X)
                asked.append(wanted)
                return {"jointly": np.ones(len(X), dtype=bool)}

        return Spy()

    monkeypatch.setattr(study, "make_model", spied)
    monkeypatch.setattr(study, "train_judge", judge)
    study.compute(study.units(config, [toys])[0], toys, 0)
    parts = [{row.tobytes() for row in X} for X in (fitted[0], judging[0], judged[0])]
    assert [len(p) for p in parts] == [62, 31, 31]
    assert len(set.union(*parts)) == len(toys.X) == 124
    assert all(X.shape == judged[0].shape for X in judged)
    of_cell = {row.tobytes(): i for i, row in enumerate(toys.X)}
    rows = [of_cell[row.tobytes()] for row in judged[0]]
    for wanted in asked:
        np.testing.assert_array_equal(wanted["cell_type"], toys.y[rows])
        np.testing.assert_array_equal(wanted["condition"], toys.groups["condition"][rows])


def test_agreement_is_counted_apart_and_jointly():
    class Says:
        def __init__(self, *names):
            self.names = np.array(names)

        def predict(self, X):
            return self.names

    judge = Judge("made up", {"type": Says("a", "a", "b", "b"), "state": Says("x", "y", "x", "y")})
    wanted = {"type": np.array(["a", "a", "b", "a"]), "state": np.array(["x", "x", "x", "x"])}
    found = {k: hits.mean() for k, hits in judge.right(np.zeros((4, 1)), wanted).items()}
    assert found == {"type": 0.75, "state": 0.5, "jointly": 0.5}


def test_a_judge_learns_every_annotation(toys):
    labels = study.labels_of(toys, ["condition", "cell_type"])
    judge = train_judge("logistic_regression", toys.X, labels, toys.genes.tolist(), 0)
    assert list(judge.models) == ["condition", "cell_type"]
    assert judge.right(toys.X, labels)["jointly"].mean() > 0.9


def test_spread_is_the_variance_within_groups():
    z = np.array([[0.0, 0.0], [2.0, 0.0], [10.0, 1.0], [10.0, 1.0], [10.0, 4.0], [99.0, 0.0]])
    groups = np.array(["a", "a", "b", "b", "b", "alone"])
    assert study._spread(z, groups) == pytest.approx((2 + 6) / (1 + 2))
    assert study._spread(3 * z + 7, groups) == pytest.approx(9 * (2 + 6) / 3)


def test_a_study_end_to_end(config, tmp_path):
    plan = GeneratorStudy(config)
    plan.load()
    prepare_folder(tmp_path)
    results = plan.run(tmp_path, 1, False)
    assert (results.rows["status"] == "ok").all()
    files = {p.name for p in plan.write(results, tmp_path)}
    assert "toys_logistic_regression.svg" in files
    html = (tmp_path / "index.html").read_text()
    assert "2 names at once, scales found: all right in" in html
    assert "None has 40 held-out cells over all splits." in html
    assert "several, scale 2" in html
    table = (tmp_path / "table.md").read_text()
    assert "| logistic regression | real, held out |" in table


def rows_of(real, several, one, unguided=(0.1, 0.1, 0.1, 0.1)):
    """Rows of one judge, one value of joint agreement per split."""
    arms = {"real": real, "unguided": unguided, "several": several, "found": several, "one": one}
    return pd.DataFrame(
        {
            "dataset": "toys",
            "split": split,
            "judge": "random_forest",
            "arm": arm,
            "guidance_scale": float(arm == "several"),
            "n_generator": 50,
            "n_judge": 25,
            "n_held_out": 25,
            "agrees_cell_type": 0.9,
            "agrees_jointly": value,
            "spread": 0.8,
            "by_combination": json.dumps(
                {"B | ctrl": [round(20 * value), 20], "T | stim": [16, 20], "rare": [0, 9]}
            ),
        }
        for arm, values in arms.items()
        for split, value in enumerate(values)
    )


@pytest.mark.parametrize(
    ("several", "outcome", "said"),
    [
        ((0.60, 0.62, 0.61, 0.61), "missed", "below the real rate"),
        ((0.79, 0.82, 0.80, 0.81), "met", "within the real rate"),
        ((0.78, 0.78, 0.77, 0.79), "met", "below the real rate"),
        ((0.90, 0.92, 0.91, 0.91), "warning", "above the real rate"),
    ],
)
def test_the_verdict_follows_from_the_rows(several, outcome, said):
    real = (0.80, 0.81, 0.79, 0.82)
    judge, combinations, scales, adding = view.verdict(rows_of(real, several, several))
    assert judge.outcome == outcome
    assert said in judge.text
    assert f"{np.mean(several):.3f} of generated and 0.805 of held-out" in judge.text
    assert "cell type 0.900 against 0.900, within" in judge.text
    word = said.split()[0]
    assert f"scale 1: {np.mean(several):.3f} ({word} for random forest), spread 0.80" in scales.text
    assert "as a control: 0.100" in scales.text
    assert f"scales found: {np.mean(several):.3f}, spread 0.80" in scales.text
    assert combinations.text.startswith("Of 2 with 40 held-out cells and more over all splits")
    below = (round(20 * s) for s in several), (round(20 * r) for r in real)
    gap = (sum(below[0]) - sum(below[1])) / 80
    assert combinations.outcome == ("met" if gap >= -0.15 else "missed")
    assert "+0.000 [+0.000, +0.000], no clear difference" in adding.text


def test_the_interval_is_the_corrected_one():
    several, real = (0.6, 0.7, 0.65, 0.75), (0.8, 0.8, 0.8, 0.8)
    table = view.tables(rows_of(real, several, several))[1].frame
    line = table[(table["cells"] == "several, scale 1") & (table["annotation"] == "jointly")]
    differences = np.array(several) - np.array(real)
    half = 3.182446 * np.sqrt((1 / 4 + 25 / 75) * differences.var(ddof=1))
    assert line["low"].item() == pytest.approx(differences.mean() - half, abs=1e-6)
    assert line["high"].item() == pytest.approx(differences.mean() + half, abs=1e-6)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"conditions": ["cell_type", "donr"]}, "Unknown condition of 'toys' 'donr'"),
        ({"judges": ["oracle"]}, "Unknown judge 'oracle'"),
        ({"splits": 1}, "splits=1 must be at least 2"),
        ({"guidance_scales": []}, "guidance_scales must not be empty"),
    ],
)
def test_bad_parameters_are_named(toys, tmp_path, params, message):
    with pytest.raises(ValueError, match=message):
        study.units(parse_study_config(RAW | {"params": params}, tmp_path), [toys])


def test_a_combination_that_is_too_small_is_named(config, make_anndata):
    adata = make_anndata({"A": 20, "B": 5})
    adata.obs["condition"] = ["stim", "ctrl"] * 12 + ["stim"]
    data = from_anndata(adata, "toys", "cell_type")
    with pytest.raises(ValueError, match=r"combination 'B \| ctrl' has 2 cells"):
        study.units(config, [data])


def test_outputs_are_plain(config, toys):
    output = study.compute(study.units(config, [toys])[1], toys, 0)
    assert isinstance(output, Output)
    assert {type(v) for row in output.rows for v in row.values()} <= {str, int, float}
