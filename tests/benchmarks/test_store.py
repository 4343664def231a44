import json
import shutil

import numpy as np
import pandas as pd
import pytest
from scdiff_bench.commands import main
from scdiff_bench.running import store
from scdiff_bench.running.results import stored
from scdiff_bench.running.runner import load_datasets, make_units, run


def unit(key, status="ok", score=0.25):
    return {"unit": key, "rows": [{"status": status, "f1": score}]}


@pytest.fixture
def folder(tmp_path):
    store.prepare_folder(tmp_path / "study")
    return tmp_path / "study"


def forget(folder):
    """Leave what a fresh clone has."""
    shutil.rmtree(folder / "units")
    store.prepare_folder(folder)


def test_packed_units_are_read_where_units_has_none(folder):
    arrays = {"x": np.arange(4.0)}
    store.keep(folder, unit("a"))
    store.keep(folder, {**unit("b"), "arrays": arrays})
    packed = store.pack(folder, ["a", "b", "not there yet"])
    assert (packed.kept, packed.dropped) == (2, 0)
    forget(folder)
    assert store.read(folder, "a") == unit("a")
    np.testing.assert_array_equal(store.read(folder, "b")["arrays"]["x"], arrays["x"])
    assert store.read(folder, "not there yet") is None
    store.keep(folder, unit("a", score=0.5))  # computed again
    assert store.read(folder, "a") == unit("a", score=0.5)


def test_packing_keeps_what_is_packed_and_not_unpacked(folder):
    store.keep(folder, unit("a"))
    store.pack(folder, ["a", "b"])
    forget(folder)
    store.keep(folder, unit("b"))
    assert store.pack(folder, ["a", "b"]).kept == 2
    forget(folder)
    assert [store.read(folder, key) for key in "ab"] == [unit("a"), unit("b")]
    assert {p.name for p in folder.iterdir()} == {"units", "units.zip"}


def test_units_that_are_not_asked_for_are_dropped_and_counted(folder):
    for key in "abc":
        store.keep(folder, unit(key))
    store.pack(folder, ["a", "b", "c"])
    packed = store.pack(folder, ["b"])
    assert (packed.kept, packed.dropped) == (1, 2)
    assert "1 finished units" in str(packed)
    assert "2 that it held are dropped" in str(packed)
    forget(folder)
    assert [store.read(folder, key) is None for key in "abc"] == [True, False, True]
    assert "dropped" not in str(store.pack(folder, ["b"]))


def test_units_that_failed_are_not_packed(folder):
    store.keep(folder, unit("a", "failed"))
    assert store.pack(folder, ["a"]).kept == 0
    assert store.read(folder, "a") is None
    assert store.read(folder, "a", failed=True) == unit("a", "failed")


def test_a_unit_that_failed_later_does_not_hide_the_packed_one(folder):
    store.keep(folder, unit("a"))
    store.pack(folder, ["a"])
    store.keep(folder, unit("a", "failed"))
    assert store.read(folder, "a") == unit("a")
    assert store.read(folder, "a", failed=True) == unit("a")


def test_half_a_file_in_units_is_made_good_by_the_archive(folder):
    store.keep(folder, unit("a"))
    store.pack(folder, ["a"])
    (folder / "units" / "a.json").write_text('{"unit": "a", "ro')
    assert store.read(folder, "a") == unit("a")


def test_packing_that_is_stopped_leaves_the_old_archive(folder, monkeypatch):
    store.keep(folder, unit("a"))
    store.pack(folder, ["a"])
    before = (folder / "units.zip").read_bytes()
    store.keep(folder, unit("b"))
    monkeypatch.setattr(store.archive, "_add", lambda *given: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        store.pack(folder, ["a", "b"])
    assert (folder / "units.zip").read_bytes() == before
    assert {p.name for p in folder.iterdir()} == {"units", "units.zip"}


def test_a_damaged_archive_costs_no_unit_that_is_in_units(folder):
    store.keep(folder, unit("a"))
    (folder / "units.zip").write_text("version https://git-lfs.github.com/spec/v1")
    with pytest.warns(UserWarning, match=r"study/units\.zip is damaged"):
        assert store.pack(folder, ["a"]).kept == 1
    forget(folder)
    assert store.read(folder, "a") == unit("a")


def test_a_study_goes_on_from_its_archive(make_config, folder):
    config = make_config()
    grid = make_units(config, load_datasets(config))
    whole = run(config, grid, folder)
    store.pack(folder, [u.key for u in grid[:7]])
    forget(folder)
    part = stored(grid, folder)
    assert (part.reused, part.missing, len(part.rows)) == (7, 2, 6)
    again = run(config, grid, folder)
    assert (again.reused, again.computed) == (7, 2)
    timed = whole.rows.filter(regex="seconds|memory").columns
    for one, two in ((whole.rows, again.rows), (whole.classes, again.classes)):
        one, two = (table.drop(columns=timed, errors="ignore") for table in (one, two))
        pd.testing.assert_frame_equal(one, two, rtol=1e-6)
    assert json.dumps(whole.confusion_counts["confusion"].tolist()) == json.dumps(
        again.confusion_counts["confusion"].tolist()
    )


def test_every_page_packs_its_units(make_config, tmp_path, monkeypatch, capsys):
    """The command line packs, also with --report-only, and goes on in a fresh clone."""
    make_config()  # the data set's name is known from now on
    text = "name: few\ntitle: Few\ndatasets: [toy]\nclassifiers: [knn]\n"
    text += "split: {kind: repeated_stratified_cv, n_splits: 3}\nstrategies: "
    config = tmp_path / "few.yaml"
    config.write_text(text + "[none, class_weight, smote]\n")
    command = ["run", str(config), "--jobs", "1", "--out", str(tmp_path / "reports")]
    command += ["--tracking-uri", f"sqlite:///{tmp_path / 'runs.db'}"]
    monkeypatch.setattr("scdiff_bench.commands.plans.log_study", lambda *given: "none")
    assert main(command) == 0
    assert "9 finished units" in capsys.readouterr().out
    folder = tmp_path / "reports" / "few"
    forget(folder)
    assert main([*command, "--report-only"]) == 0
    assert "9 units: 0 computed, 9 from earlier" in capsys.readouterr().out
    config.write_text(text + "[none, smote]\n")
    assert main(command) == 0
    said, noted = capsys.readouterr()
    assert "note: 3 units packed in" in noted
    assert "6 units: 0 computed, 6 from earlier" in said
    assert "6 finished units" in said
    assert "3 that it held are dropped" in said
