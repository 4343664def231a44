"""Real and synthetic cells in pictures.

Every function draws into the matplotlib axes that it is given, or into new ones, and returns them;
none shows a figure or changes matplotlib's settings.
"""

from .curves import mean_variance, telling_genes, zero_curves
from .dotplot import marker_dotplot
from .embed import joint_umap, project
from .maps import umap, umap_by_class
from .path import interpolation_path

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
