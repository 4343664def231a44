"""Former name of `scoring`, kept for code that still imports these two names from here."""

from __future__ import annotations

from .scoring import IDEAL
from .scoring import MEMORISATION as MEMORY

__all__ = ["IDEAL", "MEMORY"]
