"""Gene-wise plots: variances, zeros, and the genes that give synthetic cells away."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike, NDArray

from scdiff_augment import metrics

from . import style
from .inputs import log_values

SIDES = ("real", "synthetic")

N_BINS = 20
"""Bins of a trend line, equally wide on the log scale of the mean."""

MIN_GENES = 3
"""Genes that a bin needs to enter the trend line."""


def mean_variance(real: ArrayLike, synthetic: ArrayLike, *, ax: Axes | None = None) -> Axes:
    """Plot each gene's variance against its mean, for real and synthetic cells.

    Parameters
    ----------
    real, synthetic : array-like of shape (n_cells, n_genes)
        Counts, or log1p of depth-normalised counts.
    ax : matplotlib.axes.Axes, optional
        Axes to draw into; new ones by default.

    Returns
    -------
    matplotlib.axes.Axes
        One point per gene and kind of cells, on logarithmic axes, and a running median of each
        kind. Genes that are constant in one kind are left out for that kind.

    Raises
    ------
    ValueError
        If the matrices differ in genes or hold NaN or infinity, or if no gene of `real` varies.

    Examples
    --------
    >>> import numpy as np
    >>> from scdiff_augment.plotting import mean_variance
    >>> real, synthetic = np.random.default_rng(0).poisson(3.0, (2, 30, 10))
    >>> mean_variance(real, synthetic).get_ylabel()
    'variance (log1p)'
    """
    pair = log_values(real, "real"), log_values(synthetic, "synthetic")
    curve = metrics.mean_variance(*pair)
    ax = style.axes(ax, 4.6, 3.2)
    for side in SIDES:
        mean, value = getattr(curve, f"mean_{side}"), getattr(curve, side)
        shown = (mean > 0) & (value > 0)
        _gene_points(ax, mean[shown], value[shown], side)
    ax.set(xscale="log", yscale="log", ylabel="variance (log1p)")
    style.plain_log(ax.yaxis)
    _finish(ax, f"standard deviations\ndiffer by {curve.error:.1%}")
    return ax


def zero_curves(real: ArrayLike, synthetic: ArrayLike, *, ax: Axes | None = None) -> Axes:
    """Plot each gene's fraction of zeros against its mean, for real and synthetic cells.

    Parameters
    ----------
    real, synthetic : array-like of shape (n_cells, n_genes)
        Counts, or log1p of depth-normalised counts.
    ax : matplotlib.axes.Axes, optional
        Axes to draw into; new ones by default.

    Returns
    -------
    matplotlib.axes.Axes
        One point per gene and kind of cells, with means on a logarithmic axis, and a running median
        of each kind. Genes that are not detected in one kind are left out for that kind.

    Raises
    ------
    ValueError
        If the matrices differ in genes or hold NaN or infinity.

    Examples
    --------
    >>> import numpy as np
    >>> from scdiff_augment.plotting import zero_curves
    >>> real, synthetic = np.random.default_rng(0).poisson(1.0, (2, 30, 10))
    >>> zero_curves(real, synthetic).get_ylabel()
    'fraction of zeros'
    """
    pair = log_values(real, "real"), log_values(synthetic, "synthetic")
    curve = metrics.zero_fraction(*pair)
    ax = style.axes(ax, 4.6, 3.2)
    for side in SIDES:
        mean, value = getattr(curve, f"mean_{side}"), getattr(curve, side)
        _gene_points(ax, mean[mean > 0], value[mean > 0], side)
    ax.set(xscale="log", ylim=(-0.02, 1.02), ylabel="fraction of zeros")
    _finish(ax, f"zeros: {curve.real.mean():.1%} real,\n{curve.synthetic.mean():.1%} synthetic")
    return ax


def telling_genes(table: pd.DataFrame, *, n_genes: int = 15, ax: Axes | None = None) -> Axes:
    """Plot the genes by which a random forest recognises synthetic cells, and how they differ.

    Parameters
    ----------
    table : DataFrame
        Result of `scdiff_augment.metrics.telling_genes`.
    n_genes : int, default=15
        Number of genes to show, from the top of the table.
    ax : matplotlib.axes.Axes, optional
        Axes to draw into; new ones by default.

    Returns
    -------
    matplotlib.axes.Axes
        For each gene the mean (point) and the central 80 % (line) of log1p expression in real and
        in synthetic cells, and its importance on the right.

    Raises
    ------
    KeyError
        If the table lacks a column.

    Examples
    --------
    >>> import numpy as np
    >>> from scdiff_augment import metrics, plotting
    >>> real, synthetic = np.random.default_rng(0).normal(size=(2, 50, 3))
    >>> table = metrics.telling_genes(real, synthetic + [0, 5, 0], ["A", "B", "C"], n_estimators=20)
    >>> plotting.telling_genes(table).get_yticklabels()[0].get_text()
    'B'
    """
    needed = ["importance"] + [
        f"{statistic}_{side}" for statistic in ("mean", "q10", "q90") for side in SIDES
    ]
    missing = [column for column in needed if column not in table]
    if missing:
        raise KeyError(
            f"the table lacks {missing}. Pass the result of scdiff_augment.metrics.telling_genes."
        )
    top = table.head(n_genes)
    ax = style.axes(ax, 4.6, 0.6 + 0.24 * len(top))
    at = np.arange(len(top))
    for side, colour, shift in zip(
        SIDES, (style.QUIET, style.SYNTHETIC), (-0.16, 0.16), strict=True
    ):
        ax.hlines(at + shift, top[f"q10_{side}"], top[f"q90_{side}"], color=colour, linewidth=1.3)
        ax.plot(
            top[f"mean_{side}"], at + shift, "o" if side == "real" else "D",
            color=colour, markersize=4, label=side,
        )  # fmt: skip
    for y, share in enumerate(top["importance"]):
        ax.text(
            1.02, y, f"{share:.1%}", transform=ax.get_yaxis_transform(), va="center",
            fontsize=style.SMALL, color=style.QUIET,
        )  # fmt: skip
    ax.text(
        1.02, -1, "importance", transform=ax.get_yaxis_transform(), va="center",
        fontsize=style.SMALL, color=style.QUIET,
    )  # fmt: skip
    ax.set(ylim=(len(top) - 0.4, -0.6), xlabel="log1p expression: mean and central 80 % of cells")
    ax.set_yticks(at, [str(gene) for gene in top.index], fontstyle="italic")
    style.open_frame(ax)
    ax.legend(
        loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2, frameon=False, fontsize=style.SMALL
    )
    return ax


def _gene_points(ax: Axes, mean: NDArray, value: NDArray, side: str) -> None:
    """Draw genes as points and, above them, the median of genes of similar mean as a line."""
    real = side == "real"
    ax.scatter(
        mean,
        value,
        s=9 if real else 3.5,
        color=style.PALE if real else style.SYNTHETIC,
        alpha=1 if real else 0.45,
        linewidths=0,
        rasterized=True,
        zorder=1 if real else 2,
    )
    edges = np.linspace(np.log(mean.min()), np.log(mean.max()), N_BINS + 1)[1:-1]
    place = np.digitize(np.log(mean), edges)
    bins = [place == i for i in range(N_BINS) if (place == i).sum() >= MIN_GENES]
    ax.plot(
        [np.median(mean[part]) for part in bins],
        [np.median(value[part]) for part in bins],
        color=style.INK if real else style.SYNTHETIC,
        linewidth=1.8 if real else 1.4,
        linestyle="-" if real else (0, (4, 2)),
        zorder=3 if real else 4,
    )


def _finish(ax: Axes, note: str) -> None:
    style.plain_log(ax.xaxis)
    ax.set_xlabel("mean expression (log1p)")
    style.open_frame(ax)
    handles = [
        Line2D([], [], color=style.INK, marker="o", markerfacecolor=style.PALE, label="real"),
        Line2D([], [], color=style.SYNTHETIC, linestyle=(0, (4, 2)), marker="o", label="synthetic"),
    ]
    for handle in handles:
        handle.set(markersize=4, markeredgewidth=0, linewidth=1.6)
    legend = style.legend_beside(ax, handles, title=note, title_fontsize=style.SMALL)
    legend.get_title().set_color(style.QUIET)
    legend.set_alignment("left")
