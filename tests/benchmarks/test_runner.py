import json
import os
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scdiff_bench import results_version as versions
from scdiff_bench.data.datasets import DATASETS
from scdiff_bench.running import runner, store, units
from scdiff_bench.running.results import stored
from scdiff_bench.running.runner import Interrupted, load_datasets, make_units, run
from scdiff_bench.running.store import prepare_folder
from scdiff_bench.strategies import catalogue as strategies
from scdiff_bench.strategies.catalogue import Entry, Strategy

COSTS = r"seconds|memory"


@pytest.fixture
def study(make_config, tmp_path):
    """Return a function that runs a config in a folder of its own."""

    def start(folder="study", jobs=1, force=False, **changes):
        config = make_config(**changes)
        path = tmp_path / folder
        prepare_folder(path)
        return run(config, make_units(config, load_datasets(config)), path, jobs, force)

    return start


@pytest.fixture
def calls(monkeypatch):
    """Record which units are computed."""
    made = []

    def watched(unit):
        made.append((unit.fold.index, unit.spec.label))
        return units.run_unit(unit)

    monkeypatch.setattr(runner, "run_unit", watched)
    return made


def test_rows_are_flat_and_complete(study, dataset):
    results = study(classifiers=["logistic_regression", "knn"])
    rows, classes = results.rows, results.classes
    assert len(rows) == 3 * 3 * 2
    assert len(classes) == len(rows) * 4
    assert (rows["status"] == "ok").all()
    assert rows["dataset_digest"].unique() == [dataset.digest]
    # Seeds belong to folds: every strategy meets the same ones.
    assert (rows.groupby("fold")["unit_seed"].nunique() == 1).all()
    assert rows["unit_seed"].nunique() == 3
    smote = rows[rows["strategy"] == "smote"]
    assert (smote["n_synthetic"] == 3 * 40 - (smote["n_train"] - 40)).all()
    assert (rows.loc[rows["strategy"] == "none", "n_synthetic"] == 0).all()
    weighted = rows[rows["class_weight_applied"]]
    assert set(weighted["strategy"]) == {"class_weight"}
    assert set(weighted["classifier"]) == {"logistic_regression"}
    for name in (
        "seconds_resample",
        "seconds_fit",
        "seconds_predict",
        "peak_memory_mb",
        "macro_f1",
    ):
        assert (rows[name] > 0).all()


def test_one_resampling_serves_all_classifiers(study, monkeypatch):
    sampled = []

    def counted(sampling_strategy, random_state):
        sampled.append(random_state)
        return strategies.smote(sampling_strategy, random_state)

    monkeypatch.setitem(strategies.STRATEGIES, "smote", Entry(counted))
    rows = study(strategies=["smote"], classifiers=["logistic_regression", "knn"]).rows
    assert len(sampled) == 3
    assert (rows.groupby("unit")["seconds_resample"].nunique() == 1).all()


def test_test_cells_do_not_reach_the_sampler(study, dataset, monkeypatch):
    seen = []

    class Spy:
        def fit_resample(self, X, y):
            seen.append({row.tobytes() for row in X})
            return X, y

    build = Entry(lambda sampling_strategy, random_state: Strategy(Spy()))
    monkeypatch.setitem(strategies.STRATEGIES, "none", build)
    config_rows = study(strategies=["none"]).rows
    assert len(seen) == config_rows["fold"].nunique() == 3
    cells = {row.tobytes() for row in dataset.X}
    held_out = [cells - s for s in seen]
    assert set.union(*held_out) == cells
    assert sum(map(len, held_out)) == len(cells)


def test_an_interrupted_run_resumes(study, calls, monkeypatch):
    watched = runner.run_unit

    def stops_after_four(unit):
        if len(calls) == 4:
            raise KeyboardInterrupt
        return watched(unit)

    monkeypatch.setattr(runner, "run_unit", stops_after_four)
    with pytest.raises(Interrupted, match=r"^4 of 9 units are stored.$"):
        study()
    first, calls[:] = calls[:], []
    monkeypatch.setattr(runner, "run_unit", watched)
    results = study()
    assert (results.computed, results.reused) == (5, 4)
    assert not set(calls) & set(first)
    pd.testing.assert_frame_equal(
        results.rows.drop(columns=results.rows.filter(regex=COSTS)),
        (fresh := study("fresh").rows).drop(columns=fresh.filter(regex=COSTS)),
    )
    calls[:] = []
    assert study().computed == 0
    assert calls == []
    assert study(force=True).computed == 9


@pytest.mark.parametrize(
    ("changes", "computed"),
    [
        ({"title": "Another title", "scores": ["log_loss"]}, 0),
        ({"strategies": ["smote", "none", "class_weight"]}, 0),
        ({"strategies": ["none", "class_weight", "random_oversampler"]}, 3),
        ({"classifiers": ["logistic_regression"]}, 9),
        ({"seed": 1}, 9),
        ({"sampling_strategy": "not majority"}, 9),
    ],
)
def test_only_what_changed_is_computed_again(study, changes, computed):
    study()
    assert study(**changes).computed == computed


def test_other_cells_or_another_results_version_are_another_unit(make_config, dataset, monkeypatch):
    config = make_config()
    (unit, *_) = make_units(config, load_datasets(config))
    other = replace(unit, dataset=replace(dataset, digest="other"))
    fold = replace(unit.fold, train=unit.fold.train[1:])
    keys = {unit.key, other.key, replace(unit, fold=fold).key}
    monkeypatch.setattr(versions, "HARNESS_VERSION", versions.HARNESS_VERSION + 1)
    keys.add(unit.key)
    assert len(keys) == 4


def test_half_a_file_counts_as_missing(study, tmp_path):
    study()
    file = next((tmp_path / "study" / "units").iterdir())
    file.write_text(file.read_text()[:100])
    assert study().computed == 1


def test_a_strategy_that_raises_fails_alone_and_is_tried_again(study, monkeypatch):
    def broken(sampling_strategy, random_state):
        raise RuntimeError("no cells today")

    entry = strategies.STRATEGIES["smote"]
    monkeypatch.setitem(strategies.STRATEGIES, "smote", Entry(broken))
    rows = study(classifiers=["logistic_regression", "knn"]).rows
    failed = rows[rows["status"] == "failed"]
    assert len(failed) == 6
    assert set(failed["strategy"]) == {"smote"}
    assert set(failed["error"]) == {"RuntimeError: no cells today"}
    assert failed["macro_f1"].isna().all()
    assert (rows.loc[rows["strategy"] != "smote", "status"] == "ok").all()
    monkeypatch.setitem(strategies.STRATEGIES, "smote", entry)
    again = study(classifiers=["logistic_regression", "knn"])
    assert again.computed == 3
    assert (again.rows["status"] == "ok").all()


def test_a_classifier_that_raises_fails_alone(study, monkeypatch):
    def broken(class_weight, random_state, genes):
        raise ArithmeticError("no")

    from scdiff_bench.classifiers import catalogue as classifiers

    monkeypatch.setitem(classifiers.CLASSIFIERS, "knn", classifiers.Entry(broken, "kNN"))
    rows = study(classifiers=["logistic_regression", "knn"]).rows
    assert set(rows.loc[rows["status"] == "failed", "classifier"]) == {"knn"}
    assert (rows["status"] == "failed").sum() == 9


def test_warnings_stand_in_the_rows(study, monkeypatch):
    import warnings

    def noisy(sampling_strategy, random_state):
        class Sampler:
            def fit_resample(self, X, y):
                warnings.warn("mind the gap", UserWarning, stacklevel=1)
                return X, y

        return Strategy(Sampler())

    monkeypatch.setitem(strategies.STRATEGIES, "smote", Entry(noisy))
    rows = study().rows
    found = rows.set_index("strategy")["warnings"]
    assert set(found["smote"]) == {"UserWarning: mind the gap"}
    assert set(found["none"]) == {""}


def test_rows_do_not_depend_on_the_number_of_processes(study):
    config = {"split": {"kind": "repeated_stratified_cv", "n_splits": 2}}
    one, two = (study(f"jobs{jobs}", jobs, **config) for jobs in (1, 2))
    drop = one.rows.filter(regex=COSTS).columns
    pd.testing.assert_frame_equal(one.rows.drop(columns=drop), two.rows.drop(columns=drop))
    pd.testing.assert_frame_equal(one.classes, two.classes)


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"output folder .*file/x cannot be written.*--out"):
        prepare_folder(tmp_path / "file" / "x")
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(0o555)
    if os.geteuid():  # root may write anywhere
        with pytest.raises(OSError, match=r"Permission denied"):
            prepare_folder(locked / "x")


def test_a_disk_that_fills_up_keeps_what_is_there(study, calls, monkeypatch):
    real = store.write_text

    def full(path, text):
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        real(path, text)

    monkeypatch.setattr(store, "write_text", full)
    with pytest.raises(Interrupted, match=r"No space left on device\). 2 of 9 units are stored"):
        study()


def test_a_file_is_there_whole_or_not_at_all(tmp_path):
    path = tmp_path / "file.txt"
    store.write_text(path, "old")

    def breaks(part):
        part.write_text("ne")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        store.write_with(path, breaks)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_split_that_does_not_fit_names_the_data_set(make_config):
    config = make_config(split={"kind": "repeated_stratified_cv", "n_splits": 13})
    with pytest.raises(ValueError, match=r"Data set 'toy': Type 'D' has 12 cells"):
        make_units(config, load_datasets(config))


def test_stored_units_are_plain_json(study, tmp_path):
    study()
    for file in (tmp_path / "study" / "units").iterdir():
        result = json.loads(file.read_text())
        assert file.stem == result["unit"]
        assert np.isfinite(result["rows"][0]["macro_f1"])


def test_versions_that_change_during_a_study_stop_it(study, monkeypatch):
    """Results of other versions must not be among the study's rows."""
    seen = []

    def edited(unit):
        seen.append(unit)
        result = units.run_unit(unit)
        return result if len(seen) < 3 else {**result, "unit": "another"}

    monkeypatch.setattr(runner, "run_unit", edited)
    with pytest.raises(Interrupted, match="Versions changed"):
        study()
    monkeypatch.setattr(runner, "run_unit", units.run_unit)
    again = study()
    assert (again.reused, again.computed) == (2, 7)


CURVES = {
    "kind": "rare_cell_draw",
    "rare": [["D"], ["C", "D"]],
    "n": [3, 5],
    "n_other": 40,
    "draws": 2,
}


def test_repeats_come_before_everything_else(make_config, dataset, monkeypatch):
    """A study that is stopped has as many draws of one n or set as of another."""
    monkeypatch.setitem(DATASETS, "other", lambda: replace(dataset, name="other"))
    config = make_config(split=CURVES, datasets=["toy", "other"])
    made = make_units(config, load_datasets(config))
    draws = [unit.fold.repeat for unit in made]
    assert draws == sorted(draws)
    first = made[: len(made) // 2]
    cases = {(u.dataset.name, u.fold.rare_set, u.fold.n, u.spec.label) for u in first}
    assert len(cases) == len(first) == 2 * 2 * 2 * 3


def test_a_part_of_a_study_is_made_of_whole_folds(make_config, tmp_path, calls, monkeypatch):
    config = make_config(split=CURVES)
    grid = make_units(config, load_datasets(config))
    prepare_folder(tmp_path)
    with pytest.raises(ValueError, match=r"Nothing to show: 0 of 24 units"):
        stored(grid, tmp_path)
    clock = iter(range(100))
    monkeypatch.setattr(runner.time, "monotonic", lambda: next(clock))
    # One tick for the start, one before every unit: eight units begin before minute 9 / 60.
    found = run(config, grid, tmp_path, minutes=8.5 / 60)
    assert (len(calls), found.computed, found.missing, found.progress) == (8, 8, 16, (8, 24))
    assert len(found.rows) == 6  # of 2 whole folds; the third has 2 of 3 strategies
    assert found.rows.groupby("fold").size().tolist() == [3, 3]
    assert (
        set(found.confusion_counts["fold"]) == set(found.classes["fold"]) == set(found.rows["fold"])
    )
    again = stored(grid, tmp_path)
    assert (again.computed, again.reused, again.missing) == (0, 8, 16)
    for key in (grid[0].key, grid[3].key, grid[6].key, grid[7].key):
        (tmp_path / "units" / f"{key}.json").rename(tmp_path / key)
    part = stored(grid, tmp_path)  # no fold is whole: two strategies of the first
    assert part.rows["unit"].tolist() == [grid[1].key, grid[2].key]
    for key in (grid[0].key, grid[3].key, grid[6].key, grid[7].key):
        (tmp_path / key).rename(tmp_path / "units" / f"{key}.json")
    pd.testing.assert_frame_equal(again.rows, found.rows)
    monkeypatch.undo()
    whole = run(config, grid, tmp_path)
    assert (whole.reused, whole.computed, whole.missing) == (8, 16, 0)
    assert len(whole.rows) == 24


def test_a_strategy_that_failed_does_not_hold_its_fold_back(make_config, tmp_path, monkeypatch):
    def broken(sampling_strategy, random_state):
        raise RuntimeError("no cells today")

    monkeypatch.setitem(strategies.STRATEGIES, "smote", Entry(broken))
    config = make_config()
    grid = make_units(config, load_datasets(config))
    prepare_folder(tmp_path)
    run(config, grid, tmp_path)
    found = stored(grid, tmp_path)
    assert (found.missing, len(found.rows)) == (0, 9)
    assert (found.rows["status"] == "failed").sum() == 3


def test_installing_an_optional_package_leaves_other_results_alone(make_config, monkeypatch):
    config = make_config(strategies=["none", "geometric_smote"])
    plain, optional = make_units(config, load_datasets(config))[:2]
    before = plain.key, optional.key
    real = versions.version
    changed = {"imbalanced-learn-extra": "99", "scvi-tools": "99", "torch": "99"}
    monkeypatch.setattr(versions, "version", lambda name: changed.get(name) or real(name))
    assert plain.key == before[0]
    assert optional.key != before[1]


def test_cells_of_the_package_depend_on_their_results_version_and_torch(make_config, monkeypatch):
    config = make_config(strategies=["smote", "diffusion"])
    smote, diffusion = make_units(config, load_datasets(config))[:2]
    before = smote.key, diffusion.key
    monkeypatch.setattr(versions, "CELLS_VERSION", versions.CELLS_VERSION + 1)
    assert smote.key == before[0]
    assert diffusion.key != before[1]
    assert {"cells", "torch"} <= set(diffusion.versions)


def test_source_is_no_part_of_a_key(make_config, monkeypatch):
    config = make_config(strategies=["diffusion"])
    unit = make_units(config, load_datasets(config))[0]
    read = []
    monkeypatch.setattr("pathlib.Path.read_bytes", lambda path: read.append(path) or b"")
    assert len(unit.key) == 24
    assert read == []
