"""What the samplers of imbalanced-learn's kind have in common, and how they meet other parts.

`base` keeps imbalanced-learn's contract for any generative model, `pretrained` adapts a fitted
model to a training fold, `rejection` lets a classifier refuse new cells, `rare_types` says which
types are topped up, and which have too few cells for it, and `target_batch` for which batch.

May import: generator, sampling, codec, streaming, annotation, expression, compute.
"""
