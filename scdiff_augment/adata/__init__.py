"""The oversampler on AnnData, in memory (`in_memory`) or between files (`oversample_to_store`).

May import: everything but cli, metrics and plotting.
"""

from .in_memory import oversample_adata

__all__ = ["oversample_adata"]
