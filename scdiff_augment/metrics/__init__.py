"""How closely synthetic cells resemble real ones: functions of two or more expression matrices.

Every metric takes dense matrices of cells × genes, log1p of depth-normalised counts unless stated
otherwise. A value means little by itself: compare it with its real reference, i.e. the same metric
for held-out real cells scored in the place of the synthetic ones, which is the value to expect of
perfect cells (`null` in `evaluate`). `evaluate` computes all metrics, with their references, in one
table.

Where things are: `genes` compares gene-wise statistics, `depth` library sizes, `embedding` and
`manifold` the two sets in principal components, `discriminators` trains classifiers to tell them
apart, `markers` compares differential expression, `memorisation` looks for copies of training
cells, and `intervals` gives intervals for references. `summary` says how a table is read: the rule
of the verdict, and what is shown. `pairwise` lists the metrics of two sets by
name, `scoring` computes them class by class, and `evaluation` makes the table. `checks` holds what
all of them check.

May import: expression.
"""

from .depth import library_size_distance
from .discriminators import forest_auc, knn_auc, telling_genes
from .embedding import ilisi, mmd
from .evaluation import evaluate
from .genes import (
    Curve,
    gene_correlation_error,
    mean_variance,
    pcc,
    scc,
    zero_curve_error,
    zero_fraction,
)
from .manifold import coverage, density
from .markers import marker_lfc_agreement, r2_top_genes
from .memorisation import Duplicates, duplicates, nearest_neighbour_ratio
from .summary.printed import Evaluation

__all__ = [
    "Curve",
    "Duplicates",
    "Evaluation",
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
