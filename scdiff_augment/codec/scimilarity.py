"""The published SCimilarity model folder as a frozen encoder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from scdiff_augment.compute.layers import State
from scdiff_augment.expression.genes import GeneReport, match_genes, take_genes

from .scimilarity_folder import checked_weights, layer_sizes, read_folder

BLOCK = 512
"""Cells embedded at a time: a published model has tens of thousands of input genes."""

LARGEST = float(np.log1p(1e4)) + 0.01
"""No log1p CP10k value is larger."""


class SCimilarityEncoder:
    """A trained SCimilarity encoder, read from its published folder; nothing is downloaded.

    Values are brought to the model's genes, absent genes zero, and scaled to 10,000 per cell
    *over the genes found*: the published workflow aligns counts before it normalises them, so
    genes that the model does not know leave no trace in the embedding. A cell without any count
    in those genes gets the embedding of an empty profile.

    Parameters
    ----------
    path : str or Path
        Folder with ``encoder.ckpt``, ``gene_order.tsv``, ``layer_sizes.json`` and
        ``hyperparameters.json``. Other files in it are not read. Nothing in it is executed.
    genes : iterable of str, optional
        Genes of the data, in the order of the columns that `transform` will get. By default the
        model's own genes in its own order.
    min_share : float in (0, 1], default=0.5
        Share of the model's genes that must be among `genes`. The published tool measures the
        overlap in the model's genes too, as a number: at least 5,000 of them.

    Attributes
    ----------
    n_latent : int
        Dimensions of the embedding; 128 in the published models.
    hidden_sizes_ : tuple of int
        Units of the hidden layers.
    model_genes_ : ndarray of str
        The model's genes, in its order.
    genes_ : ndarray of str
        Genes that `transform` expects, in order.
    report_ : GeneReport
        How many of the model's genes were found, and which were not.

    Raises
    ------
    FileNotFoundError
        If the folder or one of its files is absent; it is named.
    ValueError
        If files of the folder are damaged or contradict each other, if too few genes match, or if
        a gene of the model stands twice in `genes`.

    References
    ----------
    Heimberg et al. 2024, A cell atlas foundation model for scalable search of similar human cells,
    Nature.

    Examples
    --------
    With a downloaded model: ``SCimilarityEncoder("model_v1.1", genes=adata.var_names)``. Here with
    three genes and no hidden layer:

    >>> import torch
    >>> from scdiff_augment import SCimilarityEncoder
    >>> weights = {"network.0.weight": torch.eye(2, 3), "network.0.bias": torch.zeros(2)}
    >>> meta = {"encoder": "scimilarity", "model_genes": ["CD3D", "LYZ", "NKG7"]}
    >>> meta |= {"genes": ["LYZ", "CD3D"], "min_share": 0.5}
    >>> encoder = SCimilarityEncoder.from_state(meta, weights)
    >>> print(encoder.report_)
    2 of 3 wanted genes found (67 %), 2 of 2 given genes used (100 %); absent: NKG7
    >>> encoder.transform([[0, 9.21], [8.52, 8.52]]).round(2).tolist()
    [[1.0, 0.0], [0.7099999785423279, 0.7099999785423279]]
    """

    n_latent: int
    hidden_sizes_: tuple[int, ...]
    model_genes_: NDArray[np.str_]
    genes_: NDArray[np.str_]
    report_: GeneReport

    def __init__(
        self,
        path: str | Path,
        genes: Iterable[str] | None = None,
        *,
        min_share: float = 0.5,
    ):
        self._set(*read_folder(Path(path)), genes, min_share)

    def with_genes(self, genes: Iterable[str] | None) -> SCimilarityEncoder:
        """Return this encoder for data with other genes; the weights are shared, not copied.

        None, of data whose genes have no names, changes nothing: `genes_` stay those expected.
        """
        if genes is None:
            return self
        other = object.__new__(type(self))
        other._set(list(self.model_genes_), self._tensors, genes, self.min_share)
        return other

    def transform(self, X: Any) -> NDArray[np.float32]:
        """Embed cells; each one's embedding is independent of the others.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix of shape (n_cells, n_genes)
            log1p of counts per 10,000, columns in the order of `genes_`.

        Returns
        -------
        ndarray of shape (n_cells, n_latent), float32
            Rows of Euclidean length 1.

        Raises
        ------
        ValueError
            If the columns are not those of `genes_`, or values cannot be log1p CP10k.
        """
        if hasattr(X, "columns") and list(map(str, X.columns)) != self.genes_.tolist():
            raise ValueError(
                f"The columns of X must be the encoder's {len(self.genes_)} genes in their order, "
                f"but they differ. Use encoder.with_genes(X.columns)."
            )
        X = X.tocsr() if hasattr(X, "tocsr") else np.asarray(X)
        if X.ndim != 2 or X.shape[1] != len(self.genes_):
            raise ValueError(
                f"X must have one column for each of the encoder's {len(self.genes_)} genes, got "
                f"shape {X.shape}. Use encoder.with_genes(...) with the genes of X."
            )
        embedded = np.empty((X.shape[0], self.n_latent), dtype=np.float32)
        for start in range(0, X.shape[0], BLOCK):
            block = X[start : start + BLOCK]
            block = block.toarray() if hasattr(block, "toarray") else block
            _require_log1p(block, start)
            values = torch.from_numpy(_scaled(take_genes(block, self._columns)))
            embedded[start : start + BLOCK] = _embed(values, self._tensors).numpy()
        return embedded

    def to_state(self) -> State:
        """Return what `from_state` needs: a dict that JSON can hold, and tensors by name."""
        meta = {
            "encoder": "scimilarity",
            "model_genes": self.model_genes_.tolist(),
            "genes": self.genes_.tolist(),
            "min_share": self.min_share,
        }
        return meta, dict(self._tensors)

    @classmethod
    def from_state(
        cls, meta: Mapping[str, Any], tensors: Mapping[str, Tensor]
    ) -> SCimilarityEncoder:
        """Rebuild an encoder from what `to_state` gave; the folder is not needed.

        Raises
        ------
        ValueError
            If an entry is missing, or tensors and genes do not belong together.
        """
        absent = {"encoder", "model_genes", "genes", "min_share"} - set(meta)
        if absent or meta["encoder"] != "scimilarity":
            raise ValueError(
                f"The state must be that of a SCimilarity encoder, but it "
                f"{'lacks ' + ', '.join(sorted(absent)) if absent else 'is another'}. Save it "
                f"again with to_state."
            )
        encoder = object.__new__(cls)
        state = checked_weights(tensors, len(meta["model_genes"]), "the stored state")
        encoder._set(list(meta["model_genes"]), state, meta["genes"], meta["min_share"])
        return encoder

    def __sklearn_clone__(self) -> SCimilarityEncoder:
        return self  # frozen: copies of a generator share the weights

    def __repr__(self) -> str:
        return f"SCimilarityEncoder({self.report_.n_wanted} genes -> {self.n_latent})"

    def _set(
        self,
        model_genes: list[str],
        tensors: dict[str, Tensor],
        genes: Iterable[str] | None,
        min_share: float,
    ) -> None:
        given = model_genes if genes is None else list(genes)
        self._columns, self.report_ = match_genes(given, model_genes, min_share=min_share)
        self._tensors = tensors
        self.min_share = min_share
        self.model_genes_ = np.asarray(model_genes, dtype=np.str_)
        self.genes_ = np.asarray(given).astype(np.str_)
        sizes = layer_sizes(tensors)
        self.hidden_sizes_, self.n_latent = tuple(sizes[:-1]), sizes[-1]


def _embed(x: Tensor, tensors: Mapping[str, Tensor]) -> Tensor:
    """Embed values, (cells, genes) to (cells, n_latent), with the statistics of training."""
    depth = len(layer_sizes(tensors)) - 1
    for i in range(depth):
        linear, norm, slope = (f"network.{i}.{j}." for j in (1, 2, 3))
        x = functional.linear(x, tensors[linear + "weight"], tensors[linear + "bias"])
        x = functional.batch_norm(
            x,
            tensors[norm + "running_mean"],
            tensors[norm + "running_var"],
            tensors[norm + "weight"],
            tensors[norm + "bias"],
        )
        x = functional.prelu(x, tensors[slope + "weight"])
    last = f"network.{depth}."
    x = functional.linear(x, tensors[last + "weight"], tensors[last + "bias"])
    return functional.normalize(x, dim=1)


def _scaled(values: NDArray) -> NDArray[np.float32]:
    """log1p CP10k over these genes, of log1p CP10k over more genes."""
    linear = np.expm1(values, dtype=np.float64)
    totals = linear.sum(axis=1, keepdims=True)
    totals[totals == 0] = 1.0
    linear *= 1e4 / totals
    return np.log1p(linear, out=linear).astype(np.float32)


def _require_log1p(X: NDArray, first: int) -> None:
    if X.dtype.kind not in "buif":
        raise ValueError(f"X must be numeric, got {X.dtype}.")
    wrong = ~((X >= 0) & (LARGEST >= X))  # NaN too
    if wrong.any():
        cell, gene = np.argwhere(wrong)[0]
        culprit = f"cell {first + cell} has {X[cell, gene]:g} in column {gene}"
    elif X.any() and np.array_equal(X, np.rint(X)):
        culprit = f"cells {first} to {first + len(X) - 1} hold integers only"
    else:
        return
    raise ValueError(
        f"X must be log1p of counts per 10,000, from 0 to {LARGEST:.2f}, but {culprit}. From "
        f"counts: scanpy.pp.normalize_total(adata, target_sum=1e4), then scanpy.pp.log1p(adata)."
    )
