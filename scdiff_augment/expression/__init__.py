"""What a matrix holds: kinds of values, genes by name, hashes of cells, checks of what users give.

Imports nothing of the other rooms.
"""

from .kinds import Expression, depth_normalised, detect_kind, put_together, take_apart

__all__ = ["Expression", "depth_normalised", "detect_kind", "put_together", "take_apart"]
