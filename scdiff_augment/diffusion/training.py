"""Denoiser and classifiers, trained on latents.

References
----------
Karras et al. 2022, Elucidating the design space of diffusion-based generative models,
arXiv:2206.00364 [edm].
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from scdiff_augment.compute.processes import share
from scdiff_augment.compute.training_loop import training_steps

from .classifier import LatentClassifier
from .denoiser import Denoiser, NoiseMLP
from .mixture import class_mixture
from .samplers import Model
from .schedule import timestep_weights

BATCH = 256
"""Cells per training step."""

NoisyBatch = Callable[[], tuple[Tensor, Tensor, Tensor]]


def denoising_loss(model: Model, z: Tensor, sigma: Tensor, noise: Tensor, scale: Tensor) -> Tensor:
    """Weighted squared error of the denoised latent ([edm] eq. 2 and table 1), per cell.

    `scale` (D,) is a standard deviation for each latent dimension; the weight makes dimensions and
    noise levels count alike for a model whose error is that of a Gaussian of this width.
    """
    sigma_, scale_ = sigma[:, None], scale[None, :]  # (B, 1), (1, D)
    weight = (sigma_**2 + scale_**2) / (sigma_ * scale_) ** 2
    error = model(z + sigma_ * noise, sigma) - z  # (B, D)
    return (weight * error**2).mean(dim=1)  # (B,)


def denoiser_for(
    z: Tensor, codes: Tensor, weight: Tensor, width: int, n_blocks: int, generator: torch.Generator
) -> Denoiser:
    """Build a denoiser that starts as the closed form of one Gaussian per group of cells.

    Parameters
    ----------
    z : Tensor of shape (n_cells, n_latent)
    codes : Tensor of shape (n_cells,)
        Groups of cells: types or clusters.
    weight : Tensor of shape (n_cells,)
        How often each cell is drawn in training; sums to 1.
    width, n_blocks : int
        Hidden units and residual blocks of the network that corrects the closed form.
    generator : torch.Generator
        Source of the network's start.
    """
    mixture = class_mixture(z, codes, int(codes.max()) + 1, weight)
    scale = (z - mixture.means[codes]).std(dim=0).clamp(min=1e-3)
    n_latent = z.shape[1]
    return Denoiser(mixture, scale, NoiseMLP(n_latent, n_latent, width, n_blocks, generator))


def train_denoiser(
    denoiser: Denoiser,
    z: Tensor,
    weight: Tensor,
    ladder: Tensor,
    n_steps: int,
    generator: torch.Generator,
) -> Iterator[float]:
    """Minimise the denoising loss over the ladder; yields each step's loss."""
    batch = _noisy_batches(z, weight, ladder, generator)

    def loss(model: torch.nn.Module) -> Tensor:
        rows, sigma, noise = batch()
        clean, level, drawn = share(z[rows], sigma, noise)
        return denoising_loss(model, clean, level, drawn, denoiser.scale).mean()

    yield from training_steps(
        denoiser,
        loss,
        n_steps=n_steps,
        learning_rate=4e-3,
        weight_decay=1e-2,
        ema_decay=0.995,
    )
    denoiser.eval()


def classifier_for(
    z: Tensor,
    codes: Tensor,
    n_classes: int,
    weight: Tensor,
    width: int | None,
    generator: torch.Generator,
) -> LatentClassifier:
    """Build the closed form of Gaussian classes; a network of this width may correct it."""
    network = None if width is None else NoiseMLP(z.shape[1], n_classes, width, 2, generator)
    return LatentClassifier(class_mixture(z, codes, n_classes, weight), network).eval()


def train_classifier(
    classifier: LatentClassifier,
    z: Tensor,
    codes: Tensor,
    weight: Tensor,
    ladder: Tensor,
    n_steps: int,
    generator: torch.Generator,
) -> Iterator[float]:
    """Minimise the cross-entropy on noisy latents; yields each step's loss."""
    batch = _noisy_batches(z, weight, ladder, generator)

    def loss(model: torch.nn.Module) -> Tensor:
        rows, sigma, noise = batch()
        noisy, level, target = share(z[rows] + sigma[:, None] * noise, sigma, codes[rows])
        return torch.nn.functional.nll_loss(model(noisy, level), target)

    yield from training_steps(
        classifier, loss, n_steps=n_steps, learning_rate=1e-3, weight_decay=1e-2
    )
    classifier.eval()


def _noisy_batches(
    z: Tensor, weight: Tensor, ladder: Tensor, generator: torch.Generator
) -> NoisyBatch:
    """Cells by weight, noise levels of the ladder, and noise."""
    levels = timestep_weights(ladder)

    def batch() -> tuple[Tensor, Tensor, Tensor]:
        rows = torch.multinomial(weight, BATCH, True, generator=generator)
        sigma = ladder[torch.multinomial(levels, BATCH, True, generator=generator)]
        return rows, sigma, torch.randn(BATCH, z.shape[1], generator=generator)

    return batch
