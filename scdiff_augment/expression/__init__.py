"""What a matrix holds: kinds of values, genes by name, hashes of cells, checks of what users give.

Imports nothing of the other rooms.
"""

from .kinds import Expression, denormalise, depth_normalised, detect_kind, normalise

__all__ = ["Expression", "denormalise", "depth_normalised", "detect_kind", "normalise"]
