"""Where cells lie along a differentiation, measured on real cells alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Trajectory:
    """Real cells, their order and their neighbourhoods.

    Attributes
    ----------
    pca : PCA
        Fitted on the real cells' log1p values.
    points : ndarray of shape (cells, components)
        The real cells in it.
    labels : ndarray of str, shape (cells,)
        Their types.
    pseudotime : ndarray of shape (cells,)
        Their diffusion pseudotime.
    radius : ndarray of shape (cells,)
        Distance of each to its k-th nearest real neighbour.
    n_neighbors : int
        That k.
    reference : ndarray of int
        Real cells that new cells are compared with by `times` and `nearest_labels`.
    """

    pca: PCA
    points: Points
    labels: NDArray[np.str_]
    pseudotime: Points
    radius: Points
    n_neighbors: int
    reference: NDArray[np.intp]

    def without(self, cells: NDArray[np.integer]) -> Trajectory:
        """Return the same without these cells in the reference.

        A cell made from a real cell is next to that one wherever it went; only others tell.
        """
        return replace(self, reference=np.setdiff1d(self.reference, cells))

    def project(self, values: NDArray[np.floating]) -> Points:
        """Return cells (n, genes) as points (n, components)."""
        return self.pca.transform(values).astype(np.float64)

    def times(self, points: Points) -> Points:
        """Return the mean pseudotime of the k reference cells nearest to each point, (n,)."""
        return self.pseudotime[self._nearest(points, self.n_neighbors)].mean(axis=1)

    def nearest_labels(self, points: Points) -> NDArray[np.str_]:
        """Return the type of the reference cell nearest to each point, (n,)."""
        return self.labels[self._nearest(points, 1)[:, 0]]

    def reached(self, cells: NDArray[np.integer], points: Points) -> float:
        """Return the share of the real `cells` with a point within their radius.

        The neighbourhoods are those of Naeem et al. 2020 (arXiv:2002.09797, coverage), among the
        real cells of all types.
        """
        nearest = NearestNeighbors(n_neighbors=1).fit(points)
        distance = nearest.kneighbors(self.points[cells])[0][:, 0]
        return float((distance <= self.radius[cells]).mean())

    def mean(self, label: str) -> Points:
        """Return the mean point of a type, (components,)."""
        return self.points[self.labels == label].mean(axis=0)

    def _nearest(self, points: Points, n: int) -> NDArray[np.intp]:
        found = NearestNeighbors(n_neighbors=n).fit(self.points[self.reference])
        return self.reference[found.kneighbors(points)[1]]


def learn_trajectory(
    values: NDArray[np.float32],
    labels: NDArray[np.str_],
    root: str,
    *,
    n_components: int = 30,
    n_neighbors: int = 5,
) -> Trajectory:
    """Order real cells by diffusion pseudotime (Haghverdi et al. 2016) from a root cell.

    Parameters
    ----------
    values : ndarray of shape (cells, genes)
        log1p CP10k values of all real cells.
    labels : ndarray of str, shape (cells,)
        Their types.
    root : str
        Type of the root: its cell farthest from all other types on the first diffusion component.
    n_components : int, default=30
        Principal components.
    n_neighbors : int, default=5
        The k of pseudotimes of new cells, and of radii.

    Returns
    -------
    Trajectory
        The real cells in order.

    Raises
    ------
    ValueError
        If no cell, or every cell, is of type `root`.
    """
    import anndata as ad  # scanpy takes seconds to import, and other studies do not need it
    import scanpy as sc

    is_root = labels == root
    if not is_root.any() or is_root.all():
        raise ValueError(
            f"root={root!r} must be one of several types; types are {sorted(set(labels.tolist()))}."
        )
    n_components = min(n_components, min(values.shape) - 1)
    pca = PCA(n_components, svd_solver="randomized", random_state=0).fit(values)
    points = pca.transform(values).astype(np.float64)
    graph = ad.AnnData(obsm={"X_pca": points}, shape=(len(points), 0))
    sc.pp.neighbors(graph, n_neighbors=30, use_rep="X_pca", method="gauss", random_state=0)
    sc.tl.diffmap(graph, n_comps=15, random_state=0)
    first = graph.obsm["X_diffmap"][:, 1]
    outward = np.sign(first[is_root].mean() - first[~is_root].mean())
    candidates = np.flatnonzero(is_root)
    graph.uns["iroot"] = int(candidates[np.argmax(outward * first[candidates])])
    sc.tl.dpt(graph, n_dcs=10)
    neighbours = NearestNeighbors(n_neighbors=n_neighbors).fit(points)
    return Trajectory(
        pca=pca,
        points=points,
        labels=labels,
        pseudotime=graph.obs["dpt_pseudotime"].to_numpy(dtype=np.float64),
        radius=neighbours.kneighbors()[0][:, -1],
        n_neighbors=n_neighbors,
        reference=np.arange(len(points)),
    )
