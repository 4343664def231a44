"""Cells in blocks: read from files, checked, sampled, written to stores; on a Dask cluster.

May import: expression.
"""
