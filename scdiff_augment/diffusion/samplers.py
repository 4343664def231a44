"""Samplers, from noise to latents: functions of (model, z, sigmas), without state.

A *model* is any callable ``(z, sigma) -> denoised`` that estimates the clean latent from
``z = clean + sigma * noise``. `sigma` has a level for each cell, (B,), or one for all, (1,), as
the samplers pass it: what depends on the level alone is then computed once. DDPM's variable is
``z / sqrt(1 + sigma**2)``; in this form every sampler is a short recursion over sigma.

References
----------
Ho et al. 2020, Denoising diffusion probabilistic models, arXiv:2006.11239 [ddpm].
Song et al. 2021, Denoising diffusion implicit models, arXiv:2010.02502 [ddim].
Lu et al. 2022, DPM-Solver++, arXiv:2211.01095 [dpm++].
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

Model = Callable[[Tensor, Tensor], Tensor]
"""A denoiser, or any function of (z, sigma)."""


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
