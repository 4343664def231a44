"""Plots: what is drawn, and that nothing else is changed."""

import anndata as ad
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from scipy import sparse

from scdiff_augment import metrics, plotting
from scdiff_augment.expression.kinds import depth_normalised

N_REAL, N_NEW = 60, 40


@pytest.fixture(autouse=True)
def _untouched():
    """Every test leaves matplotlib's settings and the global random state as they were."""
    plt.get_backend()  # is chosen on first use
    before, state = mpl.rcParams.copy(), np.random.get_state()[1].copy()  # noqa: NPY002
    yield
    plt.close("all")
    assert dict(before) == dict(mpl.rcParams)
    np.testing.assert_array_equal(state, np.random.get_state()[1])  # noqa: NPY002


@pytest.fixture
def cells():
    """Counts of real and synthetic cells of three types, 12 genes, their labels and places."""
    rng = np.random.default_rng(0)
    types = np.array(["B", "NK", "T"])
    y, y_new = types[np.arange(N_REAL) % 3], types[np.arange(N_NEW) % 3]
    rates = {label: rng.gamma(1, 2, 12) for label in types}
    X, new = (rng.poisson(np.array([rates[k] for k in labels])) for labels in (y, y_new))
    return {
        "real": X,
        "synthetic": new,
        "labels": y,
        "synthetic_labels": y_new,
        "embedding": (rng.normal(size=(N_REAL, 2)), rng.normal(size=(N_NEW, 2))),
    }


@pytest.fixture
def adata(cells):
    obs = pd.DataFrame(
        {
            "type": np.concatenate([cells["labels"], cells["synthetic_labels"]]),
            "is_synthetic": np.repeat([False, True], [N_REAL, N_NEW]),
        },
        index=[f"cell{i}" for i in range(N_REAL + N_NEW)],
    )
    var = pd.DataFrame(index=[f"g{i}" for i in range(12)])
    X = sparse.csr_matrix(np.concatenate([cells["real"], cells["synthetic"]]))
    return ad.AnnData(X, obs, var)


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def drawn(ax):
    return [len(points.get_offsets()) for points in ax.collections]


def without(cells, *names):
    return {name: values for name, values in cells.items() if name not in names}


def test_umap_draws_every_cell_real_below_synthetic(cells):
    ax = plotting.umap(**without(cells, "labels", "synthetic_labels"))
    assert isinstance(ax, Axes)
    assert drawn(ax) == [N_REAL, N_NEW]
    np.testing.assert_array_equal(ax.collections[0].get_offsets(), cells["embedding"][0])
    np.testing.assert_array_equal(ax.collections[1].get_offsets(), cells["embedding"][1])
    assert legend(ax) == ["60 real", "40 synthetic"]
    assert ax.get_xlabel() == "UMAP 1"


def test_umap_colours_classes(cells):
    ax = plotting.umap(**cells)
    assert drawn(ax) == [N_REAL, N_NEW]
    assert legend(ax) == ["real", "synthetic", "B", "NK", "T"]
    assert len(np.unique(ax.collections[0].get_facecolors(), axis=0)) == 3
    full = {tuple(c[:3]) for c in ax.collections[1].get_edgecolors()}
    assert full == {mpl.colors.to_rgb(c) for c in plotting.style.PALETTE[:3]}


def test_more_classes_than_colours_get_letters(cells):
    labels = np.array([f"type {i % 12}" for i in range(N_REAL)])
    ax = plotting.umap(**cells | {"labels": labels, "synthetic_labels": labels[:N_NEW]})
    assert sorted(text.get_text() for text in ax.texts) == list("ABCDEFGHIJKL")
    assert legend(ax)[2] == "A  type 0"


def test_the_legend_lies_beside_the_data(cells):
    ax = plotting.umap(**cells)
    ax.figure.canvas.draw()
    assert ax.get_legend().get_window_extent().x0 >= ax.get_window_extent().x1


def test_given_axes_are_drawn_into_and_returned(cells):
    _, (left, right) = plt.subplots(1, 2)
    assert plotting.umap(**cells, ax=right) is right
    assert not left.collections
    assert plotting.mean_variance(cells["real"], cells["synthetic"], ax=left) is left


def test_umap_takes_one_anndata(cells, adata):
    ax = plotting.umap(adata, label_key="type", embedding=cells["embedding"])
    assert drawn(ax) == [N_REAL, N_NEW]
    assert legend(ax)[2:] == ["B", "NK", "T"]
    assert legend(plotting.umap(adata, embedding=cells["embedding"]))[0] == "60 real"


def test_large_sets_are_subsampled(cells):
    ax = plotting.umap(**without(cells, "labels", "synthetic_labels"), max_cells=25)
    assert drawn(ax) == [25, 25]


def test_the_input_stays_as_it_was(cells, adata):
    before, copy = {k: np.copy(v) for k, v in cells.items() if k != "embedding"}, adata.copy()
    plotting.umap(**cells)
    plotting.mean_variance(cells["real"], cells["synthetic"])
    plotting.marker_dotplot(adata, ["g1"], "type")
    plotting.umap(adata, label_key="type", embedding=cells["embedding"])
    for name, values in before.items():
        np.testing.assert_array_equal(cells[name], values)
    pd.testing.assert_frame_equal(adata.obs, copy.obs)
    np.testing.assert_array_equal(adata.X.toarray(), copy.X.toarray())
    assert list(adata.obsm) == list(adata.uns) == []


def test_one_panel_for_each_class(cells):
    panels = plotting.umap_by_class(**cells, n_columns=2)
    assert [ax.get_title(loc="left") for ax in panels] == ["B", "NK", "T"]
    assert len(panels[0].figure.axes) == 3
    for ax, label in zip(panels, ["B", "NK", "T"], strict=True):
        n, new = (np.sum(cells[side] == label) for side in ("labels", "synthetic_labels"))
        assert drawn(ax) == [N_REAL + N_NEW, n + new]
        assert ax.get_xlabel() == f"{n} real, {new} synthetic"
    with pytest.raises(ValueError, match="panels by class need labels"):
        plotting.umap_by_class(**without(cells, "labels", "synthetic_labels"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c: c | {"embedding": (c["embedding"][0], np.zeros((3, 2)))},
            r"synthetic cells must .* 40 cells, got shape \(3, 2",
        ),
        (
            lambda c: without(c, "synthetic_labels"),
            "`synthetic_labels` needs one label for each of the 40",
        ),
        (lambda c: {"real": c["real"]}, "`synthetic` must be given"),
    ],
)
def test_umap_refuses_matrices_that_do_not_match(cells, change, message):
    with pytest.raises(ValueError, match=message):
        plotting.umap(**change(cells))


@pytest.mark.parametrize(
    ("mark", "options", "error", "message"),
    [
        (None, {"synthetic": np.ones((3, 12))}, ValueError, "must be left out"),
        (None, {"label_key": "colour"}, KeyError, "no column 'colour'"),
        (False, {}, ValueError, "marks 0 of 100 cells"),
        ("no", {}, ValueError, "must hold booleans"),
        ("missing", {}, KeyError, "oversample_adata writes it"),
    ],
)
def test_umap_refuses_an_anndata_that_does_not_fit(adata, mark, options, error, message):
    if mark == "missing":
        del adata.obs["is_synthetic"]
    elif mark is not None:
        adata.obs["is_synthetic"] = mark
    with pytest.raises(error, match=message):
        plotting.umap(adata, **options)


def test_joint_umap_repeats_and_shows_cells_unlike_any_other(cells):
    odd = cells["synthetic"] + np.random.default_rng(1).poisson(60, (N_NEW, 12)) * (
        np.arange(12) > 8
    )
    places = plotting.joint_umap(cells["real"], odd)
    assert [xy.shape for xy in places] == [(N_REAL, 2), (N_NEW, 2)]
    for first, again in zip(places, plotting.joint_umap(cells["real"], odd), strict=True):
        np.testing.assert_array_equal(first, again)
    between = np.linalg.norm(places[1][:, None] - places[0], axis=2)
    within = np.linalg.norm(places[1][:, None] - places[1], axis=2) + 1e9 * np.eye(N_NEW)
    assert (within.min(axis=1) < between.min(axis=1)).mean() > 0.9
    ax = plotting.umap(cells["real"], odd)
    np.testing.assert_allclose(ax.collections[1].get_offsets(), places[1], rtol=1e-6)
    with pytest.raises(ValueError, match=r"`matrix 0` and `matrix 1` .* 12 and 11"):
        plotting.joint_umap(cells["real"], odd[:, 1:])
    with pytest.raises(ValueError, match="at least 4 cells, got 2"):
        plotting.joint_umap(cells["real"][:1], odd[:1])
    with pytest.raises(ValueError, match="at least 3 genes, got 2"):
        plotting.joint_umap(cells["real"][:, :2], odd[:, :2])


def test_project_places_cells_at_their_nearest_real_ones(cells):
    X, xy = cells["real"], cells["embedding"][0]
    np.testing.assert_allclose(plotting.project(X, xy, X[5:9], n_neighbors=1), xy[5:9])
    everyone = plotting.project(X, xy, X[:2], n_neighbors=999)
    np.testing.assert_allclose(everyone, np.median(xy, axis=0)[None].repeat(2, axis=0))
    with pytest.raises(ValueError, match="real cells must hold 2 finite coordinates"):
        plotting.project(X, xy[:4], X)


def test_dots_have_the_size_of_the_share_and_the_colour_of_the_mean(adata):
    ax = plotting.marker_dotplot(adata, ["g3", "g1"], "type")
    dots = ax.collections[0]
    log = depth_normalised(adata.X.toarray().astype(float))[:, [3, 1]]
    rows = [
        (adata.obs["type"] == label).to_numpy() & (adata.obs["is_synthetic"] == new).to_numpy()
        for label in ("B", "NK", "T")
        for new in (False, True)
    ]
    means = np.concatenate([log[row].mean(axis=0) for row in rows])
    shares = np.concatenate([(log[row] > 0).mean(axis=0) for row in rows])
    np.testing.assert_allclose(dots.get_array(), means, rtol=1e-5)
    np.testing.assert_allclose(dots.get_sizes(), plotting.dotplot.LARGEST * shares)
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["g3", "g1"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["B", "NK", "T"]
    minor = [tick.get_text() for tick in ax.get_yticklabels(minor=True)]
    assert minor == ["real", "synthetic"] * 3
    assert legend(ax) == ["10%", "25%", "50%", "100%"]


def test_groups_of_markers_order_the_classes_and_have_names(adata):
    ax = plotting.marker_dotplot(adata, {"T": ["g0", "g1"], "B": ["g2"]}, "type", scale=True)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["T", "B", "NK"]
    assert [text.get_text() for text in ax.texts] == ["T", "B"]
    relative = ax.collections[0].get_array().reshape(6, 3)
    np.testing.assert_allclose(relative[::2].max(axis=0), 1)
    assert ax.collections[0].get_clim() == (0, 1)  # one odd synthetic class cannot pale the others
    ax = plotting.marker_dotplot(adata, ["g0"], "type", classes=["NK"])
    assert drawn(ax)[0] == 2


def test_a_class_without_synthetic_cells_has_one_row(adata):
    kept = adata[~((adata.obs["type"] == "NK") & adata.obs["is_synthetic"])].copy()
    kept.layers["twice"] = kept.X * 2
    for layer in (None, "twice"):
        ax = plotting.marker_dotplot(kept, ["g0"], "type", layer=layer)
        minor = [tick.get_text() for tick in ax.get_yticklabels(minor=True)]
        assert minor == ["real", "synthetic", "real", "real", "synthetic"]


@pytest.mark.parametrize(
    ("markers", "options", "error", "message"),
    [
        (["g0", "CD3"], {}, KeyError, r"1 of 2 marker genes are not in adata\.var_names: CD3\."),
        (["g0"], {"classes": ["X"]}, ValueError, "no cell has class 'X'. Choose from B, NK, T"),
        ({"T": []}, {}, ValueError, "no marker genes"),
        (["g0"], {"layer": "raw"}, KeyError, "no layer 'raw'"),
    ],
)
def test_dotplot_refuses_what_does_not_fit(adata, markers, options, error, message):
    with pytest.raises(error, match=message):
        plotting.marker_dotplot(adata, markers, "type", **options)


@pytest.fixture
def way(cells):
    rng = np.random.default_rng(2)
    return {
        "real": cells["real"],
        "path": rng.poisson(2.0, (5, 7, 12)),
        "weights": np.linspace(0, 1, 5),
        "embedding": (cells["embedding"][0], rng.normal(size=(5, 7, 2))),
    }


def test_a_path_is_drawn_over_real_cells_by_weight(cells, way):
    ax = plotting.interpolation_path(**way, labels=cells["labels"], name=["B", "T"])
    assert drawn(ax) == [N_REAL, 35, 5, 20, 20]
    assert sorted(text.get_text() for text in ax.texts) == ["B", "T"]
    np.testing.assert_allclose(ax.collections[1].get_array(), np.repeat(way["weights"], 7))
    middle = np.median(way["embedding"][1], axis=1)
    np.testing.assert_allclose(ax.collections[2].get_offsets(), middle)
    np.testing.assert_allclose(ax.lines[0].get_xydata(), middle)
    assert legend(ax) == ["real", "real, named class", "median per weight"]


def test_a_path_may_be_a_data_frame(cells, way):
    index = pd.MultiIndex.from_product([way["weights"], range(7)], names=["weight", "cell"])
    frame = pd.DataFrame(way["path"].reshape(35, 12), index=index)
    ax = plotting.interpolation_path(**{**way, "path": frame}, labels=cells["labels"])
    np.testing.assert_allclose(ax.collections[1].get_array(), np.repeat(way["weights"], 7))
    with pytest.raises(ValueError, match=r"got shape \(35, 12\)"):
        plotting.interpolation_path(**{**way, "path": frame, "weights": [0, 0.5, 1]})


def test_names_do_not_hide_each_other(cells, way):
    labels = np.array([f"a long name {i % 6}" for i in range(N_REAL)])  # all around the middle
    ax = plotting.interpolation_path(**way, labels=labels)
    boxes = [text.get_window_extent() for text in ax.texts]
    assert len(boxes) == 6
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    medians = ax.transData.transform(ax.collections[2].get_offsets())
    assert not any(box.contains(*at) for box in boxes for at in medians)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda way: {"weights": way["weights"][::-1]},
            r"`weights`; got shape \(5, 7, 12\) and weights \[1",
        ),
        (lambda way: {"name": ["X"]}, "no real cell has class 'X'. Choose from B, NK, T"),
        (lambda way: {"labels": ["B"]}, "`labels` needs one label for each of the 60"),
        (
            lambda way: {"embedding": (way["embedding"][0], np.ones((2, 2)))},
            "path cells must hold 2 finite coordinates for each of",
        ),
    ],
)
def test_a_path_that_does_not_fit_is_refused(cells, way, change, message):
    with pytest.raises(ValueError, match=message):
        plotting.interpolation_path(**{**way, "labels": cells["labels"], **change(way)})


@pytest.mark.parametrize("name", ["mean_variance", "zero_curves"])
def test_curves_show_every_gene_and_both_trends(name):
    metric = {"mean_variance": metrics.mean_variance, "zero_curves": metrics.zero_fraction}[name]
    rng = np.random.default_rng(0)
    real, new = rng.poisson(rng.gamma(1, 2, 80), (2, 50, 80))
    real[:, 0] = 0
    curve = metric(depth_normalised(real), depth_normalised(new))
    ax = getattr(plotting, name)(real, new)
    assert curve.mean_real[0] == 0
    for points, side in zip(ax.collections, ("real", "synthetic"), strict=True):
        mean = getattr(curve, f"mean_{side}")
        expected = np.stack([mean, getattr(curve, side)], axis=1)[mean > 0]
        np.testing.assert_allclose(points.get_offsets(), expected, rtol=1e-5)
    assert len(ax.lines) == 2
    assert legend(ax) == ["real", "synthetic"]
    assert ax.get_xscale() == "log"
    said = ax.get_legend().get_title().get_text()
    stated = {"mean_variance": f"{curve.error:.1%}", "zero_curves": f"{curve.real.mean():.1%}"}
    assert stated[name] in said


def test_telling_genes_are_drawn_in_their_order():
    real, new = np.random.default_rng(0).normal(size=(2, 60, 6))
    new[:, 4] += 4
    table = metrics.telling_genes(real, new, list("ABCDEF"), n_estimators=30)
    ax = plotting.telling_genes(table, n_genes=3)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == table.index[:3].tolist()
    assert ax.get_yticklabels()[0].get_text() == "E"
    np.testing.assert_allclose(ax.lines[1].get_xdata(), table["mean_synthetic"][:3])
    assert f"{table['importance'].iloc[0]:.1%}" in [text.get_text() for text in ax.texts]
    assert legend(ax) == ["real", "synthetic"]
    with pytest.raises(KeyError, match=r"lacks \['q90_real'\]"):
        plotting.telling_genes(table.drop(columns="q90_real"))
