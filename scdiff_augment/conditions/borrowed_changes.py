"""What one class of a condition changes in each group: few own cells and what others show.

Cells of a group are known from other classes (a cell type from other batches), and the group has
few cells or none in the class that is wanted (my batch). How its mean moves on the way there is
estimated twice: by what the same way changes in the groups that were seen at both ends, by kriging
over their means, and by the group's own cells. Both have an error that is known, and the posterior
mean weighs them by their precision (empirical Bayes). What the latent does not hold of it is had
from the own cells' genes, likewise shrunken.

References
----------
Efron and Morris 1975, Data analysis using Stein's estimator and its generalizations, Journal of
the American Statistical Association 70(350), 311-319.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scdiff_augment.codec.class_gene_effects import LabelledCells

from .combinations import Array, Combinations
from .kriging import fit_field, kriging_variance, kriging_weights

SHOWN = 5
"""Largest number of classes, or groups, that a note lists."""


class Change(NamedTuple):
    """How the mean of one group moves into the wanted class, and where that is known from.

    Attributes
    ----------
    group : int
    into : int
        The wanted class.
    n_own : int
        Cells of the group in it.
    origin : dict of int to float
        Other classes that the group was seen in, and their shares of its cells there.
    shares : dict of int to float
        Other groups that show the change, and the weight of each.
    own : float
        Weight of the group's own cells beside those.
    target : ndarray of shape (n_latent,) or None
        Mean of the group in the wanted class; None where nothing shows it.
    mean : ndarray of shape (n_latent,)
        That of its own cells there; 0 without any.
    """

    group: int
    into: int
    n_own: int
    origin: dict[int, float]
    shares: dict[int, float]
    own: float
    target: Array | None
    mean: Array

    def describe(self, name: str, outer: str, groups: NDArray, classes: NDArray) -> str:
        """Return in words where the change comes from."""
        cells = "1 cell" if self.n_own == 1 else f"{self.n_own} cells"
        seen = f"has {cells} with" if self.n_own else "was never seen with"
        own = f"{self.own:.2f} its own cells, " if self.n_own else ""
        return (
            f"{outer} {groups[self.group]!s} {seen} {name} {classes[self.into]!s}: drawn as in "
            f"{_largest(self.origin, classes)}, moved by the change from there in "
            f"{own}{_largest(self.shares, groups)}".removesuffix(", ")
        )


def _largest(shares: dict[int, float], names: NDArray) -> str:
    """List the largest shares in words."""
    ordered = sorted(shares.items(), key=lambda item: -item[1])
    more = f" and {len(ordered) - SHOWN} more" if len(ordered) > SHOWN else ""
    return ", ".join(f"{w:.2f} {names[k]}" for k, w in ordered[:SHOWN]) + more


def changes_into(seen: Combinations, into: int) -> list[Change]:
    """Estimate the mean of each group in one class of a condition.

    The group's mean elsewhere is that over all its cells of other classes. Another group's change
    is taken from the same mixture of classes, as far as it was seen in them, so that groups which
    come from different batches can be compared.

    Parameters
    ----------
    seen : Combinations
    into : int
        Code of the class that is wanted.
    """
    return [_change(seen, group, into) for group in range(len(seen.sizes))]


def _change(seen: Combinations, group: int, into: int) -> Change:
    elsewhere = seen.sizes[group].astype(np.float64)
    elsewhere[into] = 0
    n_own, own = int(seen.sizes[group, into]), seen.means[group, into]
    if not elsewhere.any():
        return Change(group, into, n_own, {}, {}, 1.0, own if n_own else None, own)
    mixture = elsewhere / elsewhere.sum()
    origin = {int(c): float(mixture[c]) for c in np.flatnonzero(mixture)}
    start, noise = _mean_in(seen, group, mixture)
    others = [
        g
        for g in range(len(seen.sizes))
        if g != group and seen.sizes[g, into] and (mixture * seen.sizes[g]).any()
    ]
    if not others:
        return Change(group, into, n_own, origin, {}, 1.0, own if n_own else None, own)
    noise_own = seen.variance / max(n_own, 1) + noise
    starts, noises = zip(*(_mean_in(seen, g, mixture) for g in others), strict=True)
    changes = seen.means[others, into] - np.stack(starts)
    noises = seen.variance / seen.sizes[others, into] + np.array(noises)
    weights, error = _prediction(np.stack(starts), start, changes, noises)
    kept = error / (error + noise_own) if n_own else 0.0
    target = start + (1 - kept) * weights @ changes
    if n_own:
        target += kept * (own - start)
    shares = {g: float(w * (1 - kept)) for g, w in zip(others, weights, strict=True)}
    return Change(group, into, n_own, origin, shares, float(kept), target, own)


def _prediction(places: Array, place: Array, changes: Array, noise: Array) -> tuple[Array, float]:
    """Weights of other groups' changes in that of the group at `place`, and its error variance."""
    field = fit_field(places, changes, noise)
    if field is not None:
        weights = kriging_weights(field, places, place, noise)
        return weights, kriging_variance(field, places, place, noise, weights)
    between = variance_between(changes, noise)
    precision = 1 / (between + noise)
    return precision / precision.sum(), 1 / precision.sum() + between


def _mean_in(seen: Combinations, group: int, mixture: Array) -> tuple[Array, float]:
    """Mean of a group in a mixture of classes, as far as it was seen in them; its variance."""
    there = seen.sizes[group] > 0
    weights = np.where(there, mixture, 0)
    weights /= weights.sum()
    used = weights > 0
    noise = seen.variance * (weights[used] ** 2 / seen.sizes[group, used]).sum()
    return weights @ seen.means[group], float(noise)


def variance_between(changes: Array, noise: Array) -> float:
    """Variance between the changes of groups beyond noise, per dimension.

    By the method of moments. A single change says nothing of it; it is then taken to vary as much
    as it is large.

    Parameters
    ----------
    changes : ndarray of shape (n_groups, n_latent)
    noise : ndarray of shape (n_groups,)
        Variance of the error of each change, per dimension.
    """
    if len(changes) == 1:
        spread = float((changes**2).mean())
    else:
        spread = float(changes.var(axis=0, ddof=1).mean())
    return max(spread - float(noise.mean()), 1e-12)


def cells_moved(
    pieces: Iterable[LabelledCells],
    n_classes: int,
    changes: Sequence[Change],
    names: tuple[str, str],
) -> Iterator[LabelledCells]:
    """Yield the own cells of each group with latents around the mean that new cells have.

    What their counts have beyond those latents is what new cells lack.

    Parameters
    ----------
    pieces : iterable of LabelledCells
        With codes ``group * n_classes + class``.
    n_classes : int
    changes : sequence of Change
        For each group, all into one class.
    names : (str, str)
        Of the condition whose classes are the groups, and of the other one.
    """
    into = changes[0].into
    offset = np.stack(
        [
            np.zeros_like(c.mean) if c.target is None or not c.n_own else c.target - c.mean
            for c in changes
        ]
    ).astype(np.float32)
    for piece in pieces:
        group, label = np.divmod(piece.codes, n_classes)
        own = label == into
        if own.any():
            codes = dict(zip(names, (group[own], label[own]), strict=True))
            others = {name: known[own] for name, known in piece.others.items()} | codes
            z = piece.z[own] + offset[group[own]]
            yield LabelledCells(piece.values[own], z, group[own], others)
