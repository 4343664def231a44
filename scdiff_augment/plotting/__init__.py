"""Plots of real and synthetic cells: maps, marker dot plots, gene-wise curves, interpolations.

Every plotting function draws into the matplotlib axes that it is given, or into new ones, and
returns them. None of them shows a figure or changes matplotlib's settings. `embedding` computes the
coordinates of maps, `inputs` checks what the functions are given, and `style` holds colours, axes
and legends.

May import: expression, metrics.
"""

from .dotplot import marker_dotplot
from .embedding import joint_umap, project
from .genes import mean_variance, telling_genes, zero_curves
from .interpolation import interpolation_path
from .maps import umap, umap_by_class

__all__ = [
    "interpolation_path",
    "joint_umap",
    "marker_dotplot",
    "mean_variance",
    "project",
    "telling_genes",
    "umap",
    "umap_by_class",
    "zero_curves",
]
