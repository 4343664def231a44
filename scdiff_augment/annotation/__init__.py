"""Labels of cells, and what an AnnData of synthetic cells says of them: columns of obs, provenance in uns.

May import: expression, versions.
"""
