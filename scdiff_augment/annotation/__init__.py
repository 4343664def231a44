"""Labels of cells, and what AnnData says of synthetic ones: columns of obs, provenance in uns.

May import: expression, versions.
"""
