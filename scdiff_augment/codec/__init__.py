"""From counts or real values to latents, and back to counts with their noise and zeros.

An encoder reads cells (`encoders`, `autoencoder`, `scimilarity`), a decoder gives expected counts
(`counts`) or values (`real_values`). `class_gene_effects` adds what a class has of its own in each
gene; `count_noise`, `dispersion` and `count_draws` turn expected counts into counts. `choice` picks
the codec that fits a matrix. Labels are integer codes here.

May import: expression, streaming.block_sizes, compute.
"""
