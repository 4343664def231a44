"""What users are told of a matrix that is not modelled as what it may be."""

from __future__ import annotations

import math

import numpy as np

from .detection import has_structural_zeros, integer_fraction
from .kinds import Expression
from .scales import FRACTIONAL


def advice_on(parts: Expression) -> str | None:
    """Say what was found, what is lost, and which input is better, where something is.

    Counts that were recovered lose nothing, and other real values are what they are.
    """
    if parts.kind in FRACTIONAL and parts.steps is not None:
        return _of_fractions(parts)
    if parts.kind == "real" and has_structural_zeros(parts.values):
        return (
            "X looks like expression (in most cells the lowest value is met in many genes), but no "
            "scale that is known leads back to counts: it is modelled as real values with Gaussian "
            "noise, which have neither zeros nor count noise. Pass the counts, or values that were "
            "only normalised and logged; expression='real' is silent."
        )
    return None


def note_on(parts: Expression) -> str | None:
    """Say what was found, for the notes, where it is not counts or log1p values."""
    if parts.kind in ("counts", "log1p"):
        return None
    if parts.kind != "real":
        return f"X holds {parts.scale.describe()}: modelled as counts, given back on the same scale"
    if parts.values.min() < 0:
        if not has_structural_zeros(parts.values):
            return None
        return (
            "modelled as real values: in most cells the lowest value is met in many genes, as are "
            "zeros of counts, but no scale that is known leads back to counts"
        )
    return (
        f"modelled as real values: the matrix is not negative, but only "
        f"{integer_fraction(parts.values):.1%} of its entries lead back to counts by expm1"
    )


def _of_fractions(parts: Expression) -> str:
    assert parts.steps is not None
    zeros = float(np.mean(parts.values == 0))
    sizes = parts.steps.sizes
    if len(sizes) == 1:
        step = "fractions of molecules, counted in ones"
    else:
        step = (
            f"estimates, counted gene by gene in steps of what one read adds (median "
            f"{np.median(sizes):.3g})"
        )
    logged = ""
    if parts.kind == "log-fractional":
        name = {math.e: "natural logarithms", 2.0: "log2", 10.0: "log10"}[parts.base]
        why = "which gives all cells one total" if parts.total is not None else "by assumption"
        logged = f"{name} of value + 1, {why}: "
    return (
        f"X holds fractional counts ({zeros:.0%} zeros, skewed, none negative): {logged}taken for "
        f"{step}. Zeros stay zeros and no value becomes negative, but count noise is approximate. "
        f"Uncorrected counts are better, if there are any; expression='{parts.kind}' is silent, "
        f"expression='real' models other values."
    )
