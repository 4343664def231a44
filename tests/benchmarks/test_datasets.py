from pathlib import Path

import numpy as np
import pytest
import scanpy as sc
import scipy.sparse as sp
from scdiff_bench.data import datasets
from scdiff_bench.data.datasets import from_anndata, from_h5ad, load_dataset

SHARED = datasets.data_folder()


def test_pbmc68k_reduced_is_the_raw_matrix_as_it_is():
    data = load_dataset("pbmc68k_reduced")
    raw = sc.datasets.pbmc68k_reduced().raw.X.toarray()
    assert data.X.shape == (700, 765)
    assert data.X.dtype == np.float32
    assert data.X.flags.c_contiguous
    np.testing.assert_array_equal(data.X, raw)
    assert len(np.unique(data.y)) == 10


@pytest.mark.parametrize("sparse", [False, True])
def test_counts_become_log1p_cp10k(sparse, make_anndata):
    adata = make_anndata()
    expected = adata.copy()
    expected.X = expected.X.astype(np.float64)
    sc.pp.normalize_total(expected, target_sum=1e4)
    sc.pp.log1p(expected)
    if sparse:
        adata.X = sp.csr_matrix(adata.X)
    data = from_anndata(adata, "toy", "cell_type")
    np.testing.assert_allclose(data.X, expected.X, rtol=1e-6)
    assert data.provenance["values"] == "counts brought to log1p CP10k"


def test_other_values_are_taken_as_they_are(make_anndata):
    adata = make_anndata()
    adata.layers["half"] = adata.X / 2
    data = from_anndata(adata, "toy", "cell_type", layer="half")
    np.testing.assert_array_equal(data.X, (adata.X / 2).astype(np.float32))


def test_the_hash_sees_one_value_and_one_label(make_anndata):
    digests = {from_anndata(make_anndata(), "a", "cell_type").digest}
    assert digests == {from_anndata(make_anndata(), "b", "cell_type").digest}
    changed = make_anndata()
    changed.X[-1, -1] += 1
    digests.add(from_anndata(changed, "a", "cell_type").digest)
    relabelled = make_anndata()
    relabelled.obs.iloc[0, 0] = "B"
    digests.add(from_anndata(relabelled, "a", "cell_type").digest)
    assert len(digests) == 3


def _negative(adata):
    adata.X = adata.X - 1


def _nan(adata):
    adata.X = adata.X.astype(float)
    adata.X[0, 0] = np.nan


def _empty_cell(adata):
    adata.X[3] = 0


def _no_label(adata):
    adata.obs.loc[adata.obs_names[:3], "cell_type"] = None


def _twice(adata):
    adata.obs_names = ["cell0", *adata.obs_names[:1], *adata.obs_names[2:]]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_negative, r"values are negative, the least -1.*name the layer"),
        (_nan, r"1 values are NaN or infinite"),
        (_empty_cell, r"1 cells have no counts.*filter_cells"),
        (_no_label, r"3 of 136 labels in obs\['cell_type'\] are NaN.*notna"),
        (_twice, r"1 cell names repeat, the first is 'cell0'"),
    ],
)
def test_cells_that_cannot_be_used(spoil, message, make_anndata):
    adata = make_anndata()
    spoil(adata)
    with pytest.raises(ValueError, match=message):
        from_anndata(adata, "toy", "cell_type")


def test_an_empty_file_a_wrong_key_and_a_wrong_layer(make_anndata):
    adata = make_anndata()
    with pytest.raises(ValueError, match="0 cells x 60 genes"):
        from_anndata(adata[:0], "toy", "cell_type")
    with pytest.raises(ValueError, match="136 cells x 0 genes"):
        from_anndata(adata[:, :0], "toy", "cell_type")
    with pytest.raises(ValueError, match=r"no label key 'celltype'.*Did you mean 'cell_type'"):
        from_anndata(adata, "toy", "celltype")
    adata.layers["counts"] = adata.X
    with pytest.raises(ValueError, match=r"layer of data set 'toy' 'count'.*Did you mean 'counts'"):
        from_anndata(adata, "toy", "cell_type", layer="count")


def test_files(tmp_path, monkeypatch, make_anndata):
    make_anndata().write_h5ad(tmp_path / "toy.h5ad")
    data = load_dataset("toy", tmp_path / "toy.h5ad", "cell_type")
    assert data.digest == from_anndata(make_anndata(), "toy", "cell_type").digest
    with pytest.raises(FileNotFoundError, match=r"no file 'tyo.h5ad'"):
        from_h5ad(tmp_path / "tyo.h5ad", "toy", "cell_type")
    (tmp_path / "text.h5ad").write_text("no h5ad")
    with pytest.raises(ValueError, match="could not be read as h5ad"):
        from_h5ad(tmp_path / "text.h5ad", "toy", "cell_type")
    monkeypatch.setenv(datasets.DATA_ENV, str(tmp_path))
    with pytest.raises(FileNotFoundError) as raised:
        load_dataset("paul15")
    for part in ("'paul15.h5ad'", str(tmp_path), "SCDIFF_DATA"):
        assert part in str(raised.value)


@pytest.mark.shared_data
def test_the_rare_cell_draw_has_the_size_it_is_described_with():
    if not (SHARED / "kang_pbmc_ctrl.h5ad").is_file():
        pytest.skip(f"needs kang_pbmc_ctrl.h5ad in {SHARED} (or SCDIFF_DATA)")
    from scdiff_bench.config.study import load_config
    from scdiff_bench.running.runner import load_datasets, make_units

    config = load_config(Path(__file__).parents[2] / "benchmarks" / "configs" / "kang_rare.yaml")
    (data,) = load_datasets(config)
    units = make_units(config, [data])
    assert len(units) == 5 * 7
    for unit in units:
        assert data.X[unit.fold.train].shape == (2530, 1287)
        assert set(unit.fold.rare) == {"Dendritic cells", "FCGR3A+ Monocytes", "NK cells"}
    assert set(data.groups) == {"donor", "condition"}


@pytest.mark.shared_data
def test_a_condition_can_be_the_label():
    if not (SHARED / "kang_ifnb_small_counts.h5ad").is_file():
        pytest.skip(f"needs kang_ifnb_small_counts.h5ad in {SHARED} (or SCDIFF_DATA)")
    data, types = load_dataset("kang_ifnb_condition"), load_dataset("kang_ifnb_small_counts")
    assert data.name == "kang_ifnb_condition"
    assert set(data.y) == {"ctrl", "stim"} == set(types.groups["condition"])
    np.testing.assert_array_equal(data.y, types.groups["condition"])
    np.testing.assert_array_equal(data.X, types.X)
    assert "condition" not in data.groups
