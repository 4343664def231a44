"""The known name that is spelt most like one that is not known, for messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

SHOWN = 12
"""Largest number of names that a message lists."""


def listed(names: Iterable[Any]) -> str:
    """Return names separated by commas, only the first of them if there are many."""
    names = [str(name) for name in names]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return (", ".join(names[:SHOWN]) or "none") + more


def nearest(name: str, known: Iterable[Any]) -> str | None:
    """Return the known name spelt most like this one, if any is similar."""
    by_lower = {str(other).lower(): str(other) for other in known}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return by_lower[close[0]] if close else None


def suggestion(name: str, known: Iterable[Any]) -> str:
    """Return a sentence that suggests the nearest known name, or an empty string."""
    close = nearest(name, known)
    return f" Did you mean '{close}'?" if close else ""
