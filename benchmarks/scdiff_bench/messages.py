"""Wording shared by error messages: name the rule, the value and the nearest valid one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(value: object, options: Iterable[str]) -> str:
    """Return the option closest to ``value``, as a phrase to end an error message with.

    Parameters
    ----------
    value : object
        What was given.
    options : iterable of str
        What would have been valid.

    Returns
    -------
    str
        ``"Did you mean 'x'? Valid: 'x', 'y'."``, or only the valid ones when none is close.
    """
    names = sorted(str(option) for option in options)
    if not names:
        return "None are available."
    folded = {name.casefold(): name for name in reversed(names)}
    close = difflib.get_close_matches(str(value).casefold(), list(folded), n=1, cutoff=0.4)
    shown = ", ".join(repr(name) for name in names[:20])
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    hint = f"Did you mean {folded[close[0]]!r}? " if close else ""
    return f"{hint}Valid: {shown}{more}."


def choose(rule: str, value: object, options: Iterable[str]) -> str:
    """Return ``value`` if it is one of ``options``, else raise an error that names the nearest.

    Parameters
    ----------
    rule : str
        What is being chosen, for example ``"strategy"``.
    value : object
        What was given.
    options : iterable of str
        What is valid.

    Returns
    -------
    str
        The value.

    Raises
    ------
    ValueError
        If the value is not among the options.
    """
    names = list(options)
    if isinstance(value, str) and value in names:
        return value
    raise ValueError(f"Unknown {rule} {value!r}. {nearest(value, names)}")


def duration(seconds: float) -> str:
    """Return a time in words, no more exact than an estimate is.

    Parameters
    ----------
    seconds : float
        How long.

    Returns
    -------
    str
        Seconds, minutes or hours.

    Examples
    --------
    >>> duration(40), duration(200), duration(7000)
    ('40 seconds', '3 minutes', '1.9 hours')
    """
    if seconds < 90:
        return f"{max(1, round(seconds))} seconds"
    return f"{round(seconds / 60)} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
