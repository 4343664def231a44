"""The table of all metrics, and its real references."""

import numpy as np
import pandas as pd
import pytest
from scanpy.datasets import pbmc68k_reduced

from scdiff_augment import metrics
from scdiff_augment.expression.kinds import depth_normalised
from scdiff_augment.metrics.scoring import ALL, IDEAL

FEW = {"n_estimators": 10}


def draw(rng, sizes=(70, 50, 12)):
    """Negative binomial counts of three types, 25 genes, and labels."""
    labels = np.repeat(["T", "B", "rare"], sizes)
    profile = np.random.default_rng(7).gamma(0.7, 3.0, (3, 25))
    rates = profile[np.repeat([0, 1, 2], sizes)]
    return rng.poisson(rng.gamma(4, rates / 4)), labels


@pytest.fixture
def sets():
    rng = np.random.default_rng(0)
    return {name: draw(rng) for name in ("real", "synthetic", "null", "training")}


def arguments(sets):
    """Everything that `evaluate` can be given, by name."""
    matrices = {name: X for name, (X, _) in sets.items()}
    labels = {f"{name}_labels": y for name, (_, y) in sets.items() if name != "real"}
    return {**matrices, **labels, "labels": sets["real"][1]}


def test_every_metric_for_every_class_beside_its_reference(sets):
    table = metrics.evaluate(**arguments(sets), **FEW)
    assert table["class"].unique().tolist() == [ALL, "B", "T", "rare"]
    assert table[table["class"] == ALL]["figure"].tolist() == list(IDEAL)
    assert len(table) == 4 * len(IDEAL)
    overall = table[table["class"] == ALL]
    assert overall[["synthetic", "null", "ideal"]].notna().all(axis=None)
    assert table.groupby("class")["n"].unique().map(list).to_dict() == {
        ALL: [132], "B": [50], "T": [70], "rare": [12],
    }  # fmt: skip
    rare = table[table["class"] == "rare"].set_index("figure")["synthetic"]
    assert rare[["forest_auc_pca", "ilisi", "gene_correlation_error"]].isna().all()
    assert (
        rare[["scc", "mmd", "coverage", "marker_lfc_slope", "nearest_neighbour_ratio"]]
        .notna()
        .all()
    )
    assert overall.set_index("figure").loc["exact_duplicates", ["synthetic", "null"]].tolist() == [
        0,
        0,
    ]


def test_values_are_those_of_the_single_metrics(sets):
    log = {name: depth_normalised(X) for name, (X, _) in sets.items()}
    table = metrics.evaluate(**arguments(sets), **FEW)
    found = table[table["class"] == ALL].set_index("figure")
    for column in ("synthetic", "null"):
        pair = log["real"], log[column]
        counts = sets["real"][0], sets[column][0]
        expected = {
            "scc": metrics.scc(*pair),
            "pcc": metrics.pcc(*pair),
            "mmd": metrics.mmd(*pair),
            "ilisi": metrics.ilisi(*pair),
            "gene_correlation_error": metrics.gene_correlation_error(*pair),
            "mean_variance_error": metrics.mean_variance(*pair).error,
            "zero_fraction_difference": metrics.zero_fraction(*pair).error,
            "zero_curve_error": metrics.zero_curve_error(*pair),
            "library_size_distance": metrics.library_size_distance(*counts),
            "density": metrics.density(*pair),
            "coverage": metrics.coverage(*pair),
            "nearest_neighbour_ratio": metrics.nearest_neighbour_ratio(*pair, log["training"]),
            "near_duplicates": metrics.duplicates(*pair, log["training"]).near,
        }
        for metric, value in expected.items():
            assert found.loc[metric, column] == pytest.approx(value, abs=1e-6), metric


def test_counts_and_their_log1p_values_give_the_same_table(sets):
    log = {n: (depth_normalised(X.astype(np.float32)), y) for n, (X, y) in sets.items()}
    pd.testing.assert_frame_equal(
        metrics.evaluate(**arguments(sets), **FEW),
        metrics.evaluate(**arguments(log), **FEW),
        atol=1e-6,
    )


def test_the_same_seed_gives_the_same_table_and_the_input_stays(sets):
    given = arguments(sets)
    before = {name: values.copy() for name, values in given.items()}
    first = metrics.evaluate(**given, max_cells=40, **FEW)
    pd.testing.assert_frame_equal(first, metrics.evaluate(**given, max_cells=40, **FEW))
    other = metrics.evaluate(**given, max_cells=40, random_state=1, **FEW)
    assert not first["synthetic"].equals(other["synthetic"])
    assert first["n"].max() == 40
    for name, values in given.items():
        np.testing.assert_array_equal(values, before[name])


def test_copies_stand_out_from_the_reference(sets):
    given = arguments(sets) | {
        "synthetic": sets["training"][0], "synthetic_labels": sets["training"][1],
    }  # fmt: skip
    table = metrics.evaluate(**given, **FEW).set_index(["class", "figure"])
    for label, n in {ALL: 132, "rare": 12}.items():
        assert table.loc[(label, "nearest_neighbour_ratio"), "synthetic"] < 1e-6
        assert table.loc[(label, "exact_duplicates"), "synthetic"] == n
        assert table.loc[(label, "near_duplicates"), "synthetic"] == 1
        assert table.loc[(label, "nearest_neighbour_ratio"), "null"] > 0.7


def test_repeats_give_the_reference_a_range(sets):
    table = metrics.evaluate(
        sets["real"][0], sets["synthetic"][0], null=sets["null"][0], n_repeats=3, **FEW
    ).set_index("figure")
    assert (table["null_low"] <= table["null"]).all()
    assert (table["null"] <= table["null_high"]).all()
    assert table.loc["mmd", "null_low"] < table.loc["mmd", "null_high"]


def test_without_null_labels_or_training_the_table_is_smaller(sets):
    table = metrics.evaluate(sets["real"][0], sets["synthetic"][0], **FEW)
    assert table["class"].unique().tolist() == [ALL]
    assert table[["null", "null_low", "null_high"]].isna().all(axis=None)
    assert not table["figure"].str.contains("marker|duplicates|ratio").any()


def test_a_class_that_was_not_generated_has_no_values(sets):
    X, y = sets["synthetic"]
    sets["synthetic"] = X[y != "B"], y[y != "B"]
    table = metrics.evaluate(**arguments(sets), **FEW).set_index("class")
    assert table.loc["B", "n"].eq(0).all()
    assert table.loc["B", "synthetic"].isna().all()


def test_smooth_values_have_no_counts_and_no_library_size(sets):
    real, synthetic = (depth_normalised(sets[name][0]) for name in ("real", "synthetic"))
    smooth = synthetic + np.random.default_rng(0).uniform(0.01, 0.1, synthetic.shape)
    found = metrics.evaluate(real, smooth, **FEW).set_index("figure")["synthetic"]
    assert np.isnan(found["library_size_distance"])
    assert found.drop("library_size_distance").notna().all()


def test_chosen_metrics_have_the_same_values_as_among_all(sets):
    chosen = ["mmd", "marker_lfc_slope", "nearest_neighbour_ratio", "zero_curve_error"]
    everything = metrics.evaluate(**arguments(sets), **FEW)
    found = metrics.evaluate(**arguments(sets), **FEW, figures=chosen)
    expected = everything[everything["figure"].isin(chosen)].reset_index(drop=True)
    pd.testing.assert_frame_equal(found, expected)
    alone = metrics.evaluate(**arguments(sets), figures=["scc"])
    assert alone["figure"].unique().tolist() == ["scc"]


def test_copies_lie_below_the_interval_of_the_reference(sets):
    table = metrics.evaluate(**arguments(sets), figures=["nearest_neighbour_ratio"])
    reference = table.set_index("class")
    assert (reference["null_low"] < reference["null"]).all()
    assert (reference["null"] < reference["null_high"]).all()
    copied = arguments(sets) | {
        "synthetic": sets["training"][0], "synthetic_labels": sets["training"][1],
    }  # fmt: skip
    found = metrics.evaluate(**copied, figures=["nearest_neighbour_ratio"])
    assert (found["synthetic"] < found["null_low"]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: {"null": depth_normalised(s["null"][0])}, "like counts and `null` like log1p"),
        (
            lambda s: {"null_labels": None},
            "`null_labels` needs one label for each of the 132 cells",
        ),
        (lambda s: {"labels": None}, "`labels` needs one label"),
        (lambda s: {"figures": ["scc", "auc"]}, r"at least one of scc, .*; got 'auc'"),
        (lambda s: {"figures": []}, "got none"),
        (lambda s: {"training": s["training"][0][:, 1:]}, r"`real` and `training` .* 25 and 24"),
        (lambda s: {"synthetic": s["synthetic"][0][:3]}, "5 cells, but `synthetic` has 3"),
        (lambda s: {"max_cells": 1}, "`max_cells` must be at least 5 here, got 1"),
        (lambda s: {"n_repeats": 0}, "it is 0 and null is given"),
        (lambda s: {"null": None, "n_repeats": 3}, "it is 3 and null is None"),
    ],
)
def test_bad_input_is_refused(sets, change, message):
    with pytest.raises(ValueError, match=message):
        metrics.evaluate(**arguments(sets) | change(sets))


def test_real_blood_cells_pass_for_real_ones():
    """Against themselves: what a perfect generator would get."""
    X = pbmc68k_reduced().raw.X.toarray()
    parts = np.array_split(np.random.default_rng(0).permutation(len(X)), 3)
    table = metrics.evaluate(X[parts[0]], X[parts[1]], null=X[parts[2]], n_estimators=50)
    found = table.set_index("figure")["synthetic"]
    assert found[["scc", "pcc"]].min() > 0.98
    assert found["coverage"] > 0.9
    assert abs(found[["forest_auc_pca", "forest_auc_genes", "knn_auc"]] - 0.5).max() < 0.13
    assert abs(found["zero_fraction_difference"]) < 0.02
