"""Tables that spreadsheets open as text and numbers, whatever labels are called."""

from __future__ import annotations

from typing import Any

import pandas as pd

STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""First characters that make a spreadsheet read a cell as a formula (OWASP, CSV injection)."""


def for_spreadsheets(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with an apostrophe before text that a spreadsheet would run as a formula.

    Spreadsheets show such a cell as text. Numbers stay numbers, as text of one does ("-1").

    Parameters
    ----------
    table : DataFrame
        About to be written as CSV.

    Returns
    -------
    DataFrame
        A copy; names of columns are treated like cells.

    Examples
    --------
    >>> import pandas as pd
    >>> for_spreadsheets(pd.DataFrame({"class": ["=1+1", "+T", "B"], "lead": [-0.5, 1, 0]}))
       class  lead
    0  '=1+1  -0.5
    1    '+T   1.0
    2      B   0.0
    """
    safe = table.copy()
    for place, dtype in enumerate(table.dtypes):
        if not pd.api.types.is_numeric_dtype(dtype):
            safe.isetitem(place, table.iloc[:, place].astype(object).map(_safe).to_numpy())
    return safe.rename(columns=_safe)


def _safe(value: Any) -> Any:
    if not isinstance(value, str) or not value.startswith(STARTS):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value
