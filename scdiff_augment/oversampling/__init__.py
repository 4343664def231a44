"""What the samplers of imbalanced-learn's kind have in common, and how they meet other parts.

`base` keeps imbalanced-learn's contract for any generative model, `pretrained` adapts a fitted
model to a training fold, and `rejection` lets a classifier refuse new cells.

May import: generator, sampling, codec, streaming, annotation, expression, compute.
"""
