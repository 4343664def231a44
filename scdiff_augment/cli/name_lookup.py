"""Names that users type: looked up, and the nearest one told where there is none."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

SHOWN = 12
"""Names that an error lists at most."""


def listed(names: Iterable[Any]) -> str:
    """Names in a row; the end is cut off where there are many."""
    names = [str(name) for name in names]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return (", ".join(names[:SHOWN]) or "none") + more


def nearest(name: str, known: Iterable[Any]) -> str | None:
    """Return the known name that is spelt most like this one, if any is."""
    by_lower = {str(other).lower(): str(other) for other in known}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return by_lower[close[0]] if close else None


def hint(name: str, known: Iterable[Any]) -> str:
    """Return a sentence with the nearest name, or nothing."""
    close = nearest(name, known)
    return f" Did you mean '{close}'?" if close else ""


def require_name(name: str, known: Sequence[Any], whose: str, what: str) -> None:
    """Refuse a name that is not known.

    Raises
    ------
    ValueError
        The message says `whose` `what` it is not, the nearest known name, and those that exist.
    """
    if name not in known:
        raise ValueError(
            f"{whose} has no {what} '{name}'.{hint(name, known)} It has: {listed(known)}."
        )


def pairs(texts: Sequence[str], option: str, *, last: bool = False) -> dict[str, str]:
    """Take NAME=VALUE apart, for an option that may be repeated; at the last "=" if so wanted.

    Raises
    ------
    ValueError
        If there is no "=", or a name stands twice.
    """
    result: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.rpartition("=") if last else text.partition("=")
        if not (name and equals and value):
            raise ValueError(f"{option} takes NAME=VALUE, got '{text}'.")
        if name in result:
            raise ValueError(
                f"{option} names '{name}' twice, as '{result[name]}' and as '{value}'. A cell has "
                f"one value of it; run the command once for each."
            )
        result[name] = value
    return result


def member(text: str, known: Iterable[Any], whose: str, what: str) -> Any:
    """Return the known value that is written like this: classes may be numbers or truth values.

    Raises
    ------
    ValueError
        As `require_name`.
    """
    by_text = {str(value): value for value in known}
    require_name(text, list(by_text), whose, what)
    return by_text[text]
