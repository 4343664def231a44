"""What a matrix holds: kinds of values, genes by name, hashes of cells, checks of what users give.

Imports nothing of the other rooms.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .kinds import Expression, denormalise, depth_normalised, detect_kind, normalise

__all__ = ["Expression", "denormalise", "depth_normalised", "detect_kind", "normalise"]


def __getattr__(name: str) -> Any:
    """Import `kinds` when it is asked for: `marks` alone needs no numpy."""
    if name not in __all__:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(".kinds", __name__), name)
