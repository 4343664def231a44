"""How many threads there were, which trained models depend on, is on record."""

import re
from contextlib import nullcontext

import anndata as ad
import numpy as np
import pytest
import torch
from joblib import cpu_count
from threadpoolctl import threadpool_info
from tiny import make_model, make_sampler

from scdiff_augment import DiffusionOversampler, LatentDiffusion, oversample_adata
from scdiff_augment.compute.threads import bounded_threads, n_threads


@pytest.mark.parametrize(("n_jobs", "expected"), [(None, 1), (1, 1), (-1, cpu_count()), (999, -1)])
def test_n_jobs_is_as_in_scikit_learn_and_never_more_than_there_are_cores(n_jobs, expected):
    n = cpu_count() if expected == -1 else expected
    before = torch.get_num_threads()
    with bounded_threads(n_jobs):
        assert torch.get_num_threads() == n == n_threads(n_jobs)
        assert all(pool["num_threads"] <= n for pool in threadpool_info())
    assert torch.get_num_threads() == before


def test_the_number_is_on_record_wherever_cells_are(counts, tmp_path, monkeypatch):
    X, labels = counts
    monkeypatch.setattr("scdiff_augment.compute.threads.cpu_count", lambda: 3)
    monkeypatch.setattr("scdiff_augment.generator.bounded_threads", lambda n_jobs: nullcontext())
    model = make_model(n_jobs=3).fit(X)
    assert model.history_["n_threads"] == 3
    model.save(tmp_path / "model")
    loaded = LatentDiffusion.load(tmp_path / "model")
    assert loaded.sample_adata(n=3).uns["scdiff_augment"]["n_threads"] == 3
    sampler = make_sampler(generator=loaded, n_jobs=1, on_overlap="ignore")
    sampler.fit_resample(X, labels)
    assert sampler.history_["n_threads"] == 1
    cells = ad.AnnData(X)
    cells.obs["type"] = labels
    found = oversample_adata(cells, "type", sampler=make_sampler(n_jobs=3))
    assert found.uns["scdiff_augment"]["n_threads"] == 3
    store = oversample_adata(cells, "type", sampler=make_sampler(), out=tmp_path / "more.zarr")
    assert ad.read_zarr(store).uns["scdiff_augment"]["n_threads"] == 1


def test_one_model_draws_the_same_cells_with_any_number_of_threads(counts):
    model = make_model().fit(counts[0])
    found = []
    for n_jobs in (1, -1):
        model.set_params(n_jobs=n_jobs)
        model.random_.torch.manual_seed(0)
        model.random_.numpy = np.random.default_rng(0)
        found.append(model.sample(n=50))
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("kind", [DiffusionOversampler, LatentDiffusion])
def test_docstrings_say_that_cells_depend_on_it(kind):
    said = " ".join(re.search(r"n_jobs : int.*?\n\n|n_jobs : int.*", kind.__doc__, re.S)[0].split())
    assert "the same seed gives other cells" in said
