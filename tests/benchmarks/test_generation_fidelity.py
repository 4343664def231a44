"""The study of fidelity: who gets which cells, what is computed, what is said of made-up rows."""

import numpy as np
import pandas as pd
import pytest
from scdiff_bench.data.datasets import from_anndata
from scdiff_bench.generator_studies.config import parse_study_config
from scdiff_bench.generator_studies.fidelity import cells, view
from scdiff_bench.generator_studies.fidelity import metrics as figures
from scdiff_bench.generator_studies.fidelity import study as fidelity
from scdiff_bench.generator_studies.fidelity.targets import RATIO, TARGETS, beside_null, standing
from scdiff_bench.generator_studies.plan import GeneratorStudy
from tiny import TINY

from scdiff_augment import LatentDiffusion

RAW = {
    "name": "toy_fidelity",
    "title": "Toy fidelity",
    "study": "fidelity",
    "datasets": ["toy"],
    "params": {
        "draws": 1,
        "n_train": 60,
        "n_score": 30,
        "n_estimators": 5,
        "null_repeats": 3,
        "variants": {"first": {**TINY, "note": "as it is"}, "second": {**TINY, "n_steps": 6}},
    },
}


@pytest.fixture
def config(make_config, tmp_path):
    make_config()  # registers the data set
    return parse_study_config(RAW, tmp_path)


@pytest.fixture
def units(config, dataset):
    return {unit["name"]: unit for unit in fidelity.units(config, [dataset])}


def test_no_cell_has_two_uses_and_variants_share_them():
    parts = cells.part(101, 60, 1000, 3)
    assert [len(rows) for rows in (parts.train, parts.real, parts.null, parts.spare)] == [
        50, 25, 25, 1,
    ]  # fmt: skip
    everything = np.concatenate([parts.train, parts.real, parts.others])
    assert np.sort(everything).tolist() == list(range(101))
    again, other = cells.part(101, 60, 1000, 3), cells.part(101, 60, 1000, 4)
    np.testing.assert_array_equal(parts.train, again.train)
    assert not np.array_equal(parts.train, other.train)


def test_matched_cells_have_the_same_labels_and_known_types(dataset):
    y = dataset.y.copy()
    parts = cells.part(len(y), 60, 30, 0)
    y[parts.real[:4]] = "unseen"
    real, others = cells.matched(y, parts)
    assert y[real].tolist() == y[others].tolist()
    assert "unseen" not in y[real]
    assert np.isin(real, parts.real).all()
    assert np.isin(others, parts.others).all()
    assert len(np.unique(real)) == len(real) > 20


def test_rare_types_are_cut_and_the_rest_of_them_is_held_out(make_anndata):
    sizes = {"A": 200, "B": 120, "C": 70, "D": 55, "E": 49, "F": 90}
    data = from_anndata(make_anndata(sizes), "toy", "cell_type")
    assert cells.rare_types(data.y, 10) == ["D", "C", "F"]  # 49 do not leave 20 on each side
    assert cells.rare_types(data.y[np.isin(data.y, ["A", "B"])], 10) == ["B"]
    parts = cells.part(len(data.y), 300, 100, 0)
    cut = cells.cut(data.y, parts, 10, 25)
    names, counts = np.unique(data.y[cut.train], return_counts=True)
    found = dict(zip(names.tolist(), counts.tolist(), strict=True))
    assert (found["C"], found["D"], found["F"]) == (10, 10, 10)
    assert found["A"] == (data.y[parts.train] == "A").sum()
    for rows in (cut.real, cut.null):
        names, counts = np.unique(data.y[rows], return_counts=True)
        assert dict(zip(names.tolist(), counts.tolist(), strict=True)) == {
            "C": 25, "D": 22, "F": 25,
        }  # fmt: skip
    everything = np.concatenate([cut.train, cut.real, cut.null])
    assert len(np.unique(everything)) == len(everything)


def test_there_is_one_null_for_all_variants_of_a_draw(units):
    assert list(units) == [
        "toy real cells draw 0",
        "toy first draw 0", "toy first rare 10 draw 0",
        "toy second draw 0", "toy second rare 10 draw 0",
    ]  # fmt: skip
    assert [name for name, unit in units.items() if unit.get("pictured")] == ["toy first draw 0"]
    assert len({unit["split"] for unit in units.values()}) == 1
    assert not any("note" in str(unit) for unit in units.values())


@pytest.fixture(scope="module")
def computed(make_anndata):
    """Rows of every unit of a data set whose types are told apart easily."""
    data = from_anndata(make_anndata({"A": 90, "B": 80, "C": 70}), "toy", "cell_type")
    params = fidelity.Parameters(**RAW["params"])
    config = type("Config", (), {"params": params, "seed": 0})()
    found = {
        unit["name"]: fidelity.compute(unit, data, 5) for unit in fidelity.units(config, [data])
    }
    rows = [
        {"dataset": "toy", **row} | fidelity.annotate(config, row)
        for output in found.values()
        for row in output.rows
    ]
    return pd.DataFrame(rows), found


def test_every_value_of_a_variant_has_its_null(computed):
    rows, found = computed
    joined = beside_null(rows)
    assert set(joined["variant"]) == {"first", "second"}
    assert joined["null"].isna().equals(joined["value"].isna())
    natural = joined[(joined["conditions"] == "none") & joined["value"].notna()]
    assert set(natural["figure"]) >= {"scc", "mmd", "zero_curve_error", "nearest_neighbour_ratio"}
    assert (natural["low"] <= natural["null"]).all()
    assert (natural["null"] <= natural["high"]).all()
    assert natural["n"].eq(30).all()
    ratios = joined[joined["conditions"].eq("rare 10") & joined["figure"].eq(RATIO)]
    assert ratios["class"].nunique() == 2
    assert ratios["n_train"].eq(10).all()
    assert (ratios["low"] < ratios["null"]).all()
    assert (ratios["null"] < ratios["high"]).all()
    pictured = found["toy first draw 0"].arrays
    assert len(pictured["labels"]) == len(pictured["synthetic_named"])
    # The same cells, judge and forests: only the model's own cells differ.
    assert joined.groupby(["conditions", "class", "figure"])["null"].nunique().max() == 1


def test_the_table_of_reference_compares_with_training_cells(computed):
    rows, _ = computed
    published = rows[(rows["conditions"] == "published") & (rows["class"] == "all cells")]
    assert set(published["figure"]) == {*figures.PUBLISHED, "celltypist_accuracy"}
    tables = {table.title: table for table in view.tables(rows)}
    held_out, reference = (tables[t] for t in tables if t.startswith(("Beside", "For reference")))
    assert "training cells" in reference.caption
    ours = reference.frame[reference.frame["source"] == "this page"]
    assert ours["variant"].tolist() == ["real cells", "first", "second"]
    assert ours["cells"].eq(30).all()
    theirs = reference.frame[reference.frame["source"] != "this page"].set_index("dataset")
    assert theirs.loc["Tabula Muris", ["scc", "pcc", "mmd", "ilisi"]].tolist() == [
        0.9958, 0.9996, 0.0197, 0.898,
    ]  # fmt: skip
    assert held_out.columns == reference.columns


def test_celltypist_judges_cells_by_a_model_of_other_cells(dataset):
    parts = cells.part(len(dataset.X), 60, 30, 0)
    wanted = dataset.y[parts.real]
    rows = list(figures.called_right(dataset, parts.others, dataset.X[parts.real], wanted, "label"))
    overall = next(row for row in rows if row["class"] == "all cells")
    assert overall["value"] > 0.8
    assert overall["low"] < overall["value"] <= overall["high"]
    assert sum(row["n"] for row in rows) == 2 * overall["n"]
    shuffled = np.random.default_rng(0).permutation(wanted)
    wrong = next(figures.called_right(dataset, parts.others, dataset.X[parts.real], shuffled, "x"))
    assert wrong["value"] == pytest.approx((shuffled == wanted).mean(), abs=0.15)
    with_unknown = np.where(wanted == wanted[0], "unknown", wanted)
    left = next(
        figures.called_right(dataset, parts.others, dataset.X[parts.real], with_unknown, "x")
    )
    assert left["n"] == (wanted != wanted[0]).sum()


def test_copies_of_rare_cells_are_outside_the_interval(make_anndata):
    data = from_anndata(make_anndata({"A": 150, "B": 90, "C": 80}), "toy", "cell_type")
    parts = cells.cut(data.y, cells.part(len(data.y), 160, 100, 0), 10, 100)
    copies = parts.real.copy()
    for label in np.unique(data.y[parts.real]):
        own = parts.train[data.y[parts.train] == label]
        here = data.y[parts.real] == label
        copies[here] = np.resize(own, here.sum())

    def ratios(rows, null=False):
        found = pd.DataFrame(figures.memorised(data, parts, data.X[rows], "rare 10", 0, null=null))
        return found[found["figure"] == RATIO].set_index("class")

    null, copied = ratios(parts.null, null=True), ratios(copies)
    assert (copied["value"] < null["low"]).all()
    assert null["value"].between(null["low"], null["high"]).all()
    assert copied["n_train"].tolist() == [10, 10]


def made_up(values, **where):
    """Rows of a variant and its null, from figure -> (value, null, low, high)."""
    base = {"dataset": "toy", "draw": 0, "conditions": "none", "class": "all cells", "note": "n"}
    base |= {"n": 30, "n_train": 60, "seconds": 2.0}
    rows = []
    for figure, (value, null, low, high) in values.items():
        shared = base | where | {"figure": figure}
        rows.append(shared | {"variant": "one", "value": value, "low": np.nan, "high": np.nan})
        rows.append(
            shared | {"variant": fidelity.REAL, "value": null, "low": low, "high": high, "note": ""}
        )
    return rows


@pytest.mark.parametrize(
    ("figure", "good", "bad"),
    [
        ("forest_auc_pca", 0.6, 0.601),
        ("forest_auc_genes", 0.5, 0.7),
        ("mmd", 0.01, 0.0101),
        ("scc", 0.8981, 0.8979),
        ("zero_fraction_difference", -0.005, -0.0051),
        ("coverage", 0.811, 0.809),
        ("nearest_neighbour_ratio", 0.86, 0.84),
        ("nearest_neighbour_ratio", 0.94, 0.96),
        ("celltypist_accuracy", 0.909, 0.911),
        ("celltypist_accuracy", 0.891, 0.889),
    ],
)
def test_targets_are_met_where_the_numbers_say_so(figure, good, bad):
    where = {"conditions": "label" if figure == "celltypist_accuracy" else "none"}
    for value, expected in ((good, True), (bad, False)):
        rows = pd.DataFrame(made_up({figure: (value, 0.9, 0.85, 0.95)}, **where))
        (row,) = standing(beside_null(rows)).to_dict("records")
        assert TARGETS[row["target"]].figure == figure
        assert row["met"] is expected


def test_rare_types_must_all_be_within():
    ratio = RATIO
    rows = [
        *made_up({ratio: (0.9, 0.9, 0.8, 1.0)}, **{"class": "B", "conditions": "rare 10"}),
        *made_up({ratio: (0.7, 0.9, 0.8, 1.0)}, **{"class": "C", "conditions": "rare 10"}),
    ]
    found = beside_null(pd.DataFrame(rows))
    (row,) = standing(found).to_dict("records")
    assert (row["met"], row["good"], row["cases"]) == (False, 1, 2)
    text = view.verdict(pd.DataFrame(rows))[0]
    assert "toy 1 of 2 types and repeats" in text.text
    assert text.outcome == "missed"


def test_the_page_has_a_line_for_each_attempt_with_its_note(computed):
    rows, _ = computed
    tables = {table.title: table for table in view.tables(rows)}
    attempts = tables["Attempts: toy"]
    lines = {line[0]: dict(zip(attempts.heads, line, strict=True)) for line in attempts.lines()}
    assert list(lines) == [
        "target", "real cells", "real cells, from", "real cells, to", "first", "second",
    ]  # fmt: skip
    assert lines["first"]["what it tests"] == "as it is"
    assert lines["second"]["what it tests"] == ""
    stand = standing(beside_null(rows))
    own = stand[stand["variant"] == "first"]
    assert lines["first"]["targets met"] == f"{own['met'].sum()} of {len(own)}"
    coverage = own[own["target"] == [t.figure for t in TARGETS].index("coverage")].iloc[0]
    mark = " ✓" if coverage["met"] else ""
    assert lines["first"]["coverage"] == f"{coverage['value']:.3f}{mark}"
    assert float(lines["first"]["seconds"]) >= 0
    assert attempts.classes[:2] == ["text", "prose"]
    names = "".join(tables)
    for part in ("Memorisation: rare types", "By class: toy", "zero curve error", "marker lfc"):
        assert part in names
    for table in tables.values():
        assert table.lines()
    assert {picture.name for picture in view.pictures(rows, {})} == set()


def test_notes_change_no_unit(config, dataset, tmp_path):
    plan, changed = GeneratorStudy(config), None
    plan.load()
    keys = [unit.key for unit in plan.units]
    raw = RAW | {"params": RAW["params"] | {"variants": {"first": TINY, "second": {
        **TINY, "n_steps": 6, "note": "another"}}}}  # fmt: skip
    changed = GeneratorStudy(parse_study_config(raw, tmp_path))
    changed.load()
    assert [unit.key for unit in changed.units] == keys
    assert fidelity.annotate(changed.config, {"variant": "second"}) == {"note": "another"}


def test_a_variant_may_draw_otherwise(units, dataset, monkeypatch):
    asked = []
    sample = LatentDiffusion.sample

    def spied(self, conditions=None, n=None, **options):
        asked.append((conditions is not None, options))
        return sample(self, conditions, n, **options)

    monkeypatch.setattr(LatentDiffusion, "sample", spied)
    options = {"temperature": 0.7, "guidance_scale": 1}
    unit = units["toy first draw 0"] | {"sampling": options}
    fidelity.compute(unit, dataset, 0)
    assert asked == [(False, {"temperature": 0.7}), (True, options)]
    made = fidelity.Parameters(variants={"a": {**TINY, "sampling": options}})
    assert made.variants["a"]["sampling"] == options


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"variants": {}}, "variants must name at least one"),
        ({"variants": {"real cells": {}}}, "must not be named 'real cells'"),
        ({"variants": {"a": {"note": 3}}}, "the note of variant 'a' must be a line of text"),
        ({"null_repeats": 1}, "null_repeats=1 must be at least 2"),
        ({"rare_n": [1]}, "rare_n=1 must be a whole number of at least 2"),
        ({"draws": 0}, "draws=0 must be at least 1"),
        ({"variants": {"a": {"encodr": "pca"}}}, "parameter of the generator 'encodr'"),
        (
            {"variants": {"a": {"sampling": {"temp": 1}}}},
            "option of sampling in variant 'a' 'temp'",
        ),
    ],
)
def test_parameters_are_checked_before_any_work(params, message):
    with pytest.raises(ValueError, match=message):
        fidelity.Parameters(**params)


def test_a_variant_without_its_null_is_shown_without_verdict(computed):
    rows, _ = computed
    made = rows[rows["variant"] != fidelity.REAL]
    assert view.tables(made)
    assert view.verdict(made) == []
    assert view.tables(rows[rows["variant"] == fidelity.REAL]) == []
    assert view.verdict(rows[rows["variant"] == fidelity.REAL]) == []
