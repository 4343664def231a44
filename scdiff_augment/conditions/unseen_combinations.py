"""What a condition changes, learnt where it was seen and transferred to where it was not.

A classifier leads to places where training cells are, so a combination without any (stimulated B
cells, where B cells were seen unstimulated only) is out of its reach. What can be known of it is
the change that the condition makes in other groups. If the cells of group g and class c are those
of a class b that g was seen in, moved by r, then ``p(z | g, c) = p(z - r | g, b)`` at every noise
level, and the denoiser of the unseen cells is the known one, moved:
``D(z - r, sigma | g, b) + r``. Every sampler commutes with this shift, so cells of (g, b) are drawn
and moved by r before they are decoded.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .combinations import Array, combinations_of
from .kriging import fit_field, kriging_weights


class Source(NamedTuple):
    """Where the change of an unseen combination comes from."""

    group: int
    target: int
    base: int
    weights: dict[int, float]

    def describe(self, name: str, outer: str, groups: NDArray, classes: NDArray) -> str:
        """Return the source in words."""
        shares = ", ".join(f"{w:.2f} {groups[g]}" for g, w in self.weights.items())
        return (
            f"{outer} {groups[self.group]!s} was never seen with {name} {classes[self.target]!s}: "
            f"drawn as {classes[self.base]!s}, moved by the change from it in {shares}"
        )


class Effects(nn.Module):
    """For each group and class of a condition: the class to draw, and how far to move.

    Parameters
    ----------
    base : Tensor of shape (n_groups, n_classes), int64
        The class itself where it was seen in the group, another one where it was not, -1 where
        no group shows what the class would change.
    shift : Tensor of shape (n_groups, n_classes, n_latent)
        What to add to latents of the base; 0 where the class was seen.
    """

    base: Tensor
    shift: Tensor

    def __init__(self, within: str, base: Tensor, shift: Tensor):
        super().__init__()
        self.within = within
        self.register_buffer("base", base)
        self.register_buffer("shift", shift)

    @classmethod
    def blank(cls, within: str, shape: tuple[int, ...]) -> Effects:
        """Build effects of this shape, to be filled by ``load_state_dict``."""
        return cls(within, torch.zeros(shape[:2], dtype=torch.int64), torch.zeros(shape))

    def transfer(self, groups: Tensor, codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Classes to draw (B,), shifts (B, D), and whether to steer towards the class (B,).

        A group that was seen in one class alone needs no steering within it: of its cells that
        class has probability 1.
        """
        base = self.base[groups, codes]
        alone = (self.base == torch.arange(self.base.shape[1])).sum(dim=1) == 1
        return base, self.shift[groups, codes], (base == codes) | ~alone[groups]


def learn_effects(
    within: str,
    groups: NDArray[np.int64],
    n_groups: int,
    z: Tensor,
    codes: NDArray[np.int64],
    n_classes: int,
) -> tuple[Effects, list[Source]]:
    """Learn what each class changes in each group that was not seen in it.

    The base is the class with most cells of the group among those that some group was seen in
    together with the target. The change is kriged from those groups, over the means of their
    base cells.

    Parameters
    ----------
    within, groups, n_groups : str, ndarray of shape (n_cells,), int
        Name of the condition whose classes are the groups, the group of each cell, and how many
        groups there are.
    z : Tensor of shape (n_cells, n_latent)
    codes : ndarray of shape (n_cells,)
        Class of each cell.
    n_classes : int
    """
    means, sizes, variance = combinations_of(z, groups, n_groups, codes, n_classes)
    base = np.where(sizes > 0, np.arange(n_classes), -1)
    shift = np.zeros(means.shape)
    sources = []
    for g, c in np.argwhere(sizes == 0):
        pairs = (sizes > 0) & (sizes[:, [c]] > 0)  # (groups, classes): seen in both
        usable = np.where(pairs.any(axis=0), sizes[g], 0)
        if not usable.any():
            continue
        b = int(usable.argmax())
        known = np.flatnonzero(pairs[:, b])
        noise = variance * (1 / sizes[known, b] + 1 / sizes[known, c])
        changes = means[known, c] - means[known, b]
        weights = _weights(means[known, b], means[g, b], changes, noise)
        base[g, c], shift[g, c] = b, weights @ changes
        shares = dict(zip(known.tolist(), weights.tolist(), strict=True))
        sources.append(Source(int(g), int(c), b, shares))
    return Effects(within, torch.from_numpy(base), torch.from_numpy(shift).float()), sources


def _weights(places: Array, place: Array, changes: Array, noise: Array) -> Array:
    return kriging_weights(fit_field(places, changes, noise), places, place, noise)
