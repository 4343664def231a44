"""Stores that are written block by block: the same cells however often they are begun."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import anndata as ad
import numpy as np
import pytest
from scipy import sparse
from stored_files import digests
from tiny import make_model

from scdiff_augment import LatentDiffusion
from scdiff_augment.expression.marks import KEY
from scdiff_augment.generator import SAMPLING
from scdiff_augment.sampling import one_block as block_drawing
from scdiff_augment.sampling import sample_to_store as block_sampling
from scdiff_augment.streaming import zarr_store as cell_store
from scdiff_augment.streaming.zarr_store import partial_folder


@pytest.fixture
def model(counts):
    X, labels = counts
    return make_model(encoder="pca").fit(X).add_condition("type", labels)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Blocks of 16 cells, chunks of 500 values."""
    monkeypatch.setattr(block_sampling, "cells_per_block", lambda n_genes: 16)
    monkeypatch.setattr(cell_store, "ENTRIES", 500)


def stopping_after(monkeypatch, n_blocks):
    """Let the sampler be interrupted at its n-th block."""
    real, made = block_sampling.annotated_block, []

    def make(*arguments):
        if len(made) == n_blocks:
            raise KeyboardInterrupt
        made.append(arguments[-1])
        return real(*arguments)

    monkeypatch.setattr(block_sampling, "annotated_block", make)
    return made


def test_the_store_reads_as_anndata(model, tmp_path):
    wanted = np.repeat(["rare", "common"], [20, 30])
    path = model.sample_adata({"type": wanted}, out=tmp_path / "cells.zarr")
    new, expected = ad.read_zarr(path), model.sample_adata({"type": wanted})
    assert sparse.issparse(new.X)
    assert new.obs.equals(expected.obs)
    assert new.var_names.equals(expected.var_names)
    assert new.uns[KEY].keys() >= expected.uns[KEY].keys()
    counts = new.layers["counts"]
    assert counts.shape == (50, 40)
    assert (counts.data == np.rint(counts.data)).all()
    np.testing.assert_allclose(
        new.X.toarray(), np.log1p(counts.toarray() / counts.sum(axis=1) * 1e4), rtol=1e-5
    )
    assert not partial_folder(path).exists()


@pytest.mark.parametrize("scale", ["log1p", "selected", "real"])
def test_every_scale_can_be_stored(counts, tmp_path, scale):
    X = np.log1p(counts[0] / counts[0].sum(axis=1, keepdims=True) * 1e4)
    X = {"log1p": X, "selected": X[:, :30], "real": X - X.mean(axis=0)}[scale]
    model = make_model(encoder="pca").fit(X)
    new = ad.read_zarr(model.sample_adata(n=50, out=tmp_path / "cells.zarr"))
    assert new.shape == (50, X.shape[1])
    assert ("counts" in new.layers) == (scale != "real")
    if scale == "log1p":
        np.testing.assert_allclose(np.expm1(new.X.toarray()).sum(axis=1), 1e4, rtol=1e-4)
    if scale == "selected":
        ratio = np.expm1(new.X.toarray()) / np.maximum(new.layers["counts"].toarray(), 1e-9)
        seen = new.layers["counts"].toarray() > 0
        one_factor = [
            np.ptp(row[there]) < 1e-2 * row.max() for row, there in zip(ratio, seen, strict=True)
        ]
        assert all(one_factor)


def test_blocks_do_not_depend_on_each_other(model, tmp_path):
    plan, request = model.plan({"type": "rare"}, 40, **SAMPLING)
    new = ad.read_zarr(model.sample_adata({"type": "rare"}, 40, out=tmp_path / "cells.zarr"))
    seed = int(new.uns[KEY]["seed"])
    for number, rows in enumerate([slice(0, 16), slice(16, 32), slice(32, 40)]):
        alone, _ = block_drawing.draw_block(plan, request.part(rows), seed, number, plan.scale)
        np.testing.assert_array_equal(new.layers["counts"][rows].toarray(), alone.toarray())
    first, second = (new.layers["counts"][rows].toarray() for rows in (slice(0, 8), slice(16, 24)))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("n_blocks", [0, 1, 3, 6])
@pytest.mark.parametrize("kind", ["counts", "real"])
def test_an_interrupted_store_is_taken_up(counts, tmp_path, monkeypatch, n_blocks, kind):
    model = make_model(encoder="pca").fit(counts[0] if kind == "counts" else counts[0] - 3.0)
    model.save(tmp_path / "model")
    LatentDiffusion.load(tmp_path / "model", random_state=0).sample_adata(
        n=100, out=tmp_path / "whole.zarr"
    )
    made = stopping_after(monkeypatch, n_blocks)
    again = LatentDiffusion.load(tmp_path / "model", random_state=0)
    with pytest.raises(KeyboardInterrupt):
        again.sample_adata(n=100, out=tmp_path / "cells.zarr")
    assert not (tmp_path / "cells.zarr").exists()
    monkeypatch.undo()
    monkeypatch.setattr(block_sampling, "cells_per_block", lambda n_genes: 16)
    monkeypatch.setattr(cell_store, "ENTRIES", 500)
    again.sample_adata(n=100, out=tmp_path / "cells.zarr")  # its generator has moved on: no matter
    assert len(made) == n_blocks
    assert digests(tmp_path / "cells.zarr") == digests(tmp_path / "whole.zarr")
    assert not partial_folder(tmp_path / "cells.zarr").exists()


KILLED = """
    import sys
    from pathlib import Path
    from scdiff_augment import LatentDiffusion
    from scdiff_augment.sampling import sample_to_store
    from scdiff_augment.streaming import zarr_store

    sample_to_store.cells_per_block = lambda n_genes: 16
    zarr_store.ENTRIES = 500
    out = Path(sys.argv[2])
    model = LatentDiffusion.load(sys.argv[1], random_state=0)
    model.sample_adata(n=int(sys.argv[3]), out=out)
"""


def test_a_killed_process_loses_and_repeats_nothing(model, tmp_path):
    model.save(tmp_path / "model")
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(KILLED))

    def run(name, n):
        command = [sys.executable, str(script), str(tmp_path / "model"), str(tmp_path / name), n]
        paths = {"PYTHONPATH": str(Path(__file__).parents[1])}
        return subprocess.Popen([*map(str, command)], env={**os.environ, **paths})

    n_cells = 1600
    LatentDiffusion.load(tmp_path / "model", random_state=0).sample_adata(
        n=n_cells, out=tmp_path / "whole.zarr"
    )
    process = run("cells.zarr", n_cells)
    progress = partial_folder(tmp_path / "cells.zarr") / "progress.json"
    limit = time.monotonic() + 120
    while time.monotonic() < limit and process.poll() is None:
        if progress.is_file() and '"blocks": 2' in progress.read_text():
            os.kill(process.pid, signal.SIGKILL)
            break
        time.sleep(0.001)
    assert process.wait(10) == -signal.SIGKILL
    assert not (tmp_path / "cells.zarr").exists()
    assert run("cells.zarr", n_cells).wait(120) == 0
    assert digests(tmp_path / "cells.zarr") == digests(tmp_path / "whole.zarr")


def test_another_plan_is_not_mixed_in(model, tmp_path, monkeypatch):
    stopping_after(monkeypatch, 1)
    out = tmp_path / "cells.zarr"
    with pytest.raises(KeyboardInterrupt):
        model.sample_adata({"type": "rare"}, 50, out=out)
    with pytest.raises(
        ValueError, match="with another number of cells and another conditions: 50 "
    ):
        model.sample_adata({"type": "rare"}, 60, out=out)
    with pytest.raises(ValueError, match="another conditions"):
        model.sample_adata({"type": "common"}, 50, out=out)
    with pytest.raises(ValueError, match="another random_state: 0 then, 5 now"):
        model.set_params(random_state=5).sample_adata({"type": "rare"}, 50, out=out)


def test_places_that_are_taken_stay(model, tmp_path):
    out = model.sample_adata(n=5, out=tmp_path / "cells.zarr")
    before = digests(out)
    with pytest.raises(FileExistsError, match=r"exists\. Choose another name"):
        model.sample_adata(n=5, out=out)
    assert digests(out) == before
    model.sample_adata(n=6, out=out, overwrite=True)
    assert ad.read_zarr(out).n_obs == 6
    with pytest.raises(ValueError, match=r"must end in .zarr"):
        model.sample_adata(n=5, out=tmp_path / "cells.h5ad")
    (tmp_path / "folder.zarr").mkdir()
    (tmp_path / "folder.zarr" / "thesis.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="no zarr store, so it is never replaced"):
        model.sample_adata(n=5, out=tmp_path / "folder.zarr", overwrite=True)
    with pytest.raises(ValueError, match="client and overwrite are about stores"):
        model.sample_adata(n=5, overwrite=True)


def test_two_processes_do_not_write_one_store(model, tmp_path, monkeypatch):
    out = tmp_path / "cells.zarr"

    def meanwhile(*arguments):
        with pytest.raises(FileExistsError, match="another process is writing"):
            make_model(encoder="pca").fit(np.eye(40)).sample_adata(n=5, out=out)
        raise KeyboardInterrupt

    monkeypatch.setattr(block_sampling, "annotated_block", meanwhile)
    with pytest.raises(KeyboardInterrupt):
        model.sample_adata(n=5, out=out)


def test_no_cells_make_an_empty_store(model, tmp_path):
    assert ad.read_zarr(model.sample_adata(n=0, out=tmp_path / "cells.zarr")).shape == (0, 40)
