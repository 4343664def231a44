"""Data augmentation for single-cell machine learning."""

from importlib.metadata import version

from .adata import oversample_adata
from .generator import LatentDiffusion
from .oversampler import DiffusionOversampler

__version__ = version("scdiff-augment")
__all__ = ["DiffusionOversampler", "LatentDiffusion", "oversample_adata"]
