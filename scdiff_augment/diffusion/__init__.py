"""Diffusion in the latent: functions and networks of tensors, without labels or files.

`schedule` has the ladder of noise levels, `samplers` lead from noise to latents, `mixture` is the
closed form that `denoiser` corrects by a network, `training` learns both, `classifier` reads noisy
latents and `guidance` steers a denoiser by its gradients.

May import: compute.
"""
