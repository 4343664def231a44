"""How well a path of cells passes through the types between its ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scdiff_bench.data.datasets import Dataset
from scdiff_bench.generator_studies.interpolation.trajectory import Points, Trajectory
from scipy.stats import spearmanr

from scdiff_augment import LatentDiffusion

GRADIENT = "gradients, drawn noise"
GRADIENT_INVERTED = "gradients, inverted noise"
GRADIENTS = {"drawn": GRADIENT, "inverted": GRADIENT_INVERTED}
LATENT_LINE = "straight line in the latent"
LATENT_LINE_RANDOM = "straight line in the latent, random partners"
GENE_LINE = "straight line in gene space"
OTHER_HALF = "left-out cells, other half"
OTHER_HALF_CODEC = "left-out cells, other half, encoded and decoded"
ENDS = "real cells of both ends"


def draw(rng: np.random.Generator, cells: NDArray[np.intp], n: int) -> NDArray[np.intp]:
    """Return `n` of the cells, or all in random order where there are fewer."""
    return rng.permutation(cells)[:n]


class PathScorer:
    """Scores paths in the space of the real cells.

    Parameters
    ----------
    unit : dict
        The unit.
    space : Trajectory
        Real cells of all types; without those that paths are made from in the reference.
    weights : ndarray of shape (n_weights,)
        Weights of the target.
    starts : ndarray of int
        Cells that paths start from.
    halves : pair of ndarray of int
        Left-out cells: those to be reached, and those that stand in for a perfect generator.
    seed : int
        Draws the cells that are compared.
    """

    def __init__(
        self,
        unit: dict[str, Any],
        space: Trajectory,
        weights: Points,
        starts: NDArray[np.intp],
        halves: Sequence[NDArray[np.intp]],
        seed: int,
    ) -> None:
        self.unit, self.space, self.weights, self.starts = unit, space, weights, starts
        self.wanted, self.others = halves
        low, high = unit["middle"]
        self.middle = (weights > low - 1e-9) & (weights < high + 1e-9)
        self.n_compared = min(len(self.others), int(self.middle.sum()) * len(starts))
        self.seed = seed
        self.shared = {k: unit[k] for k in ("role", "source", "target", "model_name")} | {
            "left_out": ", ".join(unit["left_out"])
        }

    def path(
        self, method: str, points: list[Points], settings: dict[str, float]
    ) -> list[dict[str, Any]]:
        """Return a row for the path and, in the test, one for each weight."""
        unit, space = self.unit, self.space
        base = {**self.shared, "method": method, **settings}
        times = np.stack([space.times(p) for p in points])  # (weights, cells)
        nearest = np.stack([space.nearest_labels(p) for p in points])
        means = times.mean(axis=1)
        ends = [space.pseudotime[space.labels == unit[k]].mean() for k in ("source", "target")]
        left_out = np.isin(nearest, unit["left_out"])
        middle = np.concatenate([p for p, m in zip(points, self.middle, strict=True) if m])
        ordered = np.repeat(self.weights, times.shape[1])
        whole = {
            **base,
            "what": "path",
            "spearman_means": spearmanr(self.weights, means).statistic,
            "spearman_cells": spearmanr(ordered, times.ravel()).statistic,
            "pseudotime_start": means[0],
            "pseudotime_end": means[-1],
            "way_start": (means[0] - ends[0]) / (ends[1] - ends[0]),
            "way_end": (means[-1] - ends[0]) / (ends[1] - ends[0]),
            "largest_step": np.diff(means).max() / (ends[1] - ends[0]),
            "arrived": (nearest[-1] == unit["target"]).mean(),
            "left_out_middle": left_out[self.middle].mean(),
            "left_out_best": left_out.mean(axis=1).max(),
            "reached_middle": self._reached(middle),
            "reached_path": space.reached(self.wanted, np.concatenate(points)),
            "closest": self._closest(points),
            "memory": spearmanr(space.pseudotime[self.starts], times[0]).statistic,
        }
        if unit["role"] != "test":
            return [whole]
        return [whole, *self._steps(base, times, nearest)]

    def controls(
        self, model: LatentDiffusion, data: Dataset, rng: np.random.Generator
    ) -> list[dict[str, Any]]:
        """Return rows of real cells scored like generated ones."""
        space, unit = self.space, self.unit
        ends = np.flatnonzero(np.isin(data.y, [unit["source"], unit["target"]]))
        n_path = len(self.weights) * len(self.starts)
        others = draw(rng, self.others, self.n_compared)
        decoded = space.project(model.decode(model.encode(data.X[others])))
        found: list[dict[str, Any]] = []
        for method, points in ((OTHER_HALF, space.points[others]), (OTHER_HALF_CODEC, decoded)):
            labels = space.without(others).nearest_labels(points)
            share = np.isin(labels, unit["left_out"]).mean()
            found.append({"method": method, "left_out_middle": share})
            found[-1]["reached_middle"] = self._reached(points)
        found.append({"method": ENDS, "reached_middle": self._reached(space.points[ends])})
        found[-1]["reached_path"] = space.reached(
            self.wanted, space.points[draw(rng, ends, n_path)]
        )
        for kind in ("source", "target"):
            mean = space.pseudotime[data.y == unit[kind]].mean()
            found.append({"method": f"real {kind}", "pseudotime": mean})
        mean = space.pseudotime[np.isin(data.y, unit["left_out"])].mean()
        found.append({"method": "real left-out", "pseudotime": mean})
        return [{**self.shared, "what": "control", **row} for row in found]

    def _steps(
        self, base: dict[str, Any], times: Points, nearest: NDArray[np.str_]
    ) -> list[dict[str, Any]]:
        """Return a row for each weight."""
        unit, rows = self.unit, []
        for i, weight in enumerate(self.weights):
            low, high = np.quantile(times[i], [0.1, 0.9])
            shares = {
                "nearest_source": (nearest[i] == unit["source"]).mean(),
                "nearest_left_out": np.isin(nearest[i], unit["left_out"]).mean(),
                "nearest_target": (nearest[i] == unit["target"]).mean(),
            }
            row = {**base, "what": "weight", "weight": weight, "pseudotime": times[i].mean()}
            row |= {"pseudotime_low": low, "pseudotime_high": high, **shares}
            rows.append(row | {"nearest_other": max(0.0, 1 - sum(shares.values()))})
        return rows

    def _reached(self, points: Points) -> float:
        """Return the share of wanted cells reached by as many points for every method."""
        rng = np.random.default_rng(self.seed)
        return self.space.reached(
            self.wanted, points[draw(rng, np.arange(len(points)), self.n_compared)]
        )

    def _closest(self, points: list[Points]) -> float:
        """Return how near the path's mean comes to that of the left-out cells, over its length."""
        space, unit = self.space, self.unit
        aim = space.points[np.isin(space.labels, unit["left_out"])].mean(axis=0)
        length = np.linalg.norm(space.mean(unit["target"]) - space.mean(unit["source"]))
        return float(min(np.linalg.norm(p.mean(axis=0) - aim) for p in points) / length)
