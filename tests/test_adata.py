"""AnnData in and out."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from conftest import make_sampler
from scipy import sparse

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
    assert out.obs["donor"].isna().sum() == 80
    assert not out.obsm.keys()
    note = out.uns["scdiff_augment"]
    assert note["n_synthetic"] == {"rare": 50, "middle": 30}
    assert note["parameters"]["random_state"] == "0"
    out.write_h5ad(tmp_path / "more.h5ad")
    assert ad.read_h5ad(tmp_path / "more.h5ad").shape == (180, 40)


def test_a_layer_can_be_learnt_from(adata):
    out = oversample_adata(adata, "cell_type", layer="double", sampler=make_sampler())
    np.testing.assert_array_equal(out.X[:100].toarray(), 2 * adata.X.toarray())


def test_bad_input_is_named(adata):
    with pytest.raises(KeyError, match=r"no column 'celltype'; it has \['cell_type', 'donor'\]"):
        oversample_adata(adata, "celltype")
    with pytest.raises(KeyError, match=r"no layer 'spliced'; it has \['double'\]"):
        oversample_adata(adata, "cell_type", layer="spliced")
    adata.obs.loc["cell3", "cell_type"] = np.nan
    with pytest.raises(ValueError, match=r"missing for 1 of 100 cells.*notna"):
        oversample_adata(adata, "cell_type")
