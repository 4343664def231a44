"""Noise ladder and samplers: against `diffusers` and against a Gaussian, where all is known."""

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler

from scdiff_augment.diffusion.samplers import SAMPLERS, sample_ddim, sample_ddpm, sample_dpmpp
from scdiff_augment.diffusion.schedule import ddpm_sigmas, select_sigmas, timestep_weights
from scdiff_augment.diffusion.training import denoising_loss

LADDER = {"num_train_timesteps": 1000, "beta_start": 1e-4, "beta_end": 0.02, "clip_sample": False}


def nonlinear(z, sigma):
    """Stand in for a trained denoiser: smooth and not linear."""
    return torch.tanh(z / torch.sqrt(1 + sigma[:, None] ** 2)) * 1.5 + 0.1


def levels(scheduler):
    """Noise levels of a scheduler's own ladder, in double precision."""
    alphas = scheduler.alphas_cumprod.double()
    return torch.sqrt((1 - alphas) / alphas)


def noise(*shape):
    """Noise in double precision."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def as_noise_prediction(z_vp, sigma):
    """The same model as `diffusers` wants it: the noise in the variance-preserving variable."""
    z = z_vp * torch.sqrt(1 + sigma**2)
    return (z - nonlinear(z, sigma.expand(len(z)))) / sigma


def test_ladder_is_that_of_ddpm():
    scheduler = DDPMScheduler(**LADDER)
    expected = torch.sqrt((1 - scheduler.alphas_cumprod) / scheduler.alphas_cumprod)
    torch.testing.assert_close(ddpm_sigmas(1000), expected, rtol=1e-4, atol=1e-6)


def test_ddim_equals_diffusers():
    scheduler = DDIMScheduler(**LADDER, set_alpha_to_one=True)
    scheduler.set_timesteps(50)
    sigmas, z_vp = levels(scheduler), noise(8, 5)
    visited = torch.cat([sigmas[scheduler.timesteps], torch.zeros(1)])
    ours = sample_ddim(nonlinear, z_vp * torch.sqrt(1 + visited[0] ** 2), visited)
    for t in scheduler.timesteps:
        z_vp = scheduler.step(as_noise_prediction(z_vp, sigmas[t]), t, z_vp).prev_sample
    torch.testing.assert_close(ours, z_vp, rtol=0, atol=1e-5)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_dpmpp_equals_diffusers():
    scheduler = DPMSolverMultistepScheduler(
        num_train_timesteps=1000,
        beta_start=1e-4,
        beta_end=0.02,
        algorithm_type="dpmsolver++",
        solver_order=2,
        solver_type="midpoint",
        lower_order_final=True,
        euler_at_final=False,
        final_sigmas_type="zero",
    )
    scheduler.set_timesteps(20)
    visited, z_vp = scheduler.sigmas.double(), noise(8, 5)
    ours = sample_dpmpp(nonlinear, z_vp * torch.sqrt(1 + visited[0] ** 2), visited)
    for t, sigma in zip(scheduler.timesteps, visited[:-1], strict=True):
        z_vp = scheduler.step(as_noise_prediction(z_vp, sigma), t, z_vp).prev_sample
    torch.testing.assert_close(ours, z_vp, rtol=0, atol=1e-5)


def test_ddpm_equals_diffusers():
    scheduler = DDPMScheduler(**LADDER, variance_type="fixed_small")
    scheduler.set_timesteps(1000)
    scheduler.betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    scheduler.alphas = 1 - scheduler.betas
    scheduler.alphas_cumprod = torch.cumprod(scheduler.alphas, dim=0)
    sigmas, z_vp = levels(scheduler), noise(8, 5)
    visited = torch.cat([sigmas.flip(0), torch.zeros(1)])
    z = z_vp * torch.sqrt(1 + visited[0] ** 2)
    ours = sample_ddpm(nonlinear, z, visited, torch.Generator().manual_seed(1))
    generator = torch.Generator().manual_seed(1)
    for t in scheduler.timesteps:
        step = scheduler.step(as_noise_prediction(z_vp, sigmas[t]), t, z_vp, generator=generator)
        z_vp = step.prev_sample
    torch.testing.assert_close(ours, z_vp, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("name", "n_steps"), [("dpm++", 20), ("ddim", 200), ("ddpm", 1000)])
def test_samplers_recover_a_gaussian(name, n_steps):
    mean, std = torch.tensor([3.0, -1.0, 0.0]), torch.tensor([2.0, 0.5, 0.1])

    def exact(z, sigma):
        gain = std**2 / (std**2 + sigma[:, None] ** 2)
        return mean + gain * (z - mean)

    generator = torch.Generator().manual_seed(0)
    sigmas = select_sigmas(ddpm_sigmas(), n_steps)
    z = torch.randn(20_000, 3, generator=generator) * sigmas[0]
    with torch.no_grad():
        z = SAMPLERS[name](exact, z, sigmas, generator)
    # The chain starts at mean 0, not `mean`: at the highest level that leaves mean * std / sigma.
    np.testing.assert_allclose(z.mean(dim=0), mean, atol=0.08)
    np.testing.assert_allclose(z.std(dim=0) / std, 1, atol=0.05)


def test_selected_levels_fall_to_zero_and_lie_on_the_ladder():
    ladder = ddpm_sigmas()
    sigmas = select_sigmas(ladder, 20)
    assert len(sigmas) == 21
    assert sigmas[-1] == 0
    assert (sigmas.diff() < 0).all()
    assert torch.isin(sigmas[:-1], ladder).all()
    assert sigmas[0] == ladder[-1]
    assert sigmas[-2] == ladder[0]
    torch.testing.assert_close(select_sigmas(ladder, 1000)[:-1], ladder.flip(0))
    assert select_sigmas(ladder, 20, sigma_max=1.0)[0] <= 1.0


def test_training_levels_are_log_normal():
    ladder, weights = ddpm_sigmas(), timestep_weights(ddpm_sigmas())
    log_sigma = ladder.double().log()
    mean = (weights * log_sigma).sum()
    std = torch.sqrt((weights * (log_sigma - mean) ** 2).sum())
    torch.testing.assert_close(weights.sum(), torch.tensor(1.0, dtype=torch.float64))
    np.testing.assert_allclose([mean, std], [-0.6, 1.2], atol=0.03)


def test_loss_of_the_best_linear_denoiser_is_one():
    std = torch.tensor([2.0, 0.3])
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(200_000, 2, generator=generator) * std
    noise = torch.randn(z.shape, generator=generator)

    def exact(z, sigma):
        return std**2 / (std**2 + sigma[:, None] ** 2) * z

    loss = denoising_loss(exact, z, torch.full((len(z),), 0.7), noise, std)
    np.testing.assert_allclose(loss.mean(), 1.0, atol=0.01)


@pytest.mark.parametrize("n_timesteps", [5, 50, 300, 4000])
def test_ladders_of_any_length_end_in_noise(n_timesteps):
    sigmas = ddpm_sigmas(n_timesteps)
    assert sigmas.isfinite().all()
    assert sigmas[-1] > 40
