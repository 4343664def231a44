"""From counts or real values to latents, and back to counts with their noise and zeros.

An encoder reads cells (`encoders`, `autoencoder`, `scimilarity`), a decoder gives expected counts
(`count_codec`) or values (`real_value_codec`). `class_gene_effects` adds what a class has of its
own in each gene; `count_noise` and `dispersion` say how counts vary around expected ones, and
`draw_counts` draws them, zeros included. `choice` picks the codec that fits a matrix. Labels are
integer codes here.

May import: expression, streaming.block_sizes, compute.
"""
