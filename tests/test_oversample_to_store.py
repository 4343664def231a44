"""From file to file: real cells first and unchanged, then the new ones; resumed after a stop."""

import warnings

import anndata as ad
import numpy as np
import pytest
from command_line import small as cells_of_three_types
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from stored_files import digests
from tiny import TINY, make_model, make_sampler

from scdiff_augment import oversample_adata
from scdiff_augment.adata import oversample_to_store as oversample_store
from scdiff_augment.annotation.layers import named_layers
from scdiff_augment.expression.kinds import depth_normalised
from scdiff_augment.expression.marks import KEY
from scdiff_augment.streaming import zarr_store as cell_store
from scdiff_augment.streaming.block_sizes import as_dense


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Blocks of 16 new cells, chunks of 500 values."""
    monkeypatch.setattr(oversample_store, "cells_per_block", lambda n_genes: 16)
    monkeypatch.setattr(cell_store, "ENTRIES", 500)


@pytest.fixture
def file(tmp_path):
    cells_of_three_types().write_h5ad(tmp_path / "cells.h5ad")
    return tmp_path / "cells.h5ad"


def sampler(**parameters):
    return make_sampler(encoder="pca", **parameters)


def test_it_lays_cells_out_as_in_memory(file, tmp_path):
    real = ad.read_h5ad(file)
    keys = {"donor_key": "donor"}
    expected = oversample_adata(real, "cell_type", sampler=sampler(), **keys)
    ours = sampler()
    path = oversample_adata(file, "cell_type", sampler=ours, out=tmp_path / "more.zarr", **keys)
    more = ad.read_zarr(path)
    assert more.shape == expected.shape
    assert more.X.dtype == real.X.dtype
    np.testing.assert_array_equal(more.X[:100].toarray(), real.X.toarray())
    assert (more.obs_names == expected.obs_names).all()
    for column in set(expected.obs) - {"donor"}:  # donors are drawn
        assert more.obs[column].astype(str).equals(expected.obs[column].astype(str)), column
    assert more.obs["donor"].isin(["d1", "d2"]).all()
    assert more.var.equals(expected.var)
    assert more.uns[KEY].keys() == expected.uns[KEY].keys()
    assert more.uns[KEY]["random_state"] == 0
    assert named_layers(more) == named_layers(expected) == ["counts"]
    np.testing.assert_array_equal(more.layers["counts"].toarray(), more.X.toarray())
    assert more.uns[KEY]["training_hash"] == expected.uns[KEY]["training_hash"]
    assert ours.sampling_strategy_ == {"NK cells": 30, "B cells": 50}


@pytest.mark.parametrize("kind", ["backed", "zarr", "memory", "dense"])
def test_every_source_gives_the_same_cells(file, tmp_path, kind):
    expected = ad.read_zarr(
        oversample_adata(file, "cell_type", sampler=sampler(), out=tmp_path / "a.zarr")
    )
    source = ad.read_h5ad(file, backed="r" if kind == "backed" else None)
    if kind == "dense":
        source.X = source.X.toarray()
    if kind == "zarr":
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*zarr", UserWarning)  # of anndata before 0.13
            source.write_zarr(tmp_path / "cells.zarr")
        source = tmp_path / "cells.zarr"
    more = ad.read_zarr(
        oversample_adata(source, "cell_type", sampler=sampler(), out=tmp_path / "b.zarr")
    )
    assert sparse.issparse(more.X) == (kind != "dense")
    X = more.X if kind == "dense" else more.X.toarray()
    np.testing.assert_array_equal(X, expected.X.toarray())


def stop_after(monkeypatch, n_blocks):
    count, append = [0], cell_store.CellStore.append

    def appended(self, *arguments):
        count[0] += 1
        if count[0] > n_blocks:
            raise KeyboardInterrupt
        append(self, *arguments)

    monkeypatch.setattr(cell_store.CellStore, "append", appended)


@pytest.mark.parametrize("strength", [1.0, 0.5])
@pytest.mark.parametrize("n_blocks", [0, 1, 4])
def test_an_interruption_changes_nothing(file, tmp_path, n_blocks, strength):
    # without a seed: what was learnt and drawn before the stop is kept, not learnt anew
    ours = sampler(strength=strength, random_state=None if n_blocks == 4 else 0)
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, n_blocks)
        with pytest.raises(KeyboardInterrupt):
            oversample_adata(file, "cell_type", sampler=ours, out=tmp_path / "more.zarr")
    assert not (tmp_path / "more.zarr").exists()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(oversample_store.DiffusionOversampler, "unfitted_model", None)
        more = oversample_adata(file, "cell_type", sampler=ours, out=tmp_path / "more.zarr")
    assert ad.read_zarr(more).n_obs == 180
    if ours.random_state == 0:
        whole = oversample_adata(file, "cell_type", sampler=ours, out=tmp_path / "whole.zarr")
        assert digests(more) == digests(whole)
    if strength < 1:
        sources = ad.read_zarr(more).obs["synthetic_source"]
        assert set(sources[100:]) <= set(sources.index[:100])


def test_other_cells_are_not_mixed_in(file, tmp_path, monkeypatch):
    stop_after(monkeypatch, 1)
    with pytest.raises(KeyboardInterrupt):
        oversample_adata(file, "cell_type", sampler=sampler(), out=tmp_path / "more.zarr")
    cells_of_three_types(seed=5).write_h5ad(file)
    with pytest.raises(ValueError, match="another set of real cells"):
        oversample_adata(file, "cell_type", sampler=sampler(), out=tmp_path / "more.zarr")


def test_cells_without_counts_are_copied_and_not_learnt_from(file, tmp_path):
    real = ad.read_h5ad(file)
    real.X = sparse.csr_matrix(real.X.toarray() * (np.arange(100) != 5)[:, None])
    more = oversample_adata(real, "cell_type", sampler=sampler(), out=tmp_path / "more.zarr")
    assert ad.read_zarr(more).X[5].sum() == 0
    assert len(sampler_hashes(real, tmp_path)) == 99


def sampler_hashes(real, folder):
    ours = sampler()
    oversample_adata(real, "cell_type", sampler=ours, out=folder / "again.zarr")
    return ours.generator_.training_hashes_


def test_nothing_to_add_is_a_copy(file, tmp_path):
    real = ad.read_h5ad(file)
    ours = sampler(sampling_strategy={})
    more = ad.read_zarr(
        oversample_adata(file, "cell_type", sampler=ours, out=tmp_path / "more.zarr")
    )
    np.testing.assert_array_equal(more.X.toarray(), real.X.toarray())
    assert not more.obs["is_synthetic"].any()


def test_what_needs_all_cells_is_refused(file, tmp_path):
    out = tmp_path / "more.zarr"
    with pytest.raises(ValueError, match=r"judge=.*all cells at once"):
        oversample_adata(file, "cell_type", sampler=sampler(judge=LogisticRegression()), out=out)
    with pytest.raises(ValueError, match=r"generator=.*all cells at once"):
        oversample_adata(file, "cell_type", sampler=sampler(generator=make_model()), out=out)
    with pytest.raises(KeyError, match="obs has no column 'type'"):
        oversample_adata(file, "type", out=out)
    with pytest.raises(TypeError, match="must be an AnnData or the path"):
        oversample_adata([np.eye(3)], "type", out=out)
    with pytest.raises(ValueError, match="client and overwrite are about stores"):
        oversample_adata(ad.read_h5ad(file), "cell_type", overwrite=True)
    assert not out.exists()


@pytest.mark.parametrize("dense", [False, True])
def test_counts_beside_log1p_values_are_kept_in_a_store(tmp_path, dense):
    cells = cells_of_three_types()
    cells.X = sparse.csr_matrix(depth_normalised(cells.X.toarray()))
    if dense:
        cells.X = cells.X.toarray()
    out = oversample_adata(cells, "cell_type", sampler=sampler(), out=tmp_path / "a.zarr")
    more = ad.read_zarr(out)
    X, found = (as_dense(matrix) for matrix in (more.X, more.layers["counts"]))
    np.testing.assert_array_equal(found[:100], cells.layers["counts"].toarray())
    assert (found == np.rint(found)).all()
    np.testing.assert_allclose(depth_normalised(found), X, rtol=1e-5)
    cells.layers["counts"] = cells.layers["counts"] * 2
    out = oversample_adata(cells, "cell_type", sampler=sampler(), out=tmp_path / "b.zarr")
    again = ad.read_zarr(out)
    assert named_layers(again) == []
    assert "does not hold the counts" in again.uns[KEY]["notes"][-1]
    np.testing.assert_array_equal(as_dense(again.X), X)


def test_a_run_without_a_seed_resumes_with_the_one_it_drew(file, tmp_path, monkeypatch, caplog):
    out, options = tmp_path / "more.zarr", {"encoder": "pca", **TINY}
    with monkeypatch.context() as patch:
        stop_after(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            oversample_adata(file, "cell_type", out=out, **options)
    more = ad.read_zarr(oversample_adata(file, "cell_type", out=out, **options))
    seed = more.uns[KEY]["random_state"]
    assert caplog.text.count(f"random_state={seed}") == 1  # no cells, nothing to say
    expected = oversample_adata(
        file, "cell_type", out=tmp_path / "b.zarr", random_state=seed, **options
    )
    np.testing.assert_array_equal(more.X.toarray(), ad.read_zarr(expected).X.toarray())
