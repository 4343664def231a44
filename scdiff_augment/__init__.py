"""Data augmentation for single-cell machine learning with latent diffusion."""

from __future__ import annotations

from importlib.metadata import version

from .adata import oversample_adata
from .encoders import AutoEncoder
from .generator import LatentDiffusion
from .oversampler import DiffusionOversampler
from .scimilarity import SCimilarityEncoder

__version__ = version("scdiff-augment")
__all__ = [
    "AutoEncoder",
    "DiffusionOversampler",
    "LatentDiffusion",
    "SCimilarityEncoder",
    "oversample_adata",
]
