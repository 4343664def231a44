"""The noise schedule: DDPM's ladder of noise levels, and which of them a sampler visits.

References
----------
Ho et al. 2020, Denoising diffusion probabilistic models, arXiv:2006.11239 [ddpm].
Karras et al. 2022, Elucidating the design space of diffusion-based generative models,
arXiv:2206.00364 [edm].
Lu et al. 2022, DPM-Solver++, arXiv:2211.01095 [dpm++].
"""

from __future__ import annotations

import torch
from torch import Tensor


def ddpm_sigmas(n_timesteps: int = 1000) -> Tensor:
    """Noise levels of DDPM's linear betas 1e-4 ... 0.02, rising ([ddpm] §4).

    Ladders of other lengths scale the betas by ``1000 / n_timesteps`` and so end at the same noise.
    """
    scale = 1000 / n_timesteps
    betas = torch.linspace(1e-4, 0.02, n_timesteps, dtype=torch.float64) * scale
    alpha_bar = torch.cumprod(1 - betas.clamp(max=0.999), dim=0)
    return torch.sqrt((1 - alpha_bar) / alpha_bar).float()  # (n_timesteps,)


def select_sigmas(ladder: Tensor, n_steps: int, sigma_max: float | None = None) -> Tensor:
    """Pick `n_steps` falling levels of the ladder, evenly spaced in log sigma, then 0.

    Even spacing in log sigma is that of [dpm++]. Rungs are distinct, so where the ladder is coarse
    the result may hold fewer than `n_steps` of them; with as many steps as rungs below `sigma_max`
    it is all of those.
    """
    below = ladder if sigma_max is None else ladder[ladder <= sigma_max]
    if len(below) == 0:
        below = ladder[:1]
    if n_steps < len(below):
        log_sigma = below.log()
        wanted = torch.linspace(float(log_sigma[-1]), float(log_sigma[0]), n_steps)
        nearest = torch.cdist(wanted[:, None], log_sigma[:, None]).argmin(dim=1)
        below = below[nearest.unique()]
    return torch.cat([below.flip(0), below.new_zeros(1)])


def shorten(sigmas: Tensor, strength: float) -> Tensor:
    """Keep the last part of falling levels: a share `strength` of the steps, at least one."""
    n_steps = len(sigmas) - 1
    return sigmas[n_steps - max(1, round(strength * n_steps)) :]


def timestep_weights(ladder: Tensor, mean: float = -0.6, std: float = 1.2) -> Tensor:
    """Probability of each rung in training: log-normal in sigma ([edm] table 1)."""
    log_sigma = ladder.double().log()
    width = torch.gradient(log_sigma)[0]
    density = torch.exp(-0.5 * ((log_sigma - mean) / std) ** 2) * width
    return density / density.sum()
