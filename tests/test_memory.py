"""Results that will not fit into memory: said before they are made, with numbers and a way out."""

import warnings

import numpy as np
import psutil
import pytest
from scipy import sparse
from tiny import make_model, make_sampler

from scdiff_augment.compute import memory


@pytest.fixture
def room(monkeypatch):
    """Set how many bytes are available."""
    return lambda n: monkeypatch.setattr(memory, "available_memory", lambda: n)


@pytest.mark.parametrize("as_matrix", [np.asarray, sparse.csr_matrix])
def test_a_result_that_will_not_fit_is_refused_before_anything_is_learnt(as_matrix, counts, room):
    X, y = counts
    X = as_matrix(X.astype(np.float32))
    sampler = make_sampler()
    size = 8 * X.nnz / 4000 if sparse.issparse(X) else 4.0  # bytes of an entry
    needed = (100 + 2 * 80) * 40 * size
    room(needed * 0.99)
    with pytest.raises(ValueError, match=r"80 new cells of 40 genes.*180 cells.*MB.*out="):
        sampler.fit_resample(X, y)
    assert not hasattr(sampler, "generator_")
    room(needed * 1.1)
    with pytest.warns(UserWarning, match="of memory are available"):
        sampler.fit_resample(X, y)
    room(needed * 2.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sampler.fit_resample(X, y)


def test_a_hundred_thousand_dense_cells_are_refused_with_the_number(counts, room):
    model = make_model().fit(np.tile(counts[0], (1, 500))[:, :20_000])
    room(7_000_000_000)
    with pytest.raises(ValueError, match=r"100,000 new cells of 20,000 genes.*8\.0 GB.*7\.0 GB"):
        model.sample(n=100_000)
    assert model.sample(n=2).shape == (2, 20_000)


def test_limits_of_a_container_count(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "GROUP", tmp_path)
    assert memory.available_memory() == pytest.approx(psutil.virtual_memory().available, rel=0.2)
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("400\n")
    assert memory.available_memory() == 600
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.available_memory() != 600


def test_sparse_cells_that_are_read_at_once_need_room_as_a_dense_matrix(counts, room):
    X = sparse.csr_matrix(counts[0].astype(np.float32))
    room(100 * 40 * 4 * 0.99)
    with pytest.raises(ValueError, match=r"100 cells of 40 genes as a dense.*as_blocks.*out="):
        make_model().fit(X)
    make_model().fit([X[:50], X[50:]])  # a stream
