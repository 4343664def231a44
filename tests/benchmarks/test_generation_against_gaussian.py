"""Diffusion against Gaussians: what the study computes on a toy model, what it says of rows."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from scdiff_bench.generator_studies.against_gaussian import study, view
from scdiff_bench.generator_studies.config import parse_study_config
from tiny import TINY

RAW = {
    "name": "toy_gaussians",
    "title": "Toy Gaussians",
    "study": "against_gaussian",
    "datasets": ["toy"],
    "params": {
        "draws": 2,
        "sizes": [40, 60, 10_000],
        "n_score": 30,
        "n_estimators": 10,
        "steps": [5, 10],
        "model": {k: v for k, v in TINY.items() if k != "denoiser_steps"},
    },
}


@pytest.fixture
def config(make_config, tmp_path):
    make_config()  # registers the data set
    return parse_study_config(RAW, tmp_path)


def test_every_arm_is_scored_on_the_same_held_out_cells(config, dataset, monkeypatch):
    made = study.units(config, [dataset])
    half = len(dataset.X) // 2
    assert [(u["draw"], u["n_train"]) for u in made] == [
        (draw, n) for draw in (0, 1) for n in (40, 60, half)
    ]
    seen = []
    evaluate = study.evaluate

    def spied(real, cells, **options):
        seen.append((real, cells, options["training"]))
        return evaluate(real, cells, **options)

    monkeypatch.setattr(study, "evaluate", spied)
    rows = pd.DataFrame(study.compute(made[0], dataset, 3).rows)
    found = list(zip(rows["arm"], rows["steps"], strict=True))
    assert found == [
        ("real", 0), ("recoded", 0), ("gaussian", 0), ("gaussian_diffusion", 5),
        ("gaussian_diffusion", 10), ("types", 0), ("clusters", 0), ("diffusion", 5),
        ("diffusion", 10),
    ]  # fmt: skip
    assert rows[["mmd", "coverage"]].notna().all(axis=None)  # forests need more cells
    real, others, train = seen[0]
    parts = [{cell.tobytes() for cell in part} for part in (train, real, others)]
    assert not parts[0] & parts[1]
    assert not (parts[0] | parts[1]) & parts[2]
    for again, cells, _ in seen:
        np.testing.assert_array_equal(again, real)
        assert cells.shape == real.shape
    repeated = pd.DataFrame(study.compute(made[0], dataset, 3).rows)
    pd.testing.assert_frame_equal(rows.drop(columns="seconds"), repeated.drop(columns="seconds"))


def test_arms_differ_in_their_gaussians_alone(config, dataset, monkeypatch):
    kept = {}
    described = study._described

    def spied(model, groups, labels, steps):
        other = described(model, groups, labels, steps)
        assert other.codec_.decoder_.genes.bias.equal(model.codec_.decoder_.genes.bias)
        kept[groups, steps] = other.denoiser_
        return other

    monkeypatch.setattr(study, "_described", spied)
    study.compute(study.units(config, [dataset])[0], dataset, 3)
    sizes = {k: len(denoiser.mixture.means) for k, denoiser in kept.items()}
    n_types = len(np.unique(dataset.y))
    assert sizes["one", 0] == sizes["one", 10] == 1
    assert sizes["types", 0] == n_types
    assert sizes["clusters", 0] == sizes["clusters", 5]
    still, trained = kept["one", 0].network.leave.weight, kept["one", 10].network.leave.weight
    assert not still.any()
    assert trained.any()


def rows_of(gap):
    """Rows of three draws in which diffusion is `gap` below the Gaussians."""
    return pd.DataFrame(
        {
            "dataset": "toy", "n_train": n, "draw": draw, "arm": arm, "steps": steps,
            "seconds": 1.0, "mmd": 0.01, "coverage": 0.9, "forest_auc_genes": 0.6,
            "forest_auc_pca": 0.6 + 0.01 * draw - gap * ("diffusion" in arm) * (steps == 300),
        }
        for n in (100, 1000)
        for draw in range(3)
        for arm, steps in [
            ("gaussian", 0), ("gaussian_diffusion", 10), ("gaussian_diffusion", 300), ("types", 0),
            ("clusters", 0), ("diffusion", 10), ("diffusion", 300), ("real", 0), ("recoded", 0),
        ]
    )  # fmt: skip


def test_the_verdict_is_about_paired_differences_of_the_longest_training():
    found = view.verdict(rows_of(0.05))
    assert [f.title for f in found] == [
        "Diffusion against a Gaussian for each type, 300 steps",
        "Diffusion against the Gaussians that it starts from, 300 steps",
        "Diffusion from one Gaussian against that Gaussian, 300 steps",
    ]
    for one in found:
        assert "toy, 1,000 cells: forest AUC, components −0.050 [−0.050, −0.050]" in one.text
        assert "MMD +0.0000" in one.text
    assert view.verdict(pd.DataFrame())[0].outcome == "warning"


def test_table_and_pictures_hold_every_arm():
    rows = rows_of(0.02)
    (table,) = view.tables(rows)
    assert len(table.frame) == 18
    assert table.frame["arm"].iloc[0] == "one Gaussian"
    (picture,) = view.pictures(rows, {})
    figure = Figure(figsize=picture.size, layout="constrained")
    picture.paint(figure)
    assert [len(ax.lines) for ax in figure.axes] == [7] * 4


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"arms": ["gauss"]}, "gauss"),
        ({"sizes": [0]}, "must be whole numbers"),
        ({"draws": 0}, "draws=0 must be at least 1"),
    ],
)
def test_bad_parameters_are_refused(params, said):
    with pytest.raises(ValueError, match=said):
        study.Parameters(**params)
