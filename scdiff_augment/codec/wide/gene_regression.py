"""The decoder of the genes that are not in the core: a Poisson regression for each of them.

Given a cell's total over these genes, their counts are multinomial, and multinomial counts are
Poisson counts with that total as exposure. So once the decoder's hidden units are learnt from the
core, each gene is a regression by itself: log-linear in the hidden units, along the directions in
which the core genes differ most. Its maximum is found by Newton's method, for many genes at once.

Weights have a normal prior with a variance for each direction, learnt from all genes together
(empirical Bayes): along directions that tell the genes nothing, nothing is followed.

References
----------
Baker 1994, The multinomial-Poisson transformation, The Statistician 43(4), 495-504.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scdiff_augment.codec.networks import CountDecoder

DIRECTIONS = 12
"""Directions of the hidden units that genes may follow."""

FEWEST = 5
"""Counts of a gene below which it follows no direction: its share of the rest is constant."""

ROUNDS = 3
"""Of Newton's method."""

LONGEST = 2.0
"""How far a round may move the log of any cell's expected count."""

GENES = 512
"""Genes at a time: their expected counts stay in the processor's cache."""


def completed(
    decoder: CountDecoder,
    z: NDArray[np.float32],
    counts: NDArray[np.float32],
    core: NDArray[np.intp],
    others: NDArray[np.intp],
) -> CountDecoder:
    """Return a decoder of all genes, from one of core genes and the sum of all others.

    Parameters
    ----------
    decoder : CountDecoder
        Its last output is the sum of the other genes.
    z : ndarray of shape (cells, n_latent)
    counts : ndarray of shape (cells, genes)
    core, others : ndarray of int
        Columns of `counts`.
    """
    hidden = decoder.hidden(torch.from_numpy(z))  # (cells, units)
    exposure = torch.from_numpy(counts[:, others].sum(axis=1))
    of_core, of_rest = decoder.genes.weight[:-1], decoder.genes.weight[-1]
    shares = torch.softmax(decoder.genes.bias, dim=0)[:-1]
    axes = directions(hidden, of_core, shares, exposure)
    centre = (exposure / exposure.sum()) @ hidden
    weights, bias = regress(counts, others, exposure, (hidden - centre) @ axes)
    genes = torch.empty(counts.shape[1], hidden.shape[1])
    genes[core] = of_core
    genes[others] = of_rest + weights @ axes.T
    start = torch.empty(counts.shape[1])
    start[core] = decoder.genes.bias[:-1]
    start[others] = decoder.genes.bias[-1] + bias - weights @ (axes.T @ centre)
    whole = CountDecoder(z.shape[1], start, decoder.widths)
    whole.layers = decoder.layers
    whole.genes.weight.copy_(genes)
    return whole.eval()


def directions(hidden: Tensor, weights: Tensor, shares: Tensor, exposure: Tensor) -> Tensor:
    """Return directions of hidden units along which the core genes' logits vary most.

    Parameters
    ----------
    hidden : Tensor of shape (cells, units)
    weights : Tensor of shape (core genes, units)
    shares : Tensor of shape (core genes,)
        Of all counts; what a gene weighs.
    exposure : Tensor of shape (cells,)
        What a cell weighs.

    Returns
    -------
    Tensor of shape (units, directions)
        Coordinates along them have unit variance over the cells and are uncorrelated.
    """
    weight = (exposure / exposure.sum()).double()
    centred = hidden.double() - weight @ hidden.double()
    covariance = centred.T @ (centred * weight[:, None])
    values, vectors = torch.linalg.eigh(covariance)
    kept = values > 1e-8 * values[-1]
    root = vectors[:, kept] * values[kept].sqrt()  # (units, kept)
    logits = (weights.double() * shares.double().sqrt()[:, None]) @ root  # (core, kept)
    _, _, axes = torch.linalg.svd(logits, full_matrices=False)
    axes = axes[:DIRECTIONS]
    return ((vectors[:, kept] / values[kept].sqrt()) @ axes.T).float()


def regress(
    counts: NDArray[np.float32], columns: NDArray[np.intp], exposure: Tensor, features: Tensor
) -> tuple[Tensor, Tensor]:
    """Fit log(count / exposure) of some genes, linear in the features.

    Parameters
    ----------
    counts : ndarray of shape (cells, genes)
    columns : ndarray of shape (n,)
        The genes.
    exposure : Tensor of shape (cells,)
    features : Tensor of shape (cells, directions)
        Uncorrelated, of mean 0 and variance 1 where cells weigh as their exposure.

    Returns
    -------
    weights : Tensor of shape (n, directions)
    bias : Tensor of shape (n,)
    """
    seen = torch.from_numpy(counts[:, columns].sum(axis=0, dtype=np.float64)).float()
    whole = exposure.sum()
    bias = torch.log((seen + 0.5) / (whole + 0.5 * len(columns)))
    weights = torch.zeros(len(columns), features.shape[1])
    told = (seen >= FEWEST).nonzero()[:, 0]
    precision = prior_precision(counts, columns[told.numpy()], seen[told], features)
    for start in range(0, len(told), GENES):
        some = told[start : start + GENES]
        own = torch.from_numpy(np.ascontiguousarray(counts[:, columns[some.numpy()]]))
        weights[some], bias[some] = posterior_modes(own, exposure, features, bias[some], precision)
    return weights, bias


def prior_precision(
    counts: NDArray[np.float32], columns: NDArray[np.intp], seen: Tensor, features: Tensor
) -> Tensor:
    """Return one over the variance of the genes' weights along each direction, by moments.

    Where nothing depends on a direction, a gene of n counts has a gradient of variance n along it;
    weights of variance v add n² v.
    """
    gradient = torch.empty(len(columns), features.shape[1])
    for start in range(0, len(columns), GENES):
        some = slice(start, start + GENES)
        gradient[some] = torch.from_numpy(counts[:, columns[some]]).T @ features
    variance = (gradient**2 / seen[:, None] - 1).sum(dim=0) / seen.sum()
    return 1 / variance.clamp(min=1e-4)


def posterior_modes(
    counts: Tensor, exposure: Tensor, features: Tensor, bias: Tensor, precision: Tensor
) -> tuple[Tensor, Tensor]:
    """Return weights and bias of each gene at which its posterior is highest.

    Parameters
    ----------
    counts : Tensor of shape (cells, genes)
    exposure : Tensor of shape (cells,)
    features : Tensor of shape (cells, directions)
    bias : Tensor of shape (genes,)
        Where to start.
    precision : Tensor of shape (directions,)
        One over the prior's variance of the weights.
    """
    x = torch.cat([torch.ones(len(features), 1), features], dim=1)  # (cells, 1 + directions)
    n = x.shape[1]
    upper = torch.triu_indices(n, n)
    squares = x[:, upper[0]] * x[:, upper[1]]  # (cells, pairs)
    ridge = torch.cat([torch.zeros(1), precision])
    beta = torch.cat([bias[:, None], torch.zeros(len(bias), n - 1)], dim=1)  # (genes, n)
    log_exposure = exposure.clamp(min=1e-6).log()[:, None]
    target = counts.T @ x
    hessian = torch.empty(len(bias), n, n)
    for _ in range(ROUNDS):
        mean = torch.addmm(log_exposure, x, beta.T).exp_()  # (cells, genes)
        gradient = target - mean.T @ x - ridge * beta
        pairs = mean.T @ squares
        hessian[:, upper[0], upper[1]] = pairs
        hessian[:, upper[1], upper[0]] = pairs
        hessian.diagonal(dim1=1, dim2=2).add_(ridge + 1e-4)
        step = torch.cholesky_solve(gradient[:, :, None], torch.linalg.cholesky(hessian))[:, :, 0]
        reach = (x @ step.T).abs_().amax(dim=0)  # (genes,)
        beta += step * (LONGEST / reach.clamp(min=LONGEST))[:, None]
    return beta[:, 1:], beta[:, 0]
