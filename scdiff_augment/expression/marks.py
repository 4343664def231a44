"""Names in AnnData that tell synthetic cells from real ones."""

MARK = "is_synthetic"
"""Column of obs that tells synthetic cells from real ones."""

SOURCE = "synthetic_source"
"""Column of obs with the name of the real cell that a synthetic one started from."""

KEY = "scdiff_augment"
"""Where uns keeps the provenance."""
