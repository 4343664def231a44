"""What the samplers of imbalanced-learn's kind have in common, and how they meet other parts.

`base` keeps imbalanced-learn's contract for any generative model, `pretrained` adapts a fitted
model to a training fold, `rejection` lets a classifier refuse new cells, and `to_store` does all of
it from file to file.

May import: everything but cli, metrics and plotting.
"""
