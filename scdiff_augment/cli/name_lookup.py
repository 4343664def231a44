"""Look up names that users type; suggest the nearest known one if there is none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from scdiff_augment.expression.nearest_names import listed, suggestion

__all__ = ["listed", "matching_value", "parse_pairs", "require_name", "suggestion"]


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
