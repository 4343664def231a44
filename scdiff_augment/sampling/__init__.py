"""From what a user asks for to new cells.

`requests` reads the classes that are asked for, `plan` holds all that drawing needs and can be sent
to another machine, `draw` turns a plan into cells on the CPU or an accelerator, `one_block` does so
for a part with a seed of its own, and `sample_to_store` writes the parts to a zarr store.
`interpolation` leads latents from one class to another.

May import: conditions, codec, diffusion, streaming, annotation, expression, compute.
"""
