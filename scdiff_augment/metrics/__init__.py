"""How real synthetic cells are: pure functions of real and synthetic expression.

Every figure takes dense matrices of cells × genes, log1p of depth-normalised counts unless it says
otherwise, and means something only beside its null: the value that real cells get in the place of
synthetic ones. `evaluate` gives all of them, with their nulls, in one table.
"""

from .depth import library_size_distance
from .embedding import ilisi, mmd
from .genes import (
    Curve,
    gene_correlation_error,
    mean_variance,
    pcc,
    scc,
    zero_curve_error,
    zero_fraction,
)
from .judges import forest_auc, knn_auc, telling_genes
from .manifold import coverage, density
from .markers import marker_lfc_agreement, r2_top_genes
from .memorisation import Duplicates, duplicates, nearest_neighbour_ratio
from .table import evaluate

__all__ = [
    "Curve",
    "Duplicates",
    "coverage",
    "density",
    "duplicates",
    "evaluate",
    "forest_auc",
    "gene_correlation_error",
    "ilisi",
    "knn_auc",
    "library_size_distance",
    "marker_lfc_agreement",
    "mean_variance",
    "mmd",
    "nearest_neighbour_ratio",
    "pcc",
    "r2_top_genes",
    "scc",
    "telling_genes",
    "zero_curve_error",
    "zero_fraction",
]
