"""Noise ladder, loss and samplers: functions of (model, z, sigmas), without state.

A *model* is any callable ``(z, sigma) -> denoised`` that estimates the clean latent from
``z = clean + sigma * noise``. `sigma` has a level for each cell, (B,), or one for all, (1,), as
the samplers pass it: what depends on the level alone is then computed once. DDPM's variable is
``z / sqrt(1 + sigma**2)``; in this form every sampler is a short recursion over sigma.

References
----------
Ho et al. 2020, Denoising diffusion probabilistic models, arXiv:2006.11239 [ddpm].
Song et al. 2021, Denoising diffusion implicit models, arXiv:2010.02502 [ddim].
Karras et al. 2022, Elucidating the design space of diffusion-based generative models,
arXiv:2206.00364 [edm].
Lu et al. 2022, DPM-Solver++, arXiv:2211.01095 [dpm++].
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

Model = Callable[[Tensor, Tensor], Tensor]


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


def denoising_loss(model: Model, z: Tensor, sigma: Tensor, noise: Tensor, scale: Tensor) -> Tensor:
    """Weighted squared error of the denoised latent ([edm] eq. 2 and table 1), per cell.

    `scale` (D,) is a standard deviation for each latent dimension; the weight makes dimensions and
    noise levels count alike for a model whose error is that of a Gaussian of this width.
    """
    sigma_, scale_ = sigma[:, None], scale[None, :]  # (B, 1), (1, D)
    weight = (sigma_**2 + scale_**2) / (sigma_ * scale_) ** 2
    error = model(z + sigma_ * noise, sigma) - z  # (B, D)
    return (weight * error**2).mean(dim=1)  # (B,)


def sample_ddpm(
    model: Model,
    z: Tensor,
    sigmas: Tensor,
    generator: torch.Generator,
    spread: float | Tensor = 1.0,
) -> Tensor:
    """Ancestral sampling with the posterior variance ([ddpm] eq. 6-7), its noise times `spread`."""
    for sigma, lower in pairwise(sigmas):
        keep = (lower / sigma) ** 2
        z = keep * z + (1 - keep) * model(z, sigma[None])  # (B, D)
        if lower > 0:
            noise = torch.randn(z.shape, generator=generator, dtype=z.dtype).to(z.device)
            z = z + lower * torch.sqrt(1 - keep) * spread * noise
    return z


def sample_ddim(
    model: Model,
    z: Tensor,
    sigmas: Tensor,
    generator: torch.Generator | None = None,
    spread: float | Tensor = 1.0,
) -> Tensor:
    """Deterministic sampling: Euler steps of the probability flow ([ddim] eq. 13-14)."""
    for sigma, lower in pairwise(sigmas):
        keep = lower / sigma
        z = keep * z + (1 - keep) * model(z, sigma[None])  # (B, D)
    return z


def sample_dpmpp(
    model: Model,
    z: Tensor,
    sigmas: Tensor,
    generator: torch.Generator | None = None,
    spread: float | Tensor = 1.0,
) -> Tensor:
    """DPM-Solver++(2M), second order, deterministic ([dpm++] algorithm 2)."""
    previous, previous_h = None, None
    for sigma, lower in pairwise(sigmas):
        denoised = model(z, sigma[None])  # (B, D)
        if lower == 0:
            return denoised
        h = torch.log(sigma / lower)
        direction = denoised
        if previous is not None and previous_h is not None:
            r = previous_h / h
            direction = (1 + 1 / (2 * r)) * denoised - previous / (2 * r)
        z = (lower / sigma) * z - torch.expm1(-h) * direction
        previous, previous_h = denoised, h
    return z


def invert_ddim(model: Model, z: Tensor, sigmas: Tensor, n_iterations: int = 100) -> Tensor:
    """Noise from which `sample_ddim` leads to `z`, level by level upwards ([ddim] §4.3).

    Each step solves DDIM's own equation for the noisier latent by fixed-point iteration, where the
    usual inversion evaluates the model at the level below and drifts (Pan et al. 2023,
    arXiv:2309.04907). Between modes the equation is stiff: there the iteration takes shorter steps,
    cell by cell, for as long as it gains. Small errors grow there too: in double precision far
    more cells come back.
    """
    for lower, sigma in pairwise(sigmas.flip(0)):
        keep = lower / sigma
        guess = z
        if lower > 0:  # Euler upwards
            guess = z / keep - (1 / keep - 1) * model(z, lower[None])
        z = _solve(_ddim_step(model, sigma, keep), z, guess, n_iterations)
    return z


def _ddim_step(model: Model, sigma: Tensor, keep: Tensor) -> Callable[[Tensor], Tensor]:
    """One step of `sample_ddim` from level `sigma` to ``keep * sigma``."""

    def step(z: Tensor) -> Tensor:
        return keep * z + (1 - keep) * model(z, sigma[None])

    return step


def _solve(
    step: Callable[[Tensor], Tensor], target: Tensor, guess: Tensor, n_iterations: int
) -> Tensor:
    """Find where `step` leads to `target`, row by row, by damped fixed-point iteration."""
    found, error = guess.clone(), target - step(guess)
    norm, damping = error.norm(dim=1), torch.ones(len(target), 1, dtype=target.dtype)
    tolerance = max(10 * torch.finfo(target.dtype).eps, 1e-10)
    enough = tolerance * target.norm(dim=1).clamp(min=1e-3)
    for _ in range(n_iterations):
        rows = (norm > enough).nonzero()[:, 0]
        if len(rows) == 0:
            break
        trial = found[rows] + damping[rows] * error[rows]
        left = target[rows] - step(trial)
        gained = left.norm(dim=1) < norm[rows]
        kept = rows[gained]
        found[kept], error[kept] = trial[gained], left[gained]
        norm[kept] = left[gained].norm(dim=1)
        damping[kept] = (1.5 * damping[kept]).clamp(max=1)
        damping[rows[~gained]] /= 2
    return found


SAMPLERS = {"ddpm": sample_ddpm, "ddim": sample_ddim, "dpm++": sample_dpmpp}
