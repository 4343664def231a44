"""Annotations that steer sampling: what is learnt of each, and combinations never seen.

A condition (`condition`) holds its classes, a classifier of noisy latents, the classes' own genes,
and what its classes change within those of another condition (`effects`, by `kriging`).

May import: codec, diffusion, expression, compute.
"""
