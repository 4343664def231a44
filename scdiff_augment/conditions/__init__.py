"""Annotations that steer sampling: what is learnt of each, and combinations never seen.

A condition (`condition`) holds its classes, a classifier of noisy latents, the classes' own genes,
and what its classes change within those of another condition: combinations never seen
(`unseen_combinations`, by `kriging`), or one class that cells of all groups are moved into
(`effects_into`, from the changes of `borrowed_changes`).

May import: codec, diffusion, expression, compute.
"""
