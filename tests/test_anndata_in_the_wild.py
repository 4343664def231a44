"""AnnData as people have it: backed, lazy, by gene, raw only, from R, with columns of any kind."""

import gzip
import warnings
from pathlib import Path

import anndata as ad
import dask.array as da
import h5py
import numpy as np
import pandas as pd
import pytest
import zarr
from command_line import FIT, STEPS, done, run, small
from scipy import sparse
from tiny import make_model, make_sampler

from scdiff_augment import LatentDiffusion, as_blocks, oversample_adata
from scdiff_augment.cli.output import write_cells
from scdiff_augment.streaming.zarr_store import row_ends

N = 100
ROW = np.arange(N)


def short(**parameters):
    """Build a sampler that hardly trains."""
    return make_sampler(decoder_steps=2, denoiser_steps=2, **parameters)


def more(adata, **options):
    """Oversample in memory, checking that real cells and their genes stay as they were."""
    found = oversample_adata(adata, "cell_type", sampler=short(), **options)
    assert found.obs["cell_type"].value_counts().to_dict() == dict.fromkeys(
        ["T cells", "NK cells", "B cells"], 60
    )
    return found


@pytest.fixture
def cells():
    return small()


@pytest.fixture
def expected(cells):
    return more(cells).X.toarray()


# --- matrices -----------------------------------------------------------------------------------


def lazy_sparse(X):
    return da.from_array(X.toarray(), chunks=(30, 40)).map_blocks(sparse.csr_matrix)


def lazy_dense(X):
    return da.from_array(X.toarray(), chunks=(30, 7))


def wide(X):
    """Return CSR with 64-bit indices, as matrices of more than 2^31 entries have them."""
    found = X.copy()
    found.indices, found.indptr = found.indices.astype(np.int64), found.indptr.astype(np.int64)
    return found


@pytest.mark.parametrize("change", [lazy_sparse, lazy_dense, wide, sparse.csc_matrix])
def test_matrices_of_any_kind_give_the_same_cells(change, cells, expected, tmp_path):
    cells.layers["odd"] = change(cells.X)
    found = more(cells, layer="odd").X
    np.testing.assert_array_equal(found.toarray() if sparse.issparse(found) else found, expected)
    cells.X = cells.layers.pop("odd")
    found = oversample_adata(cells, "cell_type", sampler=short(), out=tmp_path / "more.zarr")
    stored = ad.read_zarr(found)
    assert stored.n_obs == 180
    values = stored.X.toarray() if sparse.issparse(stored.X) else stored.X
    np.testing.assert_array_equal(values[:N], expected[:N])


def test_a_lazy_matrix_is_that_matrix_everywhere(cells):
    X = cells.X.toarray()
    lazy = lazy_sparse(cells.X)
    one, other = short(), short()
    found, expected = (
        sampler.fit_resample(matrix, cells.obs["cell_type"])[0]
        for sampler, matrix in [(one, lazy), (other, cells.X)]
    )
    np.testing.assert_array_equal(found.toarray(), expected.toarray())
    np.testing.assert_array_equal(make_model().fit(lazy).encode(X), make_model().fit(X).encode(X))
    np.testing.assert_array_equal(as_blocks(lazy).read(3, 9).toarray(), X[3:9])


def test_row_ends_beyond_two_billion_entries_are_64_bit():
    sizes = np.full(3, 2**30, dtype=np.int32)
    assert row_ends(sizes[:1]).dtype == np.int32
    assert row_ends(sizes).tolist() == [0, 2**30, 2**31, 3 * 2**30]


@pytest.mark.parametrize("layer", [None, "counts"])
def test_a_backed_file_with_out(layer, cells, tmp_path):
    cells.write_h5ad(tmp_path / "cells.h5ad")
    backed = ad.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    options = {"sampler": short(), "out": tmp_path / "more.zarr"}
    found = ad.read_zarr(oversample_adata(backed, "cell_type", layer=layer, **options))
    np.testing.assert_array_equal(found.X[:N].toarray(), cells.X.toarray())
    view = ad.read_h5ad(tmp_path / "cells.h5ad", backed="r")[:90]
    with pytest.raises(ValueError, match="selection from a file"):
        oversample_adata(view, "cell_type", **options)


def test_a_view_is_what_it_shows(cells):
    view = cells[::-1, ::2]
    found = more(view)
    assert view.is_view
    assert found.var_names.tolist() == cells.var_names[::2].tolist()
    np.testing.assert_array_equal(found.X[:N].toarray(), cells.X[::-1, ::2].toarray())


def test_raw_only(cells, tmp_path):
    whole = cells.copy()
    cells = cells[:, :10].copy()
    del cells.layers["counts"]
    cells.raw, cells.X = whole, None
    with pytest.raises(ValueError, match=r"adata.X is None.*there are \['raw'\]"):
        more(cells)
    found = more(cells, layer="raw")
    np.testing.assert_array_equal(found.X.toarray(), more(whole).X.toarray())
    assert found.var_names.tolist() == whole.var_names.tolist()
    with pytest.raises(KeyError, match=r"no layer 'spliced'; it has \['raw'\]"):
        more(cells, layer="spliced")
    options = {"layer": "raw", "sampler": short(), "out": tmp_path / "more.zarr"}
    stored = ad.read_zarr(oversample_adata(cells, "cell_type", **options))
    np.testing.assert_array_equal(stored.X[:N].toarray(), whole.X.toarray())


# --- names and columns --------------------------------------------------------------------------


def test_ensembl_ids_with_symbols_in_a_column(cells):
    symbols = cells.var_names.to_numpy()
    model = make_model().fit(cells.to_df())
    cells.var["gene_symbols"] = symbols
    cells.var_names = pd.Index([f"ENSG{i:011d}.{i % 3}" for i in range(40)], name="gene_ids")
    found = more(cells)
    pd.testing.assert_frame_equal(found.var, cells.var)
    sampler = short(generator=model, on_overlap="ignore")
    with pytest.raises(ValueError, match="name genes by Ensembl ids: name them by symbols"):
        oversample_adata(cells, "cell_type", sampler=sampler)


COLUMNS = {
    "categories of integers": pd.Categorical(ROW % 3),
    "ordered": pd.Categorical.from_codes(ROW % 2, ["low", "high", "never"], ordered=True),
    "categories with None": pd.Categorical(["a", None] * 50),
    "nullable strings": pd.array(["a", "b"] * 50, dtype="string"),
    "Arrow-backed strings": pd.array(["a", "b"] * 50, dtype="string[pyarrow]"),
    "objects with None": np.array(["a", None] * 50, dtype=object),
    "nullable integers": pd.array([1, None] * 50, dtype="Int64"),
    "nullable booleans": pd.array([True, None] * 50, dtype="boolean"),
    "float32": ROW.astype(np.float32),
    "uint8": ROW.astype(np.uint8),
    "booleans": ROW % 2 == 0,
    "sample": ROW % 4,
    "batch": pd.Categorical(ROW % 2),
}


@pytest.mark.parametrize("batch_key", [None, "batch"])
def test_columns_of_any_kind_come_back_from_a_file(batch_key, cells, tmp_path):
    for name, values in COLUMNS.items():
        cells.obs[name] = values
    found = more(cells, batch_key=batch_key)
    with ad.settings.override(allow_write_nullable_strings=True):  # refused under pandas 2.2
        found.write_h5ad(tmp_path / "more.h5ad")
    back = ad.read_h5ad(tmp_path / "more.h5ad").obs
    for name, values in COLUMNS.items():
        before, after = list(pd.Series(values)), list(back[name][:N])
        if name == "sample" or (name == "batch" and batch_key is None):
            before = list(map(str, before))  # beside "synthetic"
            assert set(back[name][N:]) == {"synthetic"}
        pairs = zip(before, after, strict=True)
        assert all((pd.isna(a) and pd.isna(b)) or a == b for a, b in pairs), name
        if name not in ("sample", "batch"):
            assert back[name][N:].isna().all(), name
    if batch_key:
        assert back["batch"].cat.categories.tolist() == [0, 1]
    assert back["ordered"].cat.ordered


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param(pd.Categorical(np.repeat([3, 1, 2], [60, 30, 10])), id="integers"),
        pytest.param(pd.Series(np.repeat([3, 1], [60, 40])).astype("Int64"), id="nullable"),
        pytest.param(pd.Series(ROW < 60).astype("boolean"), id="nullable booleans"),
        pytest.param(np.repeat([0.5, 1.0], [60, 40]).astype(str), id="text of numbers"),
        pytest.param(
            pd.Categorical.from_codes(np.repeat([1, 0], [60, 40]), ["lo", "hi"], ordered=True),
            id="ordered",
        ),
        pytest.param(
            pd.Series(np.repeat(["x", "y"], [60, 40])).astype("string[pyarrow]"), id="Arrow"
        ),
    ],
)
def test_labels_keep_their_type(labels, cells):
    cells.obs["label"] = labels if isinstance(labels, pd.Categorical) else np.asarray(labels)
    if isinstance(labels, pd.Series):
        cells.obs["label"] = labels.array
    found = oversample_adata(cells, "label", sampler=short()).obs["label"]
    assert found.dtype == cells.obs["label"].dtype
    assert found[:N].tolist() == cells.obs["label"].tolist()
    assert set(found.value_counts().replace(0, 60)) == {60}


# --- files that R wrote -------------------------------------------------------------------------


def test_a_file_as_zellkonverter_writes_it(cells, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    adata = ad.AnnData(sparse.csc_matrix(cells.X.astype(float)), cells.obs, cells.var)
    adata.uns = {"X_name": "counts", "log": np.array([]), "list": {"1": "a", "2": {"x": 1.0}}}
    adata.obs["sizeFactor"] = ROW / N
    adata.write_h5ad("cells.h5ad")
    with h5py.File("cells.h5ad", "r+") as file:
        del file["layers"]
        file["uns"]["NULL"] = h5py.Empty("f8")
        odd = file["uns"].create_group("S4")
        odd.attrs["encoding-type"], odd.attrs["encoding-version"] = "r-s4", "0.1.0"
    with warnings.catch_warnings(action="ignore"), pytest.raises(Exception, match="r-s4"):
        ad.read_h5ad("cells.h5ad")
    said = done("oversample", "cells.h5ad", "more.h5ad", "--label-key", "cell_type", *STEPS).stderr
    assert "note: of cells.h5ad only X, layers, raw, obs and var were read: " in said
    found = ad.read_h5ad("more.h5ad")
    np.testing.assert_array_equal(found.X[:N].toarray(), cells.X.toarray())
    assert found.obs["sizeFactor"].iloc[99] == pytest.approx(0.99)


@pytest.mark.parametrize("stream", ["--stream", "--no-stream"])
def test_a_file_as_seuratdisk_writes_it(stream, cells, tmp_path, monkeypatch):
    """Factors are codes with their levels elsewhere, as anndata had it before 0.7."""
    monkeypatch.chdir(tmp_path)
    text = h5py.string_dtype()
    with h5py.File("cells.h5ad", "w") as file:
        X = file.create_group("X")
        for name in ("data", "indices", "indptr"):
            X[name] = getattr(cells.X, name)
        X.attrs["h5sparse_format"], X.attrs["h5sparse_shape"] = "csr", cells.shape
        for name, frame in (("obs", cells.obs), ("var", cells.var)):
            group = file.create_group(name)
            group["_index"] = np.array(frame.index, dtype=text)
            group.attrs["_index"] = "_index"
            group.attrs["column-order"] = np.array(["cell_type"] * (name == "obs"), dtype=text)
            group.attrs["encoding-type"], group.attrs["encoding-version"] = "dataframe", "0.1.0"
        levels = file["obs"].create_group("__categories")
        factor = cells.obs["cell_type"].cat
        levels["cell_type"] = np.array(factor.categories, dtype=text)
        file["obs"]["cell_type"] = factor.codes.to_numpy()
        file["obs/cell_type"].attrs["categories"] = levels["cell_type"].ref
    arguments = ["oversample", "cells.h5ad", "more.zarr", "--label-key", "cell_type", stream]
    done(*arguments, *STEPS)
    found = ad.read_zarr("more.zarr")
    np.testing.assert_array_equal(found.X[:N].toarray(), cells.X.toarray())
    assert found.obs["cell_type"].value_counts().to_dict() == dict.fromkeys(factor.categories, 60)


def test_an_odd_entry_of_a_zarr_store(cells, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cells.raw = cells
    write_cells(cells, Path("cells.zarr"), Path("cells.zarr"))
    odd = zarr.open_group("cells.zarr", mode="r+", use_consolidated=False)["uns"].create_group("S4")
    odd.attrs.update({"encoding-type": "r-s4", "encoding-version": "0.1.0"})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Consolidated metadata", UserWarning)  # of zarr 3.2
        zarr.consolidate_metadata("cells.zarr")
    fit = ["fit", "cells.zarr", "model", *FIT[3:], "--layer"]
    for layer in ("raw", "counts"):
        assert "r-s4" in done(*fit, layer, "--force").stderr


# --- what Cell Ranger leaves --------------------------------------------------------------------

SYMBOLS = [f"Gene{i}" for i in range(39)] + ["Gene0"]  # symbols do repeat


def ten_x_h5(cells, path):
    text = h5py.string_dtype()
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        by_cell = cells.X.tocsr()
        group["data"], group["indices"], group["indptr"] = (
            by_cell.data,
            by_cell.indices,
            by_cell.indptr,
        )
        group["shape"] = cells.shape[::-1]
        group["barcodes"] = np.array([f"{name}-1" for name in cells.obs_names], dtype=text)
        features = group.create_group("features")
        features["id"] = np.array([f"ENSG{i:011d}" for i in range(40)], dtype=text)
        features["name"] = np.array(SYMBOLS, dtype=text)
        features["feature_type"] = np.array(["Gene Expression"] * 40, dtype=text)
        features["genome"] = np.array(["GRCh38"] * 40, dtype=text)


def ten_x_folder(cells, path, prefix=""):
    path.mkdir()
    pd.DataFrame(
        {"id": [f"ENSG{i:011d}" for i in range(40)], "name": SYMBOLS, "type": "Gene Expression"}
    ).to_csv(path / f"{prefix}features.tsv.gz", sep="\t", header=False, index=False)
    names = pd.Series([f"{name}-1" for name in cells.obs_names])
    names.to_csv(path / f"{prefix}barcodes.tsv.gz", sep="\t", header=False, index=False)
    matrix = cells.X.T.tocoo()
    triples = matrix.row, matrix.col, matrix.data
    lines = [f"{i + 1} {j + 1} {x}" for i, j, x in zip(*triples, strict=True)]
    head = f"%%MatrixMarket matrix coordinate integer general\n40 {N} {len(lines)}\n"
    with gzip.open(path / f"{prefix}matrix.mtx.gz", "wt") as file:
        file.write(head + "\n".join(lines))


@pytest.mark.parametrize("prefix", [None, "", "GSM1_"])
def test_cells_of_10x(prefix, cells, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = "filtered.h5" if prefix is None else "filtered"
    if prefix is None:
        ten_x_h5(cells, tmp_path / name)
    else:
        ten_x_folder(cells, tmp_path / name, prefix)
    said = done("fit", name, "model", *FIT[3:]).stderr
    assert "note: 1 gene symbols of filtered" in said
    model = LatentDiffusion.load("model")
    assert model.genes_.tolist() == [*SYMBOLS[:39], "Gene0-1"]
    expected = make_model().fit(cells.X.toarray(), genes=model.genes_)
    assert sorted(model.training_hashes_) == sorted(expected.training_hashes_)


def test_without_scanpy_the_extra_is_named(cells, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("scdiff_augment.cli.ten_x.find_spec", lambda name: None)
    ten_x_h5(cells, tmp_path / "filtered.h5")
    result = run("fit", "filtered.h5", "model")
    assert result.exit_code == 2
    assert "pip install 'scdiff-augment[scanpy]'" in result.stderr
    assert "does not exist" in run("fit", "other.h5", "model").stderr
