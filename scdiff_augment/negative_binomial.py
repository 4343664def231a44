"""Draws from negative binomials: most are zero, and found to be so by one comparison.

A count of expected value r and overdispersion phi has variance r + phi r²; phi of 0 is Poisson.
Its probabilities follow from one another, p(0) = (1 + phi r)^(-1/phi) and
p(k+1) / p(k) = (1 + k phi) / (k + 1) · r / (1 + phi r), so a uniform number is led upwards until
their sum passes it. Three of four entries of a single-cell matrix end at p(0).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

ROWS = 512
"""Cells at a time: their numbers stay in the processor's cache."""

LARGE = 5.0
"""Expected counts from which on a gamma and a Poisson draw are cheaper than many steps."""

WIDE = 50.0
"""Overdispersion times expected counts from which on the steps would be many, too."""

ALMOST_POISSON = 1e-9
"""Overdispersion below which single precision knows no difference."""

TAIL = 1e-15
"""Probability of counts so large that none is told from the next."""


def draw_counts(
    rates: NDArray[np.float32], dispersion: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draw counts of these expected values, (cells, genes).

    Parameters
    ----------
    rates : ndarray of shape (cells, genes)
        Expected counts.
    dispersion : ndarray of shape (genes,)
        Overdispersion phi of each gene.
    rng : numpy.random.Generator
        Source of all randomness.
    """
    counts = np.zeros(rates.shape, dtype=np.float32)
    dispersion = np.where(dispersion < ALMOST_POISSON, 0, dispersion).astype(np.float32)
    for start in range(0, len(rates), ROWS):
        rows = slice(start, start + ROWS)
        _draw(np.ascontiguousarray(rates[rows]), dispersion, rng, counts[rows].reshape(-1))
    return counts


def _draw(
    rates: NDArray[np.float32],
    dispersion: NDArray[np.float32],
    rng: np.random.Generator,
    counts: NDArray[np.float32],
) -> None:
    """Write the counts of some cells, cell by cell, where they are not 0."""
    uniform = rng.random(rates.shape, dtype=np.float32)
    jump = (rates > LARGE) | (rates * dispersion > WIDE)
    candidates = np.flatnonzero((uniform >= _zero_probability(rates, dispersion)) | jump)
    r = rates.reshape(-1)[candidates].astype(np.float64)
    phi = dispersion[candidates % rates.shape[1]].astype(np.float64)
    u = uniform.reshape(-1)[candidates] + rng.random(len(r)) * 2**-24  # single precision, refined
    large = jump.reshape(-1)[candidates]
    few, many = np.flatnonzero(~large), np.flatnonzero(large)
    counts[candidates[few]] = _climb(u[few], r[few], phi[few])
    counts[candidates[many]] = rng.poisson(_noisy(r[many], phi[many], rng))


def _zero_probability(
    rates: NDArray[np.float32], dispersion: NDArray[np.float32]
) -> NDArray[np.float32]:
    """p(0) of each entry, (cells, genes)."""
    r, phi = torch.from_numpy(rates), torch.from_numpy(dispersion)
    noisy = phi > 0
    size = torch.where(noisy, 1 / torch.where(noisy, phi, 1), 0)
    log_zero = torch.log1p(r * phi).mul_(-size)
    if not bool(noisy.all()):
        log_zero[:, ~noisy] = -r[:, ~noisy]
    return log_zero.exp_().numpy()


def _climb(u: NDArray, r: NDArray, phi: NDArray) -> NDArray[np.float32]:
    """Return the least count from 1 on whose cumulative probability passes `u`, (entries,)."""
    found = np.ones(len(u), dtype=np.float32)
    size = np.divide(1.0, phi, out=np.zeros_like(phi), where=phi > 0)
    probability = np.exp(np.where(phi > 0, -size * np.log1p(phi * r), -r))
    odds = r / (1 + phi * r)
    left = u - probability - probability * odds
    probability *= odds
    rows, k = np.arange(len(u)), 1
    while len(above := np.flatnonzero((left > TAIL) & (probability > 0))):
        rows, left, probability = rows[above], left[above], probability[above]
        odds, phi = odds[above], phi[above]
        probability *= (1 + k * phi) * odds / (k + 1)
        left -= probability
        k += 1
        found[rows] = k
    return found


def _noisy(r: NDArray, phi: NDArray, rng: np.random.Generator) -> NDArray[np.float64]:
    """Multiply expected counts by gamma noise of mean 1 and variance phi."""
    noisy = phi > 0
    r[noisy] *= rng.standard_gamma(1 / phi[noisy]) * phi[noisy]
    return r
