"""Matrices of very many genes, most of which hardly count: the codec at a fraction of the cost.

`core_genes` chooses those that an encoder reads, `gene_regression` gives all others their decoder,
`binned_noise` how their counts vary. Up to `core_genes.WIDE` genes nothing here is used.

May import: the codec's networks and count noise, compute.
"""
