"""Genes of one matrix brought into the order of another, with a report of what was found."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

SHOWN = 5
"""How many unmatched genes a report names."""

ENSEMBL = re.compile(r"ENS[A-Z]*G\d{6,}")


@dataclass(frozen=True)
class GeneReport:
    """What became of the genes when one list met another.

    Parameters
    ----------
    n_matched : int
        Genes found in both lists.
    n_wanted, n_given : int
        Genes asked for; genes that the data have.
    absent : tuple of str
        The first few wanted genes that the data lack, in the wanted order.
    unused : tuple of str
        The first few genes of the data that nobody asked for, in the data's order.

    Attributes
    ----------
    share_wanted : float
        Matched genes over wanted genes: how much of a model's input is filled.
    share_given : float
        Matched genes over the data's genes: how much of the data is used.

    Examples
    --------
    >>> report = match_genes(["CD3D", "NKG7", "MS4A1", "X1"], ["MS4A1", "CD3D", "LYZ"])[1]
    >>> print(report)
    2 of 3 wanted genes found (67 %), 2 of 4 given genes used (50 %); absent: LYZ; unused: NKG7, X1
    """

    n_matched: int
    n_wanted: int
    n_given: int
    absent: tuple[str, ...]
    unused: tuple[str, ...]

    @property
    def share_wanted(self) -> float:
        return self.n_matched / self.n_wanted

    @property
    def share_given(self) -> float:
        return self.n_matched / self.n_given

    def __str__(self) -> str:
        wanted, given = f"{100 * self.share_wanted:.0f} %", f"{100 * self.share_given:.0f} %"
        absent = _listed(self.absent, self.n_wanted - self.n_matched)
        unused = _listed(self.unused, self.n_given - self.n_matched)
        return (
            f"{self.n_matched} of {self.n_wanted} wanted genes found ({wanted}), "
            f"{self.n_matched} of {self.n_given} given genes used ({given})"
            f"{absent and '; absent: ' + absent}{unused and '; unused: ' + unused}"
        )


def match_genes(
    genes: Iterable[str], wanted: Iterable[str], *, min_share: float = 0.5
) -> tuple[NDArray[np.intp], GeneReport]:
    """Find each wanted gene among those given; names are compared exactly.

    Parameters
    ----------
    genes : iterable of str
        Genes of the data, in the order of its columns.
    wanted : iterable of str
        Genes of the result, in its order.
    min_share : float in (0, 1], default=0.5
        Share of the *wanted* genes that must be found. That share says how much of a model's input
        is not filled with zeros; the share of the data's genes does not: a panel of 20 genes, all
        of them known, would count as perfect.

    Returns
    -------
    columns : ndarray of shape (n_wanted,), intp
        Column of each wanted gene in the data, -1 where it is absent.
    report : GeneReport

    Raises
    ------
    TypeError
        If `genes` or `wanted` is not a one-dimensional list of names.
    ValueError
        If fewer than `min_share` of the wanted genes are found, or none; if a wanted gene stands
        twice in either list: which of two columns is meant, or how to add them up, depends on
        their scale (counts can be summed, logarithms cannot). Other repeated genes do no harm.

    Examples
    --------
    >>> columns, report = match_genes(["CD3D", "NKG7", "MS4A1"], ["MS4A1", "LYZ", "CD3D"])
    >>> columns.tolist(), report.n_matched
    ([2, -1, 0], 2)
    """
    given, target = _names(genes, "genes"), _names(wanted, "wanted")
    if not 0 < min_share <= 1:
        raise ValueError(f"min_share must be in (0, 1], got {min_share}.")
    _require_once(target, "wanted genes", "Each output column needs a name of its own.")
    matched = given.isin(target)
    _require_once(
        given[matched],
        "genes of the data",
        "Sum the counts of columns with one name, or make the names unique "
        "(adata.var_names_make_unique keeps the first under its name).",
    )
    columns = np.full(len(target), -1, dtype=np.intp)
    columns[target.get_indexer(given[matched])] = np.flatnonzero(matched)
    report = GeneReport(
        n_matched=int(matched.sum()),
        n_wanted=len(target),
        n_given=len(given),
        absent=tuple(target[columns < 0][:SHOWN]),
        unused=tuple(given[~matched][:SHOWN]),
    )
    if report.n_matched == 0 or report.share_wanted < min_share:
        raise ValueError(
            f"{report.n_matched} of {report.n_wanted} wanted genes are among the {report.n_given} "
            f"given ({report.share_wanted:.1%}); at least {min_share:.0%} must be. Given are "
            f"{', '.join(given[:3])} ...; wanted are {', '.join(target[:3])} .... "
            f"{_way_out(given, target, report)}"
        )
    return columns, report


def take_genes(X: NDArray, columns: NDArray[np.intp]) -> NDArray:
    """Columns of `X` in the order that `match_genes` found, zeros for absent genes.

    Parameters
    ----------
    X : ndarray of shape (n_cells, n_genes)
        Any scale on which 0 means "not detected".
    columns : ndarray of shape (n_wanted,), intp
        Column of each wanted gene, -1 where it is absent.

    Returns
    -------
    ndarray of shape (n_cells, n_wanted), dtype of `X`
    """
    aligned = np.zeros((len(X), len(columns)), dtype=X.dtype)
    found = columns >= 0
    aligned[:, found] = X[:, columns[found]]
    return aligned


def align_genes(
    X: ArrayLike, genes: Iterable[str], wanted: Iterable[str], *, min_share: float = 0.5
) -> tuple[NDArray, GeneReport]:
    """Bring a matrix to another list of genes: wanted order, absent genes zero, others dropped.

    Parameters
    ----------
    X : array-like of shape (n_cells, n_genes)
        Dense values on any scale on which 0 means "not detected"; they are not rescaled, although
        totals change where genes are dropped.
    genes, wanted, min_share
        See `match_genes`, which also says what is refused.

    Returns
    -------
    aligned : ndarray of shape (n_cells, n_wanted), dtype of `X`
    report : GeneReport

    Raises
    ------
    ValueError
        If `X` does not have one column for each of `genes`.

    Examples
    --------
    >>> aligned, report = align_genes([[1, 2, 3]], ["CD3D", "NKG7", "MS4A1"], ["MS4A1", "LYZ"])
    >>> aligned.tolist(), report.share_wanted
    ([[3, 0]], 0.5)
    """
    values = np.asarray(X)
    columns, report = match_genes(genes, wanted, min_share=min_share)
    if values.ndim != 2 or values.shape[1] != report.n_given:
        raise ValueError(
            f"X must be a dense matrix with one column for each of the {report.n_given} genes, got "
            f"shape {values.shape}. Use .toarray() for sparse matrices."
        )
    return take_genes(values, columns), report


def _names(names: Iterable[str], what: str) -> pd.Index:
    listed = names if isinstance(names, str) else list(names)
    if isinstance(listed, str) or not listed or np.ndim(listed) != 1:
        raise TypeError(f"`{what}` must be a list of gene names, got {names!r:.80}.")
    return pd.Index(np.asarray(listed).astype(str), dtype=object)


def _require_once(names: pd.Index, whose: str, way_out: str) -> None:
    repeated = names[names.duplicated()].unique()
    if len(repeated):
        raise ValueError(
            f"{len(repeated)} of the {whose} stand there more than once: "
            f"{_listed(repeated[:SHOWN], len(repeated))}. {way_out}"
        )


def _listed(names: Iterable[str], n: int) -> str:
    shown = list(names)
    return ", ".join(shown) + (f" and {n - len(shown)} more" if n > len(shown) else "")


def _way_out(given: pd.Index, target: pd.Index, report: GeneReport) -> str:
    kinds = [
        np.mean([bool(ENSEMBL.match(name)) for name in names]) > 0.5 for names in (given, target)
    ]
    if kinds[0] != kinds[1]:
        have, need = ("Ensembl ids", "symbols") if kinds[0] else ("symbols", "Ensembl ids")
        return f"The data name genes by {have}: name them by {need}."
    folded = target.str.upper().isin(given.str.upper()).sum()
    if folded > report.n_matched:
        return (
            f"Ignoring case, {folded} would be found: map the names to the wanted spelling, and "
            f"genes of another species to their orthologues."
        )
    return (
        "Pass all measured genes instead of a selection, under the wanted names, or lower "
        "min_share if this few are meant."
    )
