"""Layers of an AnnData by name, `.raw` among them."""

from __future__ import annotations

from typing import Any


def named_layers(adata: Any) -> list[str]:
    """Names of layers; since anndata 0.13 None is among them, which is X."""
    return [name for name in adata.layers if name is not None]


def listed_layers(adata: Any) -> list[str]:
    """Return what `layer` may name, for messages."""
    layers = named_layers(adata)
    return layers + ["raw"] * (adata.raw is not None and "raw" not in layers)
