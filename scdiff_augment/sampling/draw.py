"""From a plan to cells: on the CPU, or all of it on an accelerator.

On an accelerator the chain, the decoder and the counts stay there, and only counts that are not 0
come back to the host. Noise and seeds come from the host's generators, so the latents are those
of the CPU but for rounding; the counts around them are other draws.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from scdiff_augment.codec.count_codec import CountCodec
from scdiff_augment.codec.draw_counts import LARGE, TAIL
from scdiff_augment.compute.devices import device_of
from scdiff_augment.compute.stratified import BELOW_1, Groups, members, prime
from scdiff_augment.streaming.block_sizes import as_csr

from .plan import SamplingPlan
from .requests import Request

Cells = tuple[Any, NDArray[np.float64] | None]
"""Counts or values (cells, genes), and the scale factors of log1p values."""


class OnHost:
    """Draws cells on the CPU.

    Parameters
    ----------
    plan : SamplingPlan
    """

    def __init__(self, plan: SamplingPlan):
        self.plan = plan

    def dense(self, request: Request, noise: torch.Generator, rng: np.random.Generator) -> Cells:
        """Draw cells as an array."""
        z = self.plan.latents(request, noise).cpu().numpy()
        shift = self.plan.gene_shift(request)
        return self.plan.codec.decode(
            z,
            rng,
            self.plan.overdispersion,
            None if shift is None else shift.cpu(),
            request.groups(),
        )

    def stored(self, request: Request, noise: torch.Generator, rng: np.random.Generator) -> Cells:
        """Draw cells as they are stored: counts as CSR, real values as an array."""
        values, factor = self.dense(request, noise, rng)
        return (as_csr(values) if isinstance(self.plan.codec, CountCodec) else values), factor


class OnDevice(OnHost):
    """Draws cells on an accelerator."""

    def __init__(self, plan: SamplingPlan, device: torch.device):
        super().__init__(plan.on(device))
        self._device = device
        if isinstance(codec := plan.codec, CountCodec):
            self._decoder = copy.deepcopy(codec.decoder_).to(device)
            ratios = codec.ratios(plan.overdispersion)
            self._ratios = None if ratios is None else torch.from_numpy(ratios).to(device)
            numbers = (codec.size_mean_, codec.size_std_, *codec.size_range_)
            self._sizes = [torch.from_numpy(n).float().to(device) for n in numbers]

    def dense(self, request: Request, noise: torch.Generator, rng: np.random.Generator) -> Cells:
        """Draw cells as an array."""
        values, factor = self.stored(request, noise, rng)
        return (values.toarray() if sparse.issparse(values) else values), factor

    def stored(self, request: Request, noise: torch.Generator, rng: np.random.Generator) -> Cells:
        """Draw cells as they are stored: counts as CSR, real values as an array."""
        here = request.on(self._device)
        if not isinstance(self.plan.codec, CountCodec):
            return super().dense(here, noise, rng)
        z = self.plan.latents(here, noise)
        mean, std, low, high = self._sizes
        sizes = (z[:, -len(mean) :] * std + mean).clamp(low, high).exp()  # (B, 1 or 2)
        chance = torch.Generator(self._device).manual_seed(int(rng.integers(2**63)))
        with torch.no_grad():
            rates = self._decoder(z, self.plan.gene_shift(here)).exp_() * sizes[:, :1]
            counts = draw_counts_on(rates, self._ratios, chance, request.groups())
        return _to_host(counts), sizes[:, 1].cpu().double().numpy() if len(mean) == 2 else None


def drawer(plan: SamplingPlan) -> OnHost:
    """Choose where cells are drawn, as the plan says."""
    device = device_of(plan.device)
    return OnHost(plan) if device.type == "cpu" else OnDevice(plan, device)


def draw_counts_on(
    rates: Tensor, ratios: Tensor | None, chance: torch.Generator, groups: Groups = None
) -> Tensor:
    """Draw counts where the rates are, as `poisson_draws.draw_counts` does, (B, genes)."""
    if ratios is not None:
        n_genes, levels = ratios.shape
        drawn = uniforms_on(rates, groups, chance).mul_(levels).long()
        rates = rates * ratios[torch.arange(n_genes, device=rates.device), drawn]
    counts = torch.poisson(rates, generator=chance)
    probability = torch.exp(-rates)
    left, found = uniforms_on(rates, groups, chance) - probability, torch.zeros_like(rates)
    few, k = rates <= LARGE, 0
    while bool((above := few & (left >= 0) & (probability > TAIL)).any()):
        found += above
        k += 1
        probability = probability * rates / k
        left = left - probability
    return torch.where(few, found, counts)


def uniforms_on(like: Tensor, groups: Groups, chance: torch.Generator) -> Tensor:
    """Draw numbers of this shape, stratified as those of `strata.uniforms`, where `like` is."""
    numbers = torch.empty(like.shape, device=like.device)
    for rows in members(groups, len(like)):
        n, here = len(rows), torch.from_numpy(rows).to(like.device)
        p = prime(n) if n > 1 else 1
        start, a, b = (
            torch.randint(least, max(p, 2), like.shape[1:], generator=chance, device=like.device)
            for least in (0, 1, 0)
        )
        table = torch.randperm(p, generator=chance, device=like.device)
        places = (torch.arange(n, device=like.device)[:, None] + start) % p
        shift = torch.rand(like.shape[1:], generator=chance, device=like.device)
        numbers[here] = (((table[places] * a + b) % p + shift) / p).clamp_(max=BELOW_1)
    return numbers


def _to_host(counts: Tensor) -> sparse.csr_matrix:
    """Bring the counts that are not 0 to the host."""
    rows, columns = counts.nonzero(as_tuple=True)
    ends = torch.bincount(rows, minlength=len(counts)).cumsum(0)
    indptr = np.concatenate([[0], ends.cpu().numpy()]).astype(np.int32)
    values, places = counts[rows, columns].cpu().numpy(), columns.int().cpu().numpy()
    return sparse.csr_matrix((values, places, indptr), shape=tuple(counts.shape))
