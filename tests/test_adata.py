"""AnnData in and out."""

import logging

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from tiny import TINY, make_model, make_sampler

from scdiff_augment import DiffusionOversampler, oversample_adata
from scdiff_augment.annotation.layers import named_layers
from scdiff_augment.expression.kinds import depth_normalised


@pytest.fixture
def adata(counts):
    X, labels = counts
    obs = pd.DataFrame(
        {"cell_type": pd.Categorical(labels), "donor": pd.Categorical(["d1", "d2"] * 50)},
        index=[f"cell{i}" for i in range(100)],
    )
    var = pd.DataFrame({"chromosome": "1"}, index=[f"gene{i}" for i in range(40)])
    result = ad.AnnData(sparse.csr_matrix(X), obs, var)
    result.layers["double"] = result.X * 2
    result.obsm["X_pca"] = np.zeros((100, 2))
    return result


def test_real_cells_come_first_and_unchanged(adata):
    before = adata.copy()
    out = oversample_adata(adata, "cell_type", sampler=make_sampler())
    assert out.shape == (180, 40)
    assert sparse.issparse(out.X)
    assert out.X.dtype == adata.X.dtype
    np.testing.assert_array_equal(out.X[:100].toarray(), before.X.toarray())
    np.testing.assert_array_equal(adata.X.toarray(), before.X.toarray())
    assert list(adata.obs.columns) == list(before.obs.columns)
    pd.testing.assert_frame_equal(out.var, before.var)
    assert out.obs["is_synthetic"].tolist() == [False] * 100 + [True] * 80
    assert out.obs["cell_type"].value_counts().to_dict() == dict.fromkeys(
        ["common", "middle", "rare"], 60
    )


def test_synthetic_cells_have_names_and_provenance(adata, tmp_path):
    out = oversample_adata(adata, "cell_type", sampler=make_sampler())
    assert out.obs_names.is_unique
    assert "synth-rare-49" in out.obs_names
    assert out.obs.loc["synth-rare-0", "cell_type"] == "rare"
    assert (out.obs["donor"] == "synthetic").sum() == 80
    assert not out.obsm.keys()
    note = out.uns["scdiff_augment"]
    assert dict(zip(note["synthetic_labels"], note["synthetic_cells"], strict=True)) == {
        "rare": 50,
        "middle": 30,
    }
    assert note["parameters"]["random_state"] == "0"
    out.write_h5ad(tmp_path / "more.h5ad")
    assert ad.read_h5ad(tmp_path / "more.h5ad").shape == (180, 40)


def test_a_layer_can_be_learnt_from(adata):
    out = oversample_adata(adata, "cell_type", layer="double", sampler=make_sampler())
    np.testing.assert_array_equal(out.X[:100].toarray(), 2 * adata.X.toarray())


def test_columns_of_any_type_come_back_from_disk(adata, tmp_path):
    adata.obs["n_counts"] = np.arange(100)
    adata.obs["doublet"] = np.arange(100) % 7 == 0
    adata.obs["cell_type"] = (
        adata.obs["cell_type"]
        .cat.rename_categories({"rare": "CD4+/CD25-"})
        .cat.add_categories("no")
    )
    out = oversample_adata(adata, "cell_type", sampler=make_sampler())
    out.write_h5ad(tmp_path / "more.h5ad")
    back = ad.read_h5ad(tmp_path / "more.h5ad")
    assert back.obs["n_counts"].tolist()[:100] == list(range(100))
    assert back.obs["n_counts"].isna().sum() == 80
    assert back.obs["doublet"].dropna().tolist() == adata.obs["doublet"].tolist()
    assert "no" in out.obs["cell_type"].cat.categories
    assert "CD4+/CD25-" in back.uns["scdiff_augment"]["synthetic_labels"]


def test_labels_keep_their_type(adata):
    adata.obs["code"] = np.unique(adata.obs["cell_type"], return_inverse=True)[1]
    sampler = make_sampler(sampling_strategy={2: 25})
    out = oversample_adata(adata, "code", sampler=sampler)
    assert out.obs["code"].dtype == adata.obs["code"].dtype
    assert (out.obs["code"] == 2).sum() == 25


def test_synthetic_cells_stay_marked_when_more_are_added(adata):
    once = oversample_adata(adata, "cell_type", sampler=make_sampler())
    sampler = make_sampler(sampling_strategy={"rare": 70})
    twice = oversample_adata(once, "cell_type", sampler=sampler)
    assert twice.obs["is_synthetic"].sum() == 90
    assert twice.obs_names.is_unique


def test_bad_input_is_named(adata, tmp_path):
    with pytest.raises(TypeError, match="must be an AnnData, got ndarray"):
        oversample_adata(np.zeros((3, 3)), "cell_type")
    adata.write_h5ad(tmp_path / "cells.h5ad")
    with pytest.raises(ValueError, match="to_memory"):
        oversample_adata(ad.read_h5ad(tmp_path / "cells.h5ad", backed="r"), "cell_type")
    marked = adata.copy()
    marked.obs["is_synthetic"] = "no"
    with pytest.raises(ValueError, match=r"'is_synthetic'.*Rename"):
        oversample_adata(marked, "cell_type")
    with pytest.raises(KeyError, match=r"no column 'celltype'; it has \['cell_type', 'donor'\]"):
        oversample_adata(adata, "celltype")
    with pytest.raises(KeyError, match=r"no layer 'spliced'; it has \['double'\]"):
        oversample_adata(adata, "cell_type", layer="spliced")
    adata.obs.loc["cell3", "cell_type"] = np.nan
    with pytest.raises(ValueError, match=r"missing for 1 of 100 cells.*notna"):
        oversample_adata(adata, "cell_type")


def test_new_cells_belong_to_the_donors_they_were_conditioned_on(adata):
    adata.obs["batch"] = np.repeat([1, 2], 50)
    out = oversample_adata(adata, "cell_type", donor_key="donor", sampler=make_sampler())
    new = out.obs[out.obs["is_synthetic"]]
    assert set(new["donor"]) == {"d1", "d2"}
    assert list(out.obs["donor"].cat.categories) == ["d1", "d2"]
    assert abs((new["donor"] == "d1").mean() - 0.5) < 0.05  # as the real cells of each class
    assert set(new["batch"]) == {"synthetic"}
    assert out.obs["batch"][:100].tolist() == ["1"] * 50 + ["2"] * 50


def test_cells_that_started_from_real_ones_name_them(adata, tmp_path):
    out = oversample_adata(adata, "cell_type", sampler=make_sampler(strength=0.4))
    new = out.obs[out.obs["is_synthetic"]]
    assert out.obs["synthetic_source"][:100].isna().all()
    sources = adata.obs["cell_type"][new["synthetic_source"].astype(str)]
    assert sources.tolist() == new["cell_type"].tolist()
    counts = new["synthetic_source"][new["cell_type"] == "rare"].value_counts()
    assert set(counts[counts > 0]) == {5}  # 50 new cells from 10 real ones, each in turn
    out.write_h5ad(tmp_path / "more.h5ad")


def test_a_pretrained_generator_finds_its_genes_by_name(adata):
    frame = adata[:, ::-1].to_df()
    pretrained = make_model().fit(frame.iloc[::2])
    sampler = make_sampler(generator=pretrained, on_overlap="ignore")
    out = oversample_adata(adata, "cell_type", sampler=sampler)
    middle = (out.obs["cell_type"] == "middle").to_numpy()
    real, new = (out[middle & (out.obs["is_synthetic"] == flag)].X.toarray() for flag in (0, 1))
    assert np.corrcoef(real.mean(axis=0), new.mean(axis=0))[0, 1] > 0.9
    assert out.X.dtype == adata.X.dtype
    adata.var_names = ["gene0"] * 2 + adata.var_names[2:].tolist()
    with pytest.raises(ValueError, match=r"'gene0' stands 2 times.*var_names_make_unique"):
        oversample_adata(adata, "cell_type", sampler=sampler)


def test_parameters_of_the_sampler_go_by_keyword(adata):
    wanted = {"rare": 25}
    expected = oversample_adata(
        adata, "cell_type", sampler=make_sampler(sampling_strategy=wanted, sampler="ddim")
    )
    more = oversample_adata(
        adata, "cell_type", sampling_strategy=wanted, random_state=0, sampler="ddim", **TINY
    )
    np.testing.assert_array_equal(more.X.toarray(), expected.X.toarray())
    assert more.uns["scdiff_augment"]["parameters"] == expected.uns["scdiff_augment"]["parameters"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"denoiser_step": 1}, r"parameter 'denoiser_step'\. Did you mean 'denoiser_steps'\?$"),
        ({"labelkey": "x"}, "Did you mean 'label_key'"),
        (
            {"xyz": 1},
            r"'xyz'\. Beside its own .*DiffusionOversampler: sampling_strategy, ",
        ),
        ({"sampler": DiffusionOversampler(), "n_jobs": 2}, "beside which n_jobs can't be given"),
        ({"sampler": DiffusionOversampler(), "sampling_strategy": "minority"}, "sampling_strategy"),
        ({"sampler": DiffusionOversampler(), "random_state": 0}, "random_state can't be given"),
    ],
)
def test_parameters_that_nothing_would_use_are_refused(adata, given, message):
    with pytest.raises(TypeError, match=message):
        oversample_adata(adata, "cell_type", **given)


def test_a_seed_is_said_of_cells_that_were_made_alone(adata, caplog):
    with pytest.raises(ValueError, match="Did you mean 'rare'"):
        oversample_adata(adata, "cell_type", sampling_strategy={"Rare": 30})
    assert caplog.text == ""


def test_a_seed_that_was_drawn_is_said_kept_and_gives_the_same_cells(adata, caplog):
    sampler = make_sampler(random_state=None)
    with caplog.at_level(logging.WARNING, logger="scdiff_augment"):
        more = oversample_adata(adata, "cell_type", sampler=sampler)
    seed = more.uns["scdiff_augment"]["random_state"]
    assert f"random_state={seed}" in caplog.text
    assert more.uns["scdiff_augment"]["parameters"]["random_state"] == str(seed)
    assert sampler.random_state is None  # the next call draws another
    caplog.clear()
    again = oversample_adata(adata, "cell_type", random_state=seed, **TINY)
    np.testing.assert_array_equal(again.X.toarray(), more.X.toarray())
    assert caplog.text == ""


@pytest.mark.parametrize("total", ["shared", "selected"])
@pytest.mark.parametrize("container", [sparse.csr_matrix, sparse.csc_matrix, np.asarray])
def test_counts_beside_log1p_values_are_kept(counts, container, total):
    """They are the counts that new log1p values were made from, not a guess from those."""
    X, labels = counts
    X = 2 * X  # no cell has a gene of one count
    X[:, 0] += 1
    log = depth_normalised(X)
    if total == "selected":
        X, log = X[:, :30], log[:, :30]
    adata = ad.AnnData(container(log), pd.DataFrame({"type": labels}).rename("c{}".format))
    adata.layers["counts"] = container(X)
    adata.layers["other"] = container(X)
    more = oversample_adata(adata, "type", random_state=0, **TINY)
    assert named_layers(more) == ["counts"]
    assert type(more.X) is type(adata.X)
    assert type(more.layers["counts"]) is type(adata.layers["counts"])
    assert more.layers["counts"].dtype == X.dtype
    found, values = (
        matrix.toarray() if sparse.issparse(matrix) else matrix
        for matrix in (more.layers["counts"], more.X)
    )
    np.testing.assert_array_equal(found[:100], X)
    new, log_new = found[100:], values[100:]
    if total == "shared":
        np.testing.assert_allclose(depth_normalised(new), log_new, rtol=1e-5)
    linear = np.expm1(log_new.astype(float))
    factor = linear.sum(axis=1) / new.sum(axis=1)
    np.testing.assert_allclose(linear, new * factor[:, None], rtol=1e-4, atol=1e-4)
    notes = more.uns["scdiff_augment"]["notes"]
    assert any("layer 'other' was left out" in note for note in notes)


def test_other_layers_of_counts_are_left_out_and_why_is_noted(adata):
    adata.layers["counts"] = adata.X * 3
    more = oversample_adata(adata, "cell_type", sampler=make_sampler())
    assert "counts" not in more.layers
    notes = " ".join(more.uns["scdiff_augment"]["notes"])
    assert "does not hold the counts" in notes
    real = adata.copy()
    real.X = np.random.default_rng(0).normal(size=adata.shape)
    with pytest.warns(UserWarning, match="Pass layer='counts' or layer='double'"):
        more = oversample_adata(real, "cell_type", sampler=make_sampler())
    assert "new cells have no counts" in " ".join(more.uns["scdiff_augment"]["notes"])


def test_the_layer_that_was_learnt_from_stays_a_layer(adata):
    adata.layers["counts"] = adata.X.tocsc()
    more = oversample_adata(adata, "cell_type", layer="counts", sampler=make_sampler())
    assert more.X.format == more.layers["counts"].format == "csc"
    np.testing.assert_array_equal(more.layers["counts"].toarray(), more.X.toarray())
    more.X.data[:] = 0
    assert more.layers["counts"].data.any()


def test_notes_of_the_sampler_stand_in_uns_and_in_files(adata, tmp_path):
    more = oversample_adata(adata, "cell_type", sampler=make_sampler(n_latent=500, encoder="pca"))
    more.write_h5ad(tmp_path / "more.h5ad")
    back = ad.read_h5ad(tmp_path / "more.h5ad").uns["scdiff_augment"]
    assert any("n_latent lowered from 500" in note for note in back["notes"])
    assert back["random_state"] == 0
    nothing = make_sampler(sampling_strategy={"rare": 10})
    oversample_adata(adata[:, :20], "cell_type", sampler=nothing).write_h5ad(tmp_path / "same.h5ad")
