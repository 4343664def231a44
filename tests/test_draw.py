"""Drawing on a device: the code of accelerators, here on the CPU, against the host's own."""

import numpy as np
import pytest
import torch
from scipy import sparse, stats
from tiny import make_model, make_sampler

from scdiff_augment.compute import processes as team
from scdiff_augment.compute.devices import device_of
from scdiff_augment.generator import SAMPLING
from scdiff_augment.sampling.draw import OnDevice, OnHost, draw_counts_on
from scdiff_augment.streaming.block_sizes import as_csr

CPU = torch.device("cpu")
OPTIONS = SAMPLING


@pytest.fixture(params=["counts", "log1p of selected genes"])
def model(counts, request):
    X, y = counts
    X = X.astype(np.float32)
    if request.param != "counts":
        X = np.log1p(X / X.sum(axis=1, keepdims=True) * 1e4)[:, 5:]
    return make_model().fit(X, groups=y).add_condition("type", y)


def drawn(cls, model, n, *device, seed=0, **options):
    plan, request = model.plan({"type": "rare"}, n, **{**OPTIONS, **options})
    noise, rng = torch.Generator().manual_seed(seed), np.random.default_rng(seed)
    return cls(plan, *device).stored(request, noise, rng)


@pytest.mark.parametrize("options", [{}, {"guidance_scale": 2.5}, {"guidance_interval": (0.1, 2)}])
def test_cells_of_a_device_have_the_distribution_of_the_hosts(model, options):
    n = 4000
    (host, host_factor), (device, factor) = (
        drawn(OnHost, model, n, **options),
        drawn(OnDevice, model, n, CPU, **options),
    )
    assert device.dtype == host.dtype == np.float32
    assert device.shape == host.shape
    device.check_format()
    assert (device.data > 0).all()
    mean, other = (x.toarray().mean(axis=0) for x in (host, device))
    width = np.sqrt(host.toarray().var(axis=0) / n) + 0.02
    assert (np.abs(mean - other) < 5 * width).all()
    sums = [np.asarray(x.sum(axis=1)).ravel() for x in (host, device)]
    assert stats.ks_2samp(*sums).pvalue > 1e-4
    if host_factor is None:
        assert factor is None
    else:  # of the same latents
        np.testing.assert_allclose(factor, host_factor, rtol=1e-3)


def test_counts_are_poisson_around_the_ratios_of_their_gene():
    rates, n = torch.full((40_000, 2), 3.0), 40_000
    ratios = torch.tensor([[1.0, 1.0], [0.2, 1.8]])
    chance = torch.Generator().manual_seed(0)
    found = draw_counts_on(rates, ratios, chance).numpy()
    values = np.arange(25)
    seen = np.stack([np.bincount(c.astype(int), minlength=400)[:25] for c in found.T]) / n
    means = 3 * ratios.numpy()[:, :, None]
    np.testing.assert_allclose(seen, stats.poisson.pmf(values, means).mean(axis=1), atol=0.01)
    plain = draw_counts_on(rates, None, chance).numpy()
    np.testing.assert_allclose([plain.mean(), plain.var()], 3, rtol=0.03)


def test_real_values_come_as_an_array(counts):
    X, y = counts
    model = make_model(expression="real").fit(np.log(X + 0.3), groups=y).add_condition("type", y)
    values, factor = drawn(OnDevice, model, 7, CPU)
    assert isinstance(values, np.ndarray)
    assert factor is None
    np.testing.assert_allclose(values, drawn(OnHost, model, 7)[0], rtol=1e-4, atol=1e-4)


def test_a_model_trained_elsewhere_is_the_same(counts):
    """`Elsewhere` brings batches to the device and the model back; here both are the CPU."""
    X, y = counts
    parameters = {"encoder": "autoencoder", "classifier_steps": 10}
    alone = make_model(**parameters).fit(X).add_condition("type", y)
    moved = []

    class Watched(team.Elsewhere):
        def take(self, model):
            moved.append("take")
            super().take(model)

        def give_back(self, model):
            moved.append("give back")
            super().give_back(model)

        def share(self, tensors):
            moved.append("share")
            return super().share(tensors)

    token = team._team.set(Watched(CPU))
    try:
        other = make_model(**parameters).fit(X).add_condition("type", y)
    finally:
        team._team.reset(token)
    # autoencoder, decoder, denoiser, classifier; every batch of theirs is brought along
    assert moved.count("take") == moved.count("give back") == 4
    assert moved.count("share") == sum(len(v) for k, v in alone.history_.items() if "loss" in k)
    for name in ("denoiser_loss", "encoder_loss", "classifier_loss:type"):
        assert alone.history_[name] == other.history_[name]


def test_the_cpu_asks_for_no_other_team():
    with team.on_device(CPU):
        assert type(team.current()) is team.Alone


@pytest.mark.parametrize("name", ["cuda:99", "mps", "tpu", ""])
def test_a_device_that_is_not_here_is_refused_before_training(counts, name):
    X, y = counts
    with pytest.raises(ValueError, match=r"is not here; PyTorch sees cpu.* Use one of these"):
        make_sampler(device=name).fit_resample(X, y)


@pytest.mark.parametrize("n_gpus", [0, 2])
def test_auto_is_a_gpu_where_there_is_one(monkeypatch, n_gpus):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: n_gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: n_gpus)
    assert device_of("auto").type == ("cuda" if n_gpus else "cpu")
    assert device_of("cpu") == CPU
    if n_gpus:
        assert device_of("cuda:1").index == 1
        with pytest.raises(ValueError, match=r"cpu, cuda:0, cuda:1\. Use one of these"):
            device_of("cuda:2")


def test_latents_that_grow_beyond_all_bounds_are_no_cells(counts):
    X, y = counts
    model = make_model(encoder="pca").fit(X).add_condition("type", y)
    with pytest.raises(ValueError, match=r"guidance_scale=\{'type': 1e\+06\}.*smaller"):
        model.sample({"type": "rare"}, 5, guidance_scale=1e6)


def test_csr_of_an_array_is_that_of_scipy():
    dense = np.random.default_rng(0).poisson(0.3, (50, 30)).astype(np.float32)
    dense[[0, 7, 49]] = 0
    ours, theirs = as_csr(dense), sparse.csr_matrix(dense)
    assert ours.has_sorted_indices
    assert ours.indices.dtype == ours.indptr.dtype == np.int32
    assert (ours != theirs).nnz == 0
    assert ours.nnz == theirs.nnz
    assert as_csr(dense[:0]).shape == (0, 30)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_draws_what_the_cpu_draws(counts):
    X, y = counts
    model = make_model(device="cuda").fit(X, groups=y).add_condition("type", y)
    device, host = (
        model.set_params(device=name).sample({"type": "rare"}, 4000) for name in ("cuda", "cpu")
    )
    np.testing.assert_allclose(device.mean(axis=0), host.mean(axis=0), rtol=0.15, atol=0.1)
