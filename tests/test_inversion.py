"""DDIM to noise and back: closed forms, and modes between which the way is stiff."""

import torch

from scdiff_augment.diffusion.mixture import NoisyMixture
from scdiff_augment.diffusion.samplers import invert_ddim, sample_ddim
from scdiff_augment.diffusion.schedule import ddpm_sigmas, select_sigmas


def gaussian(means, spread=0.3):
    means = torch.tensor(means)
    cov = spread**2 * torch.eye(means.shape[1]).expand(len(means), -1, -1)
    return NoisyMixture(means, cov, torch.full((len(means),), 1 / len(means)))


def test_inversion_undoes_ddim():
    mixture = gaussian([[2.0, 0.0], [-2.0, 1.0]])
    sigmas = select_sigmas(ddpm_sigmas(), 100, 20.0)
    z = torch.randn(50, 2, generator=torch.Generator().manual_seed(0)) * 0.3 + mixture.means[0]
    noise = invert_ddim(mixture.denoise, z, sigmas)
    back = sample_ddim(mixture.denoise, noise, sigmas)
    torch.testing.assert_close(back, z, atol=1e-4, rtol=0)


def test_inversion_of_a_gaussian_is_its_closed_form():
    """The probability flow of N(mean, s²) multiplies deviations by sqrt(s² + sigma²) / s."""
    mean, s = torch.tensor([[1.0, -2.0]]), 0.5
    mixture = gaussian(mean.tolist(), s)
    sigmas = select_sigmas(ddpm_sigmas(), 500, 10.0)
    z = mean + torch.tensor([[0.4, -0.1], [0.0, 0.7]])
    noise = invert_ddim(mixture.denoise, z, sigmas)
    expected = mean + (z - mean) * torch.sqrt(s**2 + sigmas[0] ** 2) / s
    torch.testing.assert_close(noise, expected, rtol=0.02, atol=0.05)


def test_cells_between_modes_come_back_too():
    """Plain fixed-point iteration diverges where the modes are narrow."""
    mixture = gaussian([[2.0, 0.0], [-2.0, 1.0], [0.0, 3.0]], 0.15)
    sigmas = select_sigmas(ddpm_sigmas(), 50, 20.0)
    generator = torch.Generator().manual_seed(0)
    z = mixture.means[torch.arange(300) % 3] + 0.15 * torch.randn(300, 2, generator=generator)
    back = sample_ddim(mixture.denoise, invert_ddim(mixture.denoise, z, sigmas), sigmas)
    gone = (back - z).norm(dim=1) > 0.01
    assert gone.float().mean() < 0.02
    plain = sample_ddim(
        mixture.denoise, invert_ddim(mixture.denoise, z, sigmas, n_iterations=0), sigmas
    )
    assert ((plain - z).norm(dim=1) > 0.01).float().mean() > 0.5
