"""A Gaussian mixture under Gaussian noise: everything about it is known in closed form.

If clean latents follow a mixture of N(mean_k, covariance_k), noisy ones at level sigma follow the
mixture of N(mean_k, covariance_k + sigma² I). Class probabilities, scores and the best possible
denoiser follow. The denoiser and the condition classifiers start from these and learn the rest.
"""

from __future__ import annotations

import torch
from sklearn.cluster import KMeans
from torch import Tensor, nn

CLUSTERED = 50_000
"""Cells that k-means looks at."""

ROWS = 256
"""Cells at a time: what pulls them to each component stays in the processor's cache."""


class NoisyMixture(nn.Module):
    """Gaussian mixture whose densities are asked for at any noise level.

    Parameters
    ----------
    means : Tensor of shape (n_components, n_latent)
    covariances : Tensor of shape (n_components, n_latent, n_latent)
    weights : Tensor of shape (n_components,)
        Mixing proportions; they sum to 1.
    """

    means: Tensor
    variances: Tensor
    axes: Tensor
    log_weights: Tensor

    def __init__(self, means: Tensor, covariances: Tensor, weights: Tensor):
        super().__init__()
        variances, axes = torch.linalg.eigh(covariances)
        self.register_buffer("means", means)  # (K, D)
        self.register_buffer("variances", variances.clamp(min=1e-6))  # (K, D)
        self.register_buffer("axes", axes)  # (K, D, D), columns are eigenvectors
        self.register_buffer("log_weights", weights.log())  # (K,)

    @classmethod
    def blank(cls, n_components: int, n_latent: int) -> NoisyMixture:
        """Build a mixture of this shape, to be filled by ``load_state_dict``."""
        eye = torch.eye(n_latent).expand(n_components, -1, -1)
        return cls(torch.zeros(n_components, n_latent), eye, torch.ones(n_components))

    def log_joint(self, z: Tensor, sigma: Tensor) -> Tensor:
        """Log of [weight_k N(z; mean_k, covariance_k + sigma² I)] without 2 pi, (B, K)."""
        projected, precision = self._project(z, sigma)
        return self._log_joint(projected, precision)

    def denoise(self, z: Tensor, sigma: Tensor) -> Tensor:
        """E[clean | z, sigma]: the minimiser of the denoising loss for this mixture, (B, D)."""
        if len(sigma) == 1:
            return self.denoise_mixed(z, sigma, z.new_ones(len(z), 1))
        projected, precision = self._project(z, sigma)
        share = torch.softmax(self._log_joint(projected, precision), dim=1)  # (B, K)
        kept = precision.mul_(self.variances[:, None])
        shrunk = projected.mul_(kept).mul_(share.T[:, :, None])
        return torch.addbmm(share @ self.means, shrunk, self.axes.transpose(1, 2))

    def denoise_mixed(
        self, z: Tensor, sigma: Tensor, whole: Tensor, parts: Tensor | None = None
    ) -> Tensor:
        """Weighted sum of what cells denoise to in the mixture and in its components, (B, D).

        All cells are at one level, `sigma` (1,), so that a component's precision under noise,
        P_k = (covariance_k + sigma² I)^-1, is one matrix. What z denoises to in it is
        z - sigma² P_k (z - mean_k), and its distance from the mean needs the same product.

        Parameters
        ----------
        z : Tensor of shape (B, D)
        sigma : Tensor of shape (1,)
        whole : Tensor of shape (B, 1)
            Weight of what z denoises to in the mixture.
        parts : Tensor of shape (B, K), optional
            Weights of what it denoises to in each component.
        """
        n_components, n_latent = self.means.shape
        narrow = 1 / (self.variances + sigma**2)  # (K, D)
        precision = (self.axes * narrow[:, None]) @ self.axes.transpose(1, 2)  # (K, D, D)
        offset = torch.bmm(precision, self.means[:, :, None])[:, :, 0]  # (K, D)
        flat = precision.transpose(0, 1).reshape(n_latent, -1)  # (D, K D)
        constant = 0.5 * _log_product(narrow) + self.log_weights
        constant = constant - 0.5 * (self.means * offset).sum(dim=1)  # (K,)
        found = []
        for first in range(0, len(z), ROWS):
            rows = slice(first, first + ROWS)
            some = z[rows]
            pulls = torch.addmm(-offset.reshape(-1), some, flat).view(-1, n_components, n_latent)
            distance = (pulls * some[:, None]).sum(dim=2)  # faster than a batched product
            joint = constant - 0.5 * (distance - some @ offset.T)
            weights = whole[rows] * torch.softmax(joint, dim=1)  # (B, K)
            kept = whole[rows]
            if parts is not None:
                weights = weights + parts[rows]
                kept = kept + parts[rows].sum(dim=1, keepdim=True)
            pull = torch.bmm(weights[:, None], pulls)[:, 0]
            found.append(kept * some - sigma**2 * pull)
        return torch.cat(found)

    def denoise_as(self, z: Tensor, sigma: Tensor, codes: Tensor) -> Tensor:
        """E[clean | z, sigma, component]: each cell as one of a component that is known, (B, D)."""
        found = torch.empty_like(z)
        for k in codes.unique().tolist():
            rows = (codes == k).nonzero()[:, 0]
            level = sigma if len(sigma) == 1 else sigma[rows]
            projected = (z[rows] - self.means[k]) @ self.axes[k]
            shrunk = projected * (self.variances[k] / (self.variances[k] + level[:, None] ** 2))
            found[rows] = torch.addmm(self.means[k], shrunk, self.axes[k].T)
        return found

    def _project(self, z: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Cells along the components' axes, and how narrow these are under noise: (K, B, D)."""
        offset = torch.bmm(self.means[:, None], self.axes)  # (K, 1, D)
        projected = torch.matmul(z, self.axes).sub_(offset)  # (K, B, D)
        return projected, 1 / (self.variances[:, None] + sigma[None, :, None] ** 2)

    def _log_joint(self, projected: Tensor, precision: Tensor) -> Tensor:
        distance = torch.einsum(
            "kbd,kbd,kbd->kb", projected, projected, precision.expand_as(projected)
        )
        return 0.5 * (_log_product(precision) - distance).T + self.log_weights


def _log_product(precision: Tensor) -> Tensor:
    """Sum of logarithms over the last dimension, by products of four: a log takes as long."""
    n = precision.shape[-1]
    fours = precision[..., : n - n % 4].unflatten(-1, (-1, 4)).prod(dim=-1)
    return fours.log().sum(dim=-1) + precision[..., n - n % 4 :].log().sum(dim=-1)


def class_mixture(
    z: Tensor, codes: Tensor, n_classes: int, weight: Tensor, prior_cells: float = 10.0
) -> NoisyMixture:
    """One Gaussian per class; small classes borrow the pooled covariance.

    The covariance of a class of n cells is the weighted mean of its own (weight n) and the pooled
    within-class one (weight `prior_cells`). `weight` (cells,) is how often each cell is drawn in
    training; its sums are the mixing proportions.
    """
    sizes = torch.bincount(codes, minlength=n_classes)
    means = torch.zeros(n_classes, z.shape[1]).index_add(0, codes, z) / sizes[:, None]
    centred = z - means[codes]
    pooled = centred.T @ centred / max(len(z) - n_classes, 1)  # (D, D)
    covariances = torch.empty(n_classes, *pooled.shape)
    for k in range(n_classes):
        own = centred[codes == k]
        covariances[k] = (own.T @ own + prior_cells * pooled) / (sizes[k] + prior_cells)
    weights = torch.zeros(n_classes).index_add(0, codes, weight)
    return NoisyMixture(means, covariances, weights / weights.sum())


def clusters(z: Tensor, generator: torch.Generator, cells_per_cluster: int = 40) -> Tensor:
    """k-means codes of latents, for a mixture where no labels are given, (cells,)."""
    n_clusters = max(1, min(16, len(z) // cells_per_cluster))
    seed = int(torch.randint(2**31, (), generator=generator))
    kmeans = KMeans(n_clusters, random_state=seed, n_init=1)
    if len(z) <= CLUSTERED:
        found = kmeans.fit(z.numpy()).labels_
    else:  # centres of so many cells are as good as those of all
        some = torch.randperm(len(z), generator=generator)[:CLUSTERED]
        found = kmeans.fit(z[some].numpy()).predict(z.numpy())
    _, codes = torch.from_numpy(found).long().unique(return_inverse=True)
    return codes
