"""The oversampler on AnnData, in memory (`in_memory`) or between files (`oversample_to_store`).

`reference` puts one's own cells and those of a reference into one AnnData.

May import: everything but cli, metrics and plotting.
"""

from .in_memory import oversample_adata
from .reference import ReferenceReport, join_reference

__all__ = ["ReferenceReport", "join_reference", "oversample_adata"]
