"""From a drawing to cells: on the CPU, or all of it on an accelerator.

On an accelerator the chain, the decoder and the counts stay there, and only counts that are not 0
come back to the host. Noise and seeds come from the host's generators, so the latents are those
of the CPU but for rounding; the counts around them are other draws.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from scdiff_augment.codec.class_profiles import shift_of
from scdiff_augment.codec.count_draws import LARGE, TAIL
from scdiff_augment.codec.counts import CountCodec
from scdiff_augment.compute.devices import device_of
from scdiff_augment.compute.stratified import BELOW_1, Groups, members, prime
from scdiff_augment.streaming.block_sizes import as_csr

from .plan import Drawing

if TYPE_CHECKING:
    from scdiff_augment.generator import LatentDiffusion

Cells = tuple[Any, NDArray[np.float64] | None]
"""Counts or values (cells, genes), and the scale factors of log1p values."""


class OnHost:
    """Draws cells on the CPU."""

    def __init__(self, model: LatentDiffusion, drawing: Drawing):
        self._drawing, self._codec = drawing, model.codec_
        self._denoiser, self._n_latent = model.denoiser_, len(model.denoiser_.scale)
        self._overdispersion = model.overdispersion
        # A gradient of weight below 1 leads part of the way to a class; its genes follow.
        self._tables = {
            name: model.gene_shifts_[name] * min(drawing.scales[name], 1.0)
            for name in drawing.wanted.classes
            if name in model.gene_shifts_
        }

    def dense(self, block: slice, noise: torch.Generator, rng: np.random.Generator) -> Cells:
        """Draw cells as an array."""
        z = self._latents(block, noise).cpu().numpy()
        shift = self._shift(block)
        return self._codec.decode(
            z,
            rng,
            self._overdispersion,
            None if shift is None else shift.cpu(),
            self._drawing.groups(block),
        )

    def stored(self, block: slice, noise: torch.Generator, rng: np.random.Generator) -> Cells:
        """Draw cells as they are stored: counts as CSR, real values as an array."""
        values, factor = self.dense(block, noise, rng)
        return (as_csr(values) if isinstance(self._codec, CountCodec) else values), factor

    def _shift(self, block: slice) -> Tensor | None:
        return shift_of(self._tables, self._drawing.classes(block))

    def _latents(self, block: slice, noise: torch.Generator) -> Tensor:
        return self._drawing.latents(self._denoiser, block, self._n_latent, noise)


class OnDevice(OnHost):
    """Draws cells on an accelerator."""

    def __init__(self, model: LatentDiffusion, drawing: Drawing, device: torch.device):
        super().__init__(model, drawing.on(device))
        self._denoiser = copy.deepcopy(model.denoiser_).to(device)
        self._device = device
        self._tables = {name: table.to(device) for name, table in self._tables.items()}
        if isinstance(codec := model.codec_, CountCodec):
            self._decoder = copy.deepcopy(codec.decoder_).to(device)
            ratios = codec.ratios(model.overdispersion)
            self._ratios = None if ratios is None else torch.from_numpy(ratios).to(device)
            numbers = (codec.size_mean_, codec.size_std_, *codec.size_range_)
            self._sizes = [torch.from_numpy(n).float().to(device) for n in numbers]

    def dense(self, block: slice, noise: torch.Generator, rng: np.random.Generator) -> Cells:
        """Draw cells as an array."""
        values, factor = self.stored(block, noise, rng)
        return (values.toarray() if sparse.issparse(values) else values), factor

    def stored(self, block: slice, noise: torch.Generator, rng: np.random.Generator) -> Cells:
        """Draw cells as they are stored: counts as CSR, real values as an array."""
        if not isinstance(self._codec, CountCodec):
            return super().dense(block, noise, rng)
        z = self._latents(block, noise)
        mean, std, low, high = self._sizes
        sizes = (z[:, -len(mean) :] * std + mean).clamp(low, high).exp()  # (B, 1 or 2)
        chance = torch.Generator(self._device).manual_seed(int(rng.integers(2**63)))
        with torch.no_grad():
            rates = self._decoder(z, self._shift(block)).exp_() * sizes[:, :1]
            counts = draw_counts_on(rates, self._ratios, chance, self._drawing.groups(block))
        return _to_host(counts), sizes[:, 1].cpu().double().numpy() if len(mean) == 2 else None


def drawer(model: LatentDiffusion, drawing: Drawing) -> OnHost:
    """Choose where cells are drawn, as the model's parameter `device` says."""
    device = device_of(model.device)
    return OnHost(model, drawing) if device.type == "cpu" else OnDevice(model, drawing, device)


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
