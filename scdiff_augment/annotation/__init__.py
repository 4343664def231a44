"""What an AnnData of synthetic cells says of them: marks in obs, provenance in uns.

May import: expression, versions.
"""
