"""Data augmentation for single-cell machine learning with latent diffusion."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .adata.in_memory import oversample_adata
    from .adata.reference import join_reference
    from .celltypist_classifier import CellTypistClassifier
    from .codec.autoencoder import AutoEncoder
    from .codec.scimilarity import SCimilarityEncoder
    from .compute.processes import distributed
    from .generator import LatentDiffusion
    from .oversampler import DiffusionOversampler
    from .oversampling.rare_types import RareTypes
    from .streaming.block_readers import as_blocks

__version__ = version("scdiff-augment")
__all__ = [
    "AutoEncoder",
    "CellTypistClassifier",
    "DiffusionOversampler",
    "LatentDiffusion",
    "RareTypes",
    "SCimilarityEncoder",
    "as_blocks",
    "distributed",
    "join_reference",
    "oversample_adata",
]

# Imported when they are asked for: torch takes seconds, and the command line's help needs none.
_HOMES = {
    "AutoEncoder": ".codec.autoencoder",
    "CellTypistClassifier": ".celltypist_classifier",
    "DiffusionOversampler": ".oversampler",
    "LatentDiffusion": ".generator",
    "RareTypes": ".oversampling.rare_types",
    "SCimilarityEncoder": ".codec.scimilarity",
    "as_blocks": ".streaming.block_readers",
    "distributed": ".compute.processes",
    "join_reference": ".adata.reference",
    "oversample_adata": ".adata",
}

# Modules under the names that users know.
_MODULES = {"team": ".compute.processes"}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(_MODULES[name], __name__)
    if name not in _HOMES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name], __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
