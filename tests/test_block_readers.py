"""Sources of blocks: each gives the rows of the matrix, in order."""

import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scdataset import Streaming, scDataset
from scipy import sparse

from scdiff_augment.streaming.block_readers import as_blocks, is_stream


@pytest.fixture
def files(tmp_path, counts):
    """An h5ad file and a zarr store with counts in a layer, and their matrix."""
    X = counts[0].astype(np.float32)
    adata = ad.AnnData(sparse.csr_matrix(np.log1p(X)))
    adata.layers["counts"] = sparse.csr_matrix(X)
    adata.layers["dense"] = X
    adata.raw = adata[:, :30]
    adata.write_h5ad(tmp_path / "cells.h5ad")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about versions of zarr
        adata.write_zarr(tmp_path / "cells.zarr")
    return tmp_path, X


def rows_of(blocks):
    return np.concatenate([b.toarray() if sparse.issparse(b) else np.asarray(b) for b in blocks])


@pytest.mark.parametrize("name", ["cells.h5ad", "cells.zarr"])
@pytest.mark.parametrize("layer", ["counts", "dense"])
def test_files_give_the_rows_of_a_layer(files, name, layer):
    folder, X = files
    blocks = as_blocks(folder / name, layer=layer, size=17)
    assert [b.shape[0] for b in blocks] == [17] * 5 + [15]
    np.testing.assert_array_equal(rows_of(blocks), X)
    np.testing.assert_array_equal(rows_of([blocks.read(20, 40)]), X[20:40])
    assert blocks.shape == X.shape
    assert blocks.genes.tolist() == [str(i) for i in range(40)]


@pytest.mark.parametrize("layer", [None, "X"])
def test_x_is_the_default(files, layer):
    folder, X = files
    np.testing.assert_allclose(rows_of(as_blocks(folder / "cells.h5ad", layer=layer)), np.log1p(X))


def test_raw_has_its_own_genes(files):
    folder, X = files
    for source in (folder / "cells.h5ad", ad.read_h5ad(folder / "cells.h5ad", backed="r")):
        raw = as_blocks(source, layer="raw")
        assert raw.shape == (100, 30)
        np.testing.assert_allclose(rows_of(raw), np.log1p(X[:, :30]))


def test_backed_anndata_is_a_stream_and_a_selection_from_it_is_not(files):
    folder, X = files
    adata = ad.read_h5ad(folder / "cells.h5ad", backed="r")
    assert is_stream(adata)
    np.testing.assert_allclose(rows_of(as_blocks(adata, size=30)), np.log1p(X))
    with pytest.raises(ValueError, match="a selection from a file"):
        as_blocks(adata[::2])
    np.testing.assert_allclose(rows_of(as_blocks(adata.to_memory()[::2])), np.log1p(X[::2]))


def test_matrices_and_some_rows_of_them(counts):
    X = sparse.csc_matrix(counts[0])
    blocks = as_blocks(X, size=30)
    np.testing.assert_array_equal(rows_of(blocks), counts[0])
    some = blocks.where(np.arange(100) % 3 == 0)
    np.testing.assert_array_equal(rows_of(some), counts[0][::3])
    assert some.n_cells == 34


def test_a_loader_of_scdataset_is_a_source(counts):
    X = counts[0]
    loader = scDataset(X, Streaming(), batch_size=32, fetch_factor=1)
    assert is_stream(loader)
    for _ in range(2):
        np.testing.assert_array_equal(rows_of(as_blocks(loader)), X)


@pytest.mark.parametrize(
    ("X", "expected"),
    [
        ("cells.h5ad", True),
        ([np.zeros((2, 3))], True),
        ([[1, 2], [3, 4]], False),
        (np.zeros((2, 3)), False),
        (sparse.csr_matrix((2, 3)), False),
        (pd.DataFrame({"a": [1]}), False),
        (ad.AnnData(np.zeros((2, 3), dtype=np.float32)), False),
        ((b for b in [np.zeros((2, 3))]), True),
        (3, False),
    ],
)
def test_what_is_read_block_by_block(X, expected):
    assert is_stream(X) is expected


def test_frames_name_the_genes():
    frame = pd.DataFrame(np.eye(3), columns=["a", "b", "c"])
    assert as_blocks([frame, frame]).genes.tolist() == ["a", "b", "c"]
    with pytest.raises(ValueError, match=r"block 1 has other genes.*column 1 is 'c', not 'b'"):
        list(as_blocks([frame, frame[["a", "c", "b"]]]))
    with pytest.raises(ValueError, match="block 1 has 2 genes, but block 0 has 3"):
        list(as_blocks([frame, frame[["a", "c"]]]))


def test_generators_are_refused():
    with pytest.raises(TypeError, match="read twice, but generator gives them only once"):
        as_blocks(b for b in [np.zeros((2, 3))])


def test_bad_files_are_named(tmp_path, files):
    folder, X = files
    (tmp_path / "broken.h5ad").write_text("no")
    with pytest.raises(ValueError, match=r"broken\.h5ad can't be read as h5ad"):
        as_blocks(tmp_path / "broken.h5ad")
    with pytest.raises(FileNotFoundError, match=r"absent\.h5ad does not exist"):
        as_blocks(tmp_path / "absent.h5ad")
    with pytest.raises(ValueError, match=r"cells\.csv is neither"):
        as_blocks(tmp_path / "cells.csv")
    with pytest.raises(KeyError, match="no layer 'count'; it has"):
        as_blocks(folder / "cells.h5ad", layer="count")
    ad.AnnData(sparse.csc_matrix(X)).write_h5ad(tmp_path / "csc.h5ad")
    with pytest.raises(ValueError, match=r"X of .*csc\.h5ad is stored by gene"):
        as_blocks(tmp_path / "csc.h5ad")
    ad.AnnData(X[:0]).write_h5ad(tmp_path / "empty.h5ad")
    with pytest.raises(ValueError, match=r"empty\.h5ad is empty: 0 cells × 40 genes"):
        as_blocks(tmp_path / "empty.h5ad")
