"""AnnData in and out."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from tiny import make_model, make_sampler

from scdiff_augment import oversample_adata


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
