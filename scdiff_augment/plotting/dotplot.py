"""Dot plot of marker genes in real and synthetic cells, class by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import anndata as ad
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from . import style
from .inputs import labels_of, log_values, synthetic_cells

LARGEST = 110.0
"""Area, in square points, of the dot of a gene that all cells express."""


def marker_dotplot(
    adata: ad.AnnData,
    markers: Mapping[str, Sequence[str]] | Sequence[str],
    label_key: str,
    *,
    layer: str | None = None,
    classes: Sequence[str] | None = None,
    scale: bool = False,
    cmap: str = "Reds",
    ax: Axes | None = None,
) -> Axes:
    """Dot plot of marker genes, with the real and synthetic cells of a class in adjacent rows.

    Parameters
    ----------
    adata : AnnData of shape (n_cells, n_genes)
        Real and synthetic cells, the latter marked by the boolean column ``obs["is_synthetic"]``:
        counts, or log1p of depth-normalised counts.
    markers : sequence of str, or mapping of str to sequence of str
        Names of genes; a mapping groups them under its keys.
    label_key : str
        Column of ``obs`` with the classes.
    layer : str, optional
        Layer to read; default is ``X``.
    classes : sequence of str, optional
        Classes to show, in this order. By default all of them: first those that are keys of
        `markers`, in its order, then the others by name.
    scale : bool, default=False
        Divide the means of each gene by the largest among the real rows, so that weakly expressed
        genes show as well. Synthetic rows above 1 have the colour of 1.
    cmap : str, default="Reds"
        Matplotlib colour map of the mean expression.
    ax : matplotlib.axes.Axes, optional
        Axes to draw into; new ones by default.

    Returns
    -------
    matplotlib.axes.Axes
        Dot size is the fraction of the row's cells that express the gene, colour its mean log1p
        expression over all cells of the row. A class without synthetic cells has one row.

    Raises
    ------
    KeyError
        If a gene, `label_key`, `layer` or "is_synthetic" is missing from `adata`.
    ValueError
        If a class has no cells, or no genes are given.

    Examples
    --------
    >>> import anndata as ad, numpy as np, pandas as pd
    >>> from scdiff_augment.plotting import marker_dotplot
    >>> obs = pd.DataFrame({"type": ["B", "T"] * 10, "is_synthetic": [False] * 10 + [True] * 10})
    >>> X = np.random.default_rng(0).poisson(1.0, (20, 3))
    >>> cells = ad.AnnData(X, obs.set_index(obs.index.astype(str)))
    >>> ax = marker_dotplot(cells, ["0", "2"], "type")
    >>> [tick.get_text() for tick in ax.get_xticklabels()]
    ['0', '2']
    """
    grouped = dict(markers) if isinstance(markers, Mapping) else {"": list(markers)}
    genes = [gene for group in grouped.values() for gene in group]
    values, labels, synthetic = _read(adata, genes, label_key, layer)
    if classes is None:
        present = np.unique(labels).tolist()
        named = [str(key) for key in grouped if str(key) in present]
        classes = named + [label for label in present if label not in named]
    rows = _rows(labels, synthetic, [str(label) for label in classes])
    mean = np.array([values[cells].mean(axis=0) for _, _, cells in rows])
    share = np.array([(values[cells] > 0).mean(axis=0) for _, _, cells in rows])
    if scale:
        top = mean[[kind == "real" for _, kind, _ in rows]].max(axis=0, initial=0)
        mean = mean / np.where(top > 0, top, 1)
    places = _row_positions([label for label, _, _ in rows])
    ax = style.axes(ax, 2.6 + 0.27 * len(genes), 1.2 + 0.24 * places[-1])
    x, y = np.meshgrid(np.arange(len(genes)), places)
    dots = ax.scatter(
        x.ravel(),
        y.ravel(),
        s=LARGEST * share.ravel(),
        c=mean.ravel(),
        cmap=cmap,
        vmin=0,
        vmax=1 if scale else None,
        edgecolors=style.QUIET,
        linewidths=0.4,
    )
    _name_rows(ax, rows, places)
    _name_genes(ax, grouped, genes)
    _explain(ax, dots, "mean, relative to\nlargest real" if scale else "mean log1p\nexpression")
    return ax


def _read(
    adata: ad.AnnData, genes: Sequence[str], label_key: str, layer: str | None
) -> tuple[NDArray, NDArray[np.str_], NDArray[np.bool_]]:
    if not genes:
        raise ValueError("no marker genes were given. Pass at least one of adata.var_names.")
    missing = [gene for gene in genes if gene not in adata.var_names]
    if missing:
        raise KeyError(
            f"{len(missing)} of {len(genes)} marker genes are not in adata.var_names: "
            f"{', '.join(map(str, missing[:5]))}{', ...' if len(missing) > 5 else ''}. Leave them "
            f"out."
        )
    if layer is not None and layer not in adata.layers:
        raise KeyError(
            f"adata has no layer '{layer}'. Pass one of "
            f"{[name for name in adata.layers if name is not None]}, or None for X."
        )
    labels, synthetic = labels_of(adata, label_key), synthetic_cells(adata)
    X = adata.X if layer is None else adata.layers[layer]
    values = log_values(X.toarray() if hasattr(X, "toarray") else X, "adata.X")
    return values[:, adata.var_names.get_indexer(genes)], labels, synthetic


def _rows(
    labels: NDArray[np.str_], synthetic: NDArray[np.bool_], classes: Sequence[str]
) -> list[tuple[str, str, NDArray[np.bool_]]]:
    """Class, kind ("real" or "synthetic") and mask of cells, for each row."""
    rows = []
    for label in classes:
        inside = labels == label
        if not inside.any():
            raise ValueError(
                f"no cell has class '{label}'. Choose from {', '.join(np.unique(labels))}."
            )
        for kind, mark in (("real", ~synthetic), ("synthetic", synthetic)):
            if (inside & mark).any():
                rows.append((label, kind, inside & mark))
    return rows


def _row_positions(labels: Sequence[str]) -> NDArray[np.float64]:
    """Vertical position of each row: rows of one class are closer to each other."""
    steps = [1.0 if a == b else 1.5 for a, b in pairwise(labels)]
    return np.cumsum([0.0, *steps])


def _name_rows(ax: Axes, rows: list, places: NDArray[np.float64]) -> None:
    labels = np.array([label for label, _, _ in rows])
    names = list(dict.fromkeys(labels))
    ax.yaxis.remove_overlapping_locs = False  # a single row has the position of its class name
    ax.set_yticks([places[labels == name].mean() for name in names], names)
    ax.set_yticks(places, [kind for _, kind, _ in rows], minor=True)
    ax.tick_params(axis="y", which="major", length=0, pad=50, labelsize=style.NORMAL)
    ax.tick_params(
        axis="y", which="minor", length=0, pad=3, labelsize=style.SMALL, labelcolor=style.QUIET
    )
    ax.set_ylim(places[-1] + 0.8, -0.8)
    for name in names[1::2]:
        inside = places[labels == name]
        ax.axhspan(inside.min() - 0.75, inside.max() + 0.75, color="#f4f4f4", zorder=0, linewidth=0)


def _name_genes(ax: Axes, grouped: dict, genes: Sequence[str]) -> None:
    ax.set_xticks(np.arange(len(genes)), genes, rotation=90, fontstyle="italic")
    ax.tick_params(axis="x", length=0, labelsize=style.SMALL)
    ax.set_xlim(-0.7, len(genes) - 0.3)
    ax.spines[:].set_visible(False)
    start = 0
    for name, group in grouped.items():
        if name and len(group):
            above = ax.get_xaxis_transform()
            ends = start - 0.3, start + len(group) - 0.7
            ax.plot(ends, (1.01, 1.01), transform=above, color=style.QUIET, lw=1, clip_on=False)
            ax.text(
                sum(ends) / 2, 1.03, str(name), transform=above, rotation=35, ha="left",
                rotation_mode="anchor", fontsize=style.SMALL, color=style.INK,
            )  # fmt: skip
        start += len(group)


def _explain(ax: Axes, dots: ScalarMappable, what: str) -> None:
    handles = [
        Line2D(
            [], [], linestyle="", marker="o", color="white", markeredgecolor=style.QUIET,
            markersize=float(np.sqrt(LARGEST * share)), label=f"{share:.0%}",
        )
        for share in (0.1, 0.25, 0.5, 1.0)
    ]  # fmt: skip
    legend = style.legend_beside(
        ax, handles, title="fraction\nof cells", title_fontsize=style.SMALL, labelspacing=0.7
    )
    legend.set_alignment("left")
    style.colour_bar(ax, dots, what, (1.03, 0.0, 0.03, 0.32))
