"""Ordinary kriging: an effect known at some places, predicted at another.

An effect is a shared mean plus a Gaussian field over the places, so near places have like effects
and far ones fall back on what all share. The mean needs no prior; length and size of the field
come from restricted likelihood.

References
----------
Cressie 1993, Statistics for Spatial Data, section 3.2 (ordinary kriging) and 2.6 (REML).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LENGTHS, SIZES = 25, 25
"""Points of the grid that restricted likelihood is searched on."""


class Field(NamedTuple):
    """A Gaussian field: covariance ``variance * exp(-distance² / (2 length²))``."""

    length: float
    variance: float

    def covariance(self, squared: Array) -> Array:
        """Covariance of places at these squared distances."""
        return self.variance * np.exp(-squared / (2 * self.length**2))


def squared_distances(places: Array) -> Array:
    """Squared Euclidean distances between rows, (n, n)."""
    return ((places[:, None] - places[None]) ** 2).sum(axis=2)


def fit_field(places: Array, effects: Array, noise: Array) -> Field | None:
    """Length and variance of most restricted likelihood, dimensions of the effects as replicates.

    Parameters
    ----------
    places : ndarray of shape (n, n_coordinates)
    effects : ndarray of shape (n, n_dimensions)
    noise : ndarray of shape (n,)
        Variance of the error of each effect, per dimension.

    Returns
    -------
    Field or None
        None where nothing can be learnt: fewer than 3 places, or places or effects all the same.
    """
    squared = squared_distances(places)
    apart = np.sqrt(squared[squared > 0])
    spread = float(effects.var(axis=0, ddof=1).mean()) if len(places) > 1 else 0.0
    if len(places) < 3 or apart.size == 0 or spread == 0:
        return None
    fields = [
        Field(float(length), float(variance))
        for length in np.geomspace(apart.min() / 4, 4 * apart.max(), LENGTHS)
        for variance in spread * np.geomspace(0.1, 30, SIZES)
    ]
    return max(fields, key=lambda f: restricted_likelihood(f, squared, effects, noise))


def restricted_likelihood(field: Field, squared: Array, effects: Array, noise: Array) -> float:
    """Log likelihood of the effects' contrasts, without constants."""
    inverse = np.linalg.inv(field.covariance(squared) + np.diag(noise))
    total, sums = inverse.sum(), inverse.sum(axis=1)
    contrasts = inverse - np.outer(sums, sums) / total
    error = np.einsum("id,ij,jd->", effects, contrasts, effects)
    log_volume = -np.linalg.slogdet(inverse)[1] + np.log(total)
    return float(-0.5 * (effects.shape[1] * log_volume + error))


def kriging_weights(field: Field | None, places: Array, place: Array, noise: Array) -> Array:
    """Weights of the known effects in the best linear unbiased prediction at `place`.

    Parameters
    ----------
    field : Field or None
        From `fit_field`; None weighs all alike.
    places : ndarray of shape (n, n_coordinates)
    place : ndarray of shape (n_coordinates,)
    noise : ndarray of shape (n,)
        As in `fit_field`.

    Returns
    -------
    ndarray of shape (n,)
        They sum to 1; some may be slightly negative.
    """
    n = len(places)
    if field is None:
        return np.full(n, 1 / n)
    covariance = field.covariance(squared_distances(np.vstack([places, place])))
    system = np.ones((n + 1, n + 1))
    system[:n, :n] = covariance[:n, :n] + np.diag(noise)
    system[n, n] = 0
    return np.linalg.solve(system, np.append(covariance[:n, n], 1.0))[:n]


def kriging_variance(
    field: Field, places: Array, place: Array, noise: Array, weights: Array
) -> float:
    """Mean squared error of the prediction at `place` by these weights, per dimension.

    Parameters
    ----------
    field, places, place, noise
        As in `kriging_weights`.
    weights : ndarray of shape (n,)
        Those that it gave.
    """
    covariance = field.covariance(squared_distances(np.vstack([places, place])))
    contrast = np.append(weights, -1.0)
    return float(contrast @ covariance @ contrast + weights**2 @ noise)
