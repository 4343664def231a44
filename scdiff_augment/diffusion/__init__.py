"""Diffusion in the latent: functions and networks of tensors, without labels or files.

`schedule` has the ladder of noise levels, `samplers` lead from noise to latents, `mixture` is the
closed form that `denoiser` corrects by a network, `training` learns both, `classifier` reads noisy
latents and `guidance` steers a denoiser by its gradients.

May import: compute.
"""

from .samplers import SAMPLERS, Model, invert_ddim, sample_ddim, sample_ddpm, sample_dpmpp
from .schedule import ddpm_sigmas, select_sigmas, shorten, timestep_weights
from .training import denoising_loss

__all__ = [
    "SAMPLERS",
    "Model",
    "ddpm_sigmas",
    "denoising_loss",
    "invert_ddim",
    "sample_ddim",
    "sample_ddpm",
    "sample_dpmpp",
    "select_sigmas",
    "shorten",
    "timestep_weights",
]
