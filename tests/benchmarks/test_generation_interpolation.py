"""The study of gradient interpolation: its space on a known chain, a toy run, made-up rows."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scdiff_bench.data.datasets import from_anndata
from scdiff_bench.generator_studies.config import parse_study_config
from scdiff_bench.generator_studies.interpolation import study as interpolation
from scdiff_bench.generator_studies.interpolation import view
from scdiff_bench.generator_studies.interpolation.paths import (
    ENDS,
    GRADIENT,
    GRADIENTS,
    OTHER_HALF,
    PathScorer,
)
from scdiff_bench.generator_studies.interpolation.trajectory import learn_trajectory
from scdiff_bench.generator_studies.units import StudyUnit, run_study_unit
from scipy.stats import spearmanr
from tiny import TINY

TYPES = ("root", "early", "between", "late")
WAY = {"dataset": "chain", "root": "root", "source": "early", "target": "late"}
WAY |= {"left_out": ["between"]}


@pytest.fixture(scope="module")
def chain():
    """Cells along a bent line of programmes, whose true place is known."""
    rng = np.random.default_rng(0)
    place = np.sort(rng.random(240))
    centres = np.linspace(0, 1, 40)
    rates = 2 + 30 * np.exp(-((place[:, None] - centres) ** 2) / 0.03)
    labels = np.array(TYPES)[np.minimum((place * 4).astype(int), 3)]
    adata = ad.AnnData(
        rng.poisson(rates).astype(np.int32),
        obs=pd.DataFrame({"cell_type": labels}, index=[f"c{i}" for i in range(240)]),
        var=pd.DataFrame(index=[f"g{i}" for i in range(40)]),
    )
    return from_anndata(adata, "chain", "cell_type"), place


@pytest.fixture(scope="module")
def space(chain):
    data, _ = chain
    return learn_trajectory(data.X, data.y, "root", n_components=5)


def config_of(tmp_path, monkeypatch, data, **params):
    from scdiff_bench.data.datasets import DATASETS

    monkeypatch.setitem(DATASETS, "chain", lambda: data)
    raw = {
        "name": "toy",
        "title": "Toy",
        "study": "interpolation",
        "datasets": ["chain"],
        "params": {
            "test": WAY,
            "validation": [WAY],
            "repeats": 2,
            "validation_repeats": 1,
            "n_starts": 20,
            "n_weights": 5,
            "model": TINY | {"n_steps": 20},
            "models": {"tiny": TINY | {"n_steps": 20}},
            "grids": {"drawn": {"sigma": [4.0], "guidance_scale": [1.0, 1.5]}},
        }
        | params,
    }
    return parse_study_config(raw, tmp_path)


def test_pseudotime_follows_the_true_place(space, chain):
    _, place = chain
    assert spearmanr(space.pseudotime, place).statistic > 0.97
    assert space.pseudotime.min() == 0
    assert place[space.pseudotime.argmin()] < 0.1  # the root is the far end of its type
    with pytest.raises(ValueError, match="root='stem' must be one of several types"):
        learn_trajectory(chain[0].X, chain[0].y, "stem")


def test_new_cells_get_time_and_type_from_others_than_their_own(space):
    cells = np.flatnonzero(space.labels == "between")
    points = space.points[cells]
    assert (space.nearest_labels(points) == "between").all()  # itself
    apart = space.without(cells)
    assert set(apart.nearest_labels(points)) == {"early", "late"}
    assert len(apart.reference) == len(space.points) - len(cells)
    np.testing.assert_allclose(space.times(points), space.pseudotime[cells], atol=0.1)


def test_reached_counts_cells_within_their_radius(space):
    cells = np.arange(10)
    assert space.reached(cells, space.points[cells]) == 1
    assert space.reached(cells, space.points[cells] + 1e3) == 0
    far = space.points[cells] + np.where(np.arange(10) < 4, 0, 1e3)[:, None]
    one = [space.reached(cells[[i]], far) for i in range(10)]
    assert space.reached(cells, far) == pytest.approx(np.mean(one))
    assert one[:4] == [1.0] * 4
    # The radius is the distance to the fifth other cell.
    distance = np.sort(np.linalg.norm(space.points - space.points[0], axis=1))
    assert space.radius[0] == pytest.approx(distance[5])


@pytest.mark.parametrize("jumps", [False, True])
def test_scores_tell_a_path_through_from_a_jump(space, chain, jumps):
    """Real cells in order are a perfect path; the same ends without a middle are a jump."""
    _, place = chain
    weights = np.linspace(0, 1, 5)
    aims = np.linspace(0.375, 0.875, 5)
    if jumps:
        aims = np.where(weights < 0.5, aims[0], aims[-1])
    points = [space.points[np.argsort(abs(place - aim))[:8]] for aim in aims]
    left = np.flatnonzero(space.labels == "between")
    unit = {**WAY, "role": "test", "model_name": "none", "middle": [0.3, 0.7]}
    starts = np.flatnonzero(abs(place - 0.375) < 0.02)[:8]
    scorer = PathScorer(unit, space, weights, starts, [left[::2], left[1::2]], 0)
    whole, *steps = scorer.path("path", points, {})
    assert len(steps) == 5
    assert whole["way_start"] == pytest.approx(0, abs=0.15)
    assert whole["way_end"] == pytest.approx(1, abs=0.15)
    shares = pd.DataFrame(steps).filter(like="nearest_").sum(axis=1)
    np.testing.assert_allclose(shares, 1)
    if jumps:
        assert whole["largest_step"] > 0.8
        assert whole["left_out_middle"] == 0
    else:
        assert whole["spearman_means"] == pytest.approx(1)
        assert whole["largest_step"] < 0.5
        assert whole["left_out_middle"] == 1
        assert whole["reached_middle"] > 0


def test_units_and_rows_are_complete_and_repeatable(chain, tmp_path, monkeypatch):
    data, _ = chain
    config = config_of(tmp_path, monkeypatch, data)
    units = interpolation.units(config, [data])
    assert [u["role"] for u in units] == ["test", "test", "validation"]
    output = interpolation.compute(units[0], data, 5)
    rows = pd.DataFrame(output.rows)
    assert rows["what"].value_counts().to_dict() == {"weight": 25, "control": 6, "path": 5}
    own = rows[rows["method"].isin(GRADIENTS.values()) & (rows["what"] == "path")]
    assert own["guidance_scale"].tolist() == [1.5, 1.5]
    assert own["spearman_means"].min() > 0.8
    scores = rows.filter(regex="reached|left_out_|nearest|arrived").to_numpy(dtype=float)
    assert np.nanmin(scores) >= 0
    assert np.nanmax(scores) <= 1
    null = rows.set_index("method")["reached_middle"]
    assert null[OTHER_HALF] > null[ENDS]
    assert output.arrays["path_drawn"].shape == (5, 20, 2)
    again = pd.DataFrame(interpolation.compute(units[0], data, 5).rows)
    pd.testing.assert_frame_equal(rows, again)


def test_the_model_never_sees_the_left_out_cells(chain, tmp_path, monkeypatch):
    data, _ = chain
    config = config_of(tmp_path, monkeypatch, data)
    seen = []
    real = interpolation.make_model

    def spy(params, seed):
        model = real(params, seed)
        fit, add = model.fit, model.add_condition
        model.fit = lambda X: seen.append(X) or fit(X)
        model.add_condition = lambda name, labels: seen.append(labels) or add(name, labels)
        return model

    monkeypatch.setattr(interpolation, "make_model", spy)
    interpolation.compute(interpolation.units(config, [data])[0], data, 5)
    X, labels = seen
    assert set(labels) == {"root", "early", "late"}
    left = {row.tobytes() for row in data.X[data.y == "between"]}
    assert not left & {np.ascontiguousarray(row).tobytes() for row in X}


def test_views_say_what_the_rows_say(chain, tmp_path, monkeypatch):
    data, _ = chain
    config = config_of(tmp_path, monkeypatch, data, repeats=1)
    records = [
        run_study_unit(StudyUnit(config, data, u)) for u in interpolation.units(config, [data])
    ]
    rows = pd.DataFrame([r for record in records for r in record["rows"]])
    assert (rows["status"] == "ok").all(), rows["error"].unique()
    order = view.verdict(rows)[0]
    lowest = rows.loc[
        (rows["role"] == "test") & rows["method"].isin(GRADIENTS.values()), "spearman_means"
    ].min()
    assert order.outcome == ("met" if lowest >= 0.95 else "missed")
    assert f"{lowest:.3f}" in order.text
    worse = rows.copy()
    worse.loc[worse["method"] == GRADIENT, ["left_out_middle", "reached_middle"]] = 0.0
    worse.loc[worse["method"] == GRADIENT, "spearman_means"] = 0.9
    assert [f.outcome for f in view.verdict(worse)[:3]] == ["missed"] * 3
    better = rows.copy()
    better.loc[better["method"].isin(GRADIENTS.values()), "left_out_middle"] = 1.0
    better.loc[better["method"].isin(view.LINES), "left_out_middle"] = 0.5
    assert view.verdict(better)[1].outcome == "met"
    assert "+0.500" in view.verdict(better)[1].text
    titles = [t.title for t in view.tables(rows)]
    assert titles == ["Paths and real cells", "Along the path", "Validation"]
    arrays = {r["name"]: r["arrays"] for r in records if r.get("arrays")}
    from matplotlib.figure import Figure

    shown = view.pictures(rows, arrays)
    assert [p.name for p in shown] == ["pseudotime", "types", "path"]
    for picture in shown:
        picture.paint(Figure(figsize=picture.size))
    validation = rows[rows["role"] == "validation"]
    assert view.verdict(validation)[0].title == "No test"
    assert view.pictures(validation, {}) == []


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"middle": [0.7, 0.3]}, "middle=.* must be two rising weights"),
        ({"n_weights": 2}, "n_weights=2 must be at least 3"),
        ({"repeats": -1}, "repeats=-1 must be at least 0"),
        ({"test": {"root": "root"}}, "must have exactly the keys"),
        ({"grids": {"thrown": {}}}, "thrown"),
        ({"grids": {"drawn": {"sigma": [1.0]}}}, "must list sigma and guidance_scale"),
    ],
)
def test_bad_parameters_are_refused(chain, tmp_path, monkeypatch, params, said):
    with pytest.raises(ValueError, match=said):
        config_of(tmp_path, monkeypatch, chain[0], **params)


def test_unknown_types_and_datasets_are_refused(chain, tmp_path, monkeypatch):
    data, _ = chain
    config = config_of(tmp_path, monkeypatch, data, test=WAY | {"target": "never"})
    with pytest.raises(ValueError, match="has no type 'never'; it has"):
        interpolation.units(config, [data])
    config = config_of(tmp_path, monkeypatch, data, test=WAY | {"dataset": "other"})
    with pytest.raises(ValueError, match="'other' of a transition is not in `datasets`"):
        interpolation.units(config, [data])
