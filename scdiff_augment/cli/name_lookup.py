"""Look up names that users type; suggest the nearest known one if there is none."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
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


def require_name(name: str, known: Sequence[Any], whose: str, what: str) -> None:
    """Refuse an unknown name.

    Raises
    ------
    ValueError
        With the nearest known name and a list of those that `whose` has of this kind (`what`).
    """
    if name not in known:
        raise ValueError(
            f"{whose} has no {what} '{name}'.{suggestion(name, known)} It has: {listed(known)}."
        )


def parse_pairs(texts: Sequence[str], option: str, *, last: bool = False) -> dict[str, str]:
    """Parse the NAME=VALUE texts of a repeatable option; `last` splits at the last "=".

    Raises
    ------
    ValueError
        If a text is not NAME=VALUE, or a name is given twice.
    """
    result: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.rpartition("=") if last else text.partition("=")
        if not (name and equals and value):
            raise ValueError(f"{option} takes NAME=VALUE, got '{text}'.")
        if name in result:
            raise ValueError(
                f"{option} gives '{name}' twice, as '{result[name]}' and as '{value}', but a cell "
                f"has only one value of it. Run the command once for each."
            )
        result[name] = value
    return result


def matching_value(text: str, known: Iterable[Any], whose: str, what: str) -> Any:
    """Return the known value whose text this is; classes may be numbers or booleans.

    Raises
    ------
    ValueError
        As `require_name`.
    """
    by_text = {str(value): value for value in known}
    require_name(text, list(by_text), whose, what)
    return by_text[text]
