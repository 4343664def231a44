"""Scores of a unit: tuned thresholds, confusion counts, and both controls."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scdiff_bench.classifiers.catalogue import CLASSIFIERS, build_classifier
from scdiff_bench.classifiers.thresholds import TunedThresholds, log_proba, tune_weights
from scdiff_bench.running import units
from scdiff_bench.running.runner import load_datasets, make_units
from scdiff_bench.strategies import catalogue as strategies
from scdiff_bench.strategies.catalogue import Entry, Strategy, build_strategy
from scdiff_bench.tracking.models import save_generators, saved_generators
from sklearn.metrics import f1_score, log_loss
from sklearn.model_selection import StratifiedKFold

from scdiff_augment import LatentDiffusion

DRAW = {"kind": "rare_cell_draw", "rare": ["D"], "n": [4], "n_other": 40, "draws": 1}


def unit_of(config):
    (unit, *_) = make_units(config, load_datasets(config))
    return unit


def frame(record):
    return pd.DataFrame(record["rows"]).set_index(["strategy", "classifier"])


def test_thresholds_without_a_sampler_are_those_of_the_estimator(make_config, dataset):
    unit = unit_of(make_config(strategies=["thresholds"], classifiers=["logistic_regression"]))
    row = units.run_unit(unit)["rows"][0]
    assert row["thresholds_tuned"]
    model, _ = build_classifier("logistic_regression", False, unit.seed, dataset.genes)
    tuned = TunedThresholds(model, random_state=unit.seed)
    train, test = unit.fold.train, unit.fold.test
    called = tuned.fit(dataset.X[train], dataset.y[train]).predict(dataset.X[test])
    assert row["macro_f1"] == pytest.approx(f1_score(dataset.y[test], called, average="macro"))


def test_classifiers_of_several_sets_are_averaged(make_config, dataset):
    strategies_ = [
        "smote",
        {"name": "smote", "sets": 3},
        {"name": "smote", "sets": 1, "label": "o"},
    ]
    config = make_config(strategies=strategies_, classifiers=["random_forest"], split=DRAW)
    one, three, other = make_units(config, load_datasets(config))
    assert three.spec.label == "smote_mean_of_3"
    assert len({one.key, three.key, other.key}) == 3
    rows = [units.run_unit(unit)["rows"][0] for unit in (one, three, other)]
    assert rows[0]["log_loss"] == rows[2]["log_loss"]
    X, y, (X_test, y_test) = three.cells()
    probability = 0
    for number in range(3):
        sampler = three.build(number).sampler
        assert (sampler.random_state == three.seed) == (number == 0)
        model, _ = build_classifier("random_forest", False, three.seed, dataset.genes)
        probability = probability + model.fit(*sampler.fit_resample(X, y)).predict_proba(X_test) / 3
    called = model.classes_[probability.argmax(axis=1)]
    assert rows[1]["macro_f1"] == pytest.approx(f1_score(y_test, called, average="macro"))
    loss = log_loss(y_test, probability, labels=model.classes_)
    assert rows[1]["log_loss"] == pytest.approx(loss, rel=1e-4)
    assert rows[1]["n_synthetic"] == rows[0]["n_synthetic"]


def test_thresholds_after_a_sampler_are_tuned_on_cells_it_has_not_seen(make_config, dataset):
    config = make_config(
        strategies=[{"name": "smote", "thresholds": True}],
        classifiers=["logistic_regression"],
        split=DRAW,
    )
    unit = unit_of(config)
    rows = frame(units.run_unit(unit))
    assert list(rows.index.get_level_values(0)) == ["smote", "smote_thresholds"]
    plain, tuned = rows.iloc[0], rows.iloc[1]
    assert (plain["thresholds_tuned"], tuned["thresholds_tuned"]) == (False, True)
    assert tuned["seconds_resample"] > plain["seconds_resample"]
    for same in ("log_loss", "brier", "pr_auc"):  # thresholds leave probabilities alone
        assert tuned[same] == plain[same]

    X, y = dataset.X[unit.fold.train], dataset.y[unit.fold.train]
    found = np.empty((len(y), 4))
    for inside, out in StratifiedKFold(4, shuffle=True, random_state=unit.seed).split(X, y):
        sampler = build_strategy("smote", "auto", unit.seed, {}).sampler
        model, _ = build_classifier("logistic_regression", False, unit.seed, dataset.genes)
        found[out] = log_proba(model.fit(*sampler.fit_resample(X[inside], y[inside])), X[out])
    weights = tune_weights(found, np.unique(y, return_inverse=True)[1])
    sampler = build_strategy("smote", "auto", unit.seed, {}).sampler
    model, _ = build_classifier("logistic_regression", False, unit.seed, dataset.genes)
    model.fit(*sampler.fit_resample(X, y))
    test = unit.fold.test
    called = model.classes_[(log_proba(model, dataset.X[test]) + weights).argmax(axis=1)]
    assert tuned["macro_f1"] == pytest.approx(f1_score(dataset.y[test], called, average="macro"))


@pytest.mark.parametrize("strategy", ["none", "smote"])
def test_settings_are_those_of_a_search_in_the_training_set(make_config, dataset, strategy):
    """scikit-learn's search over imbalanced-learn's pipeline chooses the same, on pooled folds."""
    config = make_config(
        strategies=[{"name": strategy, "thresholds": True}],
        classifiers=["logistic_regression", "knn", "lda"],
        split=DRAW,
        tuned=True,
    )
    unit = unit_of(config)
    rows = frame(units.run_unit(unit))
    assert set(rows["status"]) == {"ok"}
    X, y = dataset.X[unit.fold.train], dataset.y[unit.fold.train]
    folds = StratifiedKFold(3, shuffle=True, random_state=unit.seed)
    sampler = build_strategy(strategy, "auto", unit.seed, {}).sampler
    for name, parameter in (("logistic_regression", "C"), ("knn", "knn__n_neighbors")):
        found = {}
        for value in CLASSIFIERS[name].grid[parameter]:
            called = y.copy()
            for inside, out in folds.split(X, y):
                model = build_classifier(name, False, unit.seed, dataset.genes)[0]
                cells = X[inside], y[inside]
                cells = cells if sampler is None else sampler.fit_resample(*cells)
                called[out] = model.set_params(**{parameter: value}).fit(*cells).predict(X[out])
            found[value] = f1_score(y, called, average="macro")
        chosen = json.loads(rows.loc[(strategy, name), "setting"])
        assert found[chosen[parameter]] == max(found.values())
        model = build_classifier(name, False, unit.seed, dataset.genes)[0].set_params(**chosen)
        model.fit(*((X, y) if sampler is None else sampler.fit_resample(X, y)))
        test = unit.fold.test
        expected = f1_score(dataset.y[test], model.predict(dataset.X[test]), average="macro")
        assert rows.loc[(strategy, name), "macro_f1"] == pytest.approx(expected)
    assert rows.loc[(strategy, "lda"), "setting"] == "{}"


def test_tuned_settings_are_of_the_key_and_fixed_ones_are_the_default(make_config):
    keys = {unit_of(make_config(**given)).key for given in ({}, {"tuned": False}, {"tuned": True})}
    assert len(keys) == 2
    row = units.run_unit(unit_of(make_config(strategies=["none"])))["rows"][0]
    assert row["setting"] == "{}"
    with pytest.raises(ValueError, match="tuned='yes' must be true or false"):
        make_config(tuned="yes")


def test_a_sampler_is_run_once_for_all_classifiers_and_once_per_inner_fold(
    make_config, monkeypatch
):
    calls = []

    class Spy:
        def fit_resample(self, X, y):
            calls.append(len(X))
            return X, y

    monkeypatch.setitem(strategies.STRATEGIES, "smote", Entry(lambda s, r: Strategy(Spy())))
    config = make_config(
        strategies=[{"name": "smote", "thresholds": True}],
        classifiers=["logistic_regression", "knn"],
    )
    unit = unit_of(config)
    rows = units.run_unit(unit)["rows"]
    assert [r["status"] for r in rows] == ["ok"] * 4
    assert calls[0] == len(unit.fold.train)
    assert len(calls) == 1 + 5
    assert max(calls[1:]) < calls[0]


def test_tuning_that_fails_leaves_the_plain_arm_standing(make_config):
    split = DRAW | {"n": [2]}  # one cell is left inside, too few to interpolate
    entry = {"name": "smote", "thresholds": True}
    rows = frame(units.run_unit(unit_of(make_config(strategies=[entry], split=split))))
    assert rows.loc[("smote", "knn"), "status"] == "ok"
    failed = rows.loc[("smote_thresholds", "knn")]
    assert failed["status"] == "failed"
    assert "Class 'D' has 1 cell" in failed["error"]


def test_tallies_hold_every_call_donor_by_donor(make_config, dataset):
    donors = np.tile(["u", "v"], len(dataset.y) // 2)
    unit = unit_of(make_config(strategies=["none"]))
    unit = replace(unit, dataset=replace(dataset, groups={"donor": donors}))
    record = units.run_unit(unit)
    tallies = record["tallies"]
    assert [t["donor"] for t in tallies] == ["u", "v"]
    counts = np.array([t["confusion"] for t in tallies]).reshape(2, 4, 4)
    truth = pd.Series(dataset.y[unit.fold.test])
    np.testing.assert_array_equal(counts.sum(axis=(0, 2)), truth.value_counts().sort_index())
    assert counts.sum(axis=0).trace() / counts.sum() == record["rows"][0]["accuracy"]
    cells = [b[0] for b in tallies[0]["bins"]]
    assert sum(cells) == len(truth)
    assert tallies[1]["bins"] is None
    json.dumps(record, allow_nan=True)


def test_the_oracle_beats_the_null_and_is_made_of_cells_set_aside(make_config, dataset):
    config = make_config(
        strategies=["none", "oracle", {"name": "null", "params": {"of": "smote"}}],
        classifiers=["logistic_regression"],
        split=DRAW,
    )
    found = {u.spec.label: u for u in make_units(config, load_datasets(config))}
    rows = pd.concat(frame(units.run_unit(u)) for u in found.values())
    oracle = rows.loc[("oracle", "logistic_regression")]
    assert oracle["n_synthetic"] > 0
    assert oracle["macro_f1"] > rows.loc[("null", "logistic_regression"), "macro_f1"]
    aside = {dataset.X[i].tobytes() for i in found["oracle"].fold.reserve}
    X, y, _ = found["oracle"].cells()
    made, _ = found["oracle"].build().sampler.fit_resample(X, y)
    assert {row.tobytes() for row in made[len(y) :]} <= aside


def test_shares_and_genes_reach_the_sampler(make_config):
    entry = {"name": "smote", "shares": [0.5, 2]}
    config = make_config(strategies=[entry], n_genes=12)
    half, double = make_units(config, load_datasets(config))[:2]
    a, b = units.run_unit(half)["rows"][0], units.run_unit(double)["rows"][0]
    assert (a["strategy"], b["strategy"]) == ("smote_x0.5", "smote_x2")
    assert b["n_synthetic"] == pytest.approx(4 * a["n_synthetic"], abs=3)
    assert a["n_genes"] == 12
    X, *_ = half.cells()
    assert X.shape[1] == 12
    assert half.key != replace(half, study=make_config(strategies=[entry], n_genes=13)).key


def test_the_generator_of_the_first_fold_is_kept_and_a_broken_one_harms_nothing(
    make_config, tmp_path, monkeypatch
):
    tiny = {"n_latent": 5, "width": 16, "decoder_steps": 10, "denoiser_steps": 10, "n_steps": 5}
    config = make_config(strategies=["none", {"name": "diffusion", "params": tiny}])
    made = make_units(config, load_datasets(config))
    (path,) = save_generators(made, tmp_path).values()
    model = LatentDiffusion.load(path, random_state=0)
    assert list(model.genes_) == made[0].dataset.genes.tolist()
    assert model.sample({"y": "D"}, 3).shape == (3, 60)
    before = path.stat().st_mtime_ns
    assert save_generators(made, tmp_path) == saved_generators(tmp_path) == {"toy": path}
    assert path.stat().st_mtime_ns == before

    def broken(sampling_strategy, random_state, **params):
        raise RuntimeError("no generator today")

    monkeypatch.setitem(strategies.STRATEGIES, "diffusion", Entry(broken))
    assert save_generators(made, tmp_path / "other") == {}
