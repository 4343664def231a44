"""How names and numbers are written in tables and pages."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scdiff_bench.statistics.comparisons import Contrast

DASH = "–"


def label(name: str) -> str:
    """Return a name as tables and pages show it."""
    return name.replace("_", " ")


def spread(mean: float, sd: float, digits: int = 3) -> str:
    """Return a mean with its standard deviation."""
    if pd.isna(mean):
        return DASH
    shown = f"{mean:.{digits}f}".replace("-", "−")
    return shown if pd.isna(sd) else f"{shown} ± {sd:.{digits}f}"


def signed(value: float) -> str:
    """Return a difference with its sign."""
    return DASH if np.isnan(value) else f"{value:+.3f}".replace("-", "−")


def outcome(contrast: Contrast) -> str:
    """Return what a contrast says, in words."""
    if contrast.difference.folds < 2:
        return "one fold, no interval"
    return {True: "better", False: "worse", None: "no clear difference"}[contrast.better]


def percent(value: float) -> str:
    """Return a probability in per cent."""
    return DASH if np.isnan(value) else f"{100 * value:.0f} %"


def share(value: float) -> str:
    """Return a share of a gap."""
    return DASH if np.isnan(value) else f"{value:.2f}".replace("-", "−")
