"""How names and numbers are written in tables and pages."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scdiff_bench.statistics.comparisons import Contrast

DASH = "–"


def label(name: str) -> str:
    """Return a name as tables and pages show it.

    Parameters
    ----------
    name : str
        A name with underscores.

    Returns
    -------
    str
        With spaces.
    """
    return name.replace("_", " ")


def spread(mean: float, sd: float, digits: int = 3) -> str:
    """Return a mean with its standard deviation.

    Parameters
    ----------
    mean, sd : float
        Either may be NaN.
    digits : int, default=3
        After the point.

    Returns
    -------
    str
        For example ``"0.812 ± 0.020"``.
    """
    if pd.isna(mean):
        return DASH
    shown = f"{mean:.{digits}f}".replace("-", "−")
    return shown if pd.isna(sd) else f"{shown} ± {sd:.{digits}f}"


def signed(value: float) -> str:
    """Return a difference with its sign.

    Parameters
    ----------
    value : float
        A difference.

    Returns
    -------
    str
        With a proper minus.
    """
    return DASH if np.isnan(value) else f"{value:+.3f}".replace("-", "−")


def outcome(contrast: Contrast) -> str:
    """Return what a contrast says, in words.

    Parameters
    ----------
    contrast : Contrast
        Strategy against reference.

    Returns
    -------
    str
        ``"better"``, ``"worse"`` or ``"no clear difference"``.
    """
    if contrast.difference.folds < 2:
        return "one fold, no interval"
    return {True: "better", False: "worse", None: "no clear difference"}[contrast.better]


def percent(value: float) -> str:
    """Return a probability in per cent.

    Parameters
    ----------
    value : float
        Between 0 and 1, or NaN.

    Returns
    -------
    str
        Without decimals.
    """
    return DASH if np.isnan(value) else f"{100 * value:.0f} %"


def share(value: float) -> str:
    """Return a share of a gap.

    Parameters
    ----------
    value : float
        1 is all of it; it may be negative, above 1 or NaN.

    Returns
    -------
    str
        With two decimals.
    """
    return DASH if np.isnan(value) else f"{value:.2f}".replace("-", "−")
