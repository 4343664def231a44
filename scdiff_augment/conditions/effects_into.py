"""One class of a condition, such as a batch, drawn in each group by moving the group's cells.

Where a group has few cells of the class, or none, gradients towards the class have little to go
by. Its cells are then drawn as in all classes together, moved by the change that is known of the
group, and decoded with the genes that the moved latents leave over.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .borrowed_changes import Change


class EffectsInto(nn.Module):
    """For each group: how far to move its cells into one class, and the genes it has there.

    Parameters
    ----------
    within : str
        Name of the condition whose classes are the groups.
    into : Tensor, int64
        Code of the class.
    known : Tensor of shape (n_groups,), bool
        Groups whose mean in the class is known.
    moved : Tensor of shape (n_groups,), bool
        Groups that were seen in another class, too, and are drawn from all of them.
    shift : Tensor of shape (n_groups, n_latent)
        From the mean of each group over all classes to that in the class.
    genes : Tensor of shape (n_groups, n_genes)
        What each group has in each gene of the class beyond the moved latents.
    """

    into: Tensor
    known: Tensor
    moved: Tensor
    shift: Tensor
    genes: Tensor

    def __init__(
        self, within: str, into: Tensor, known: Tensor, moved: Tensor, shift: Tensor, genes: Tensor
    ):
        super().__init__()
        self.within = within
        self.register_buffer("into", into)
        self.register_buffer("known", known)
        self.register_buffer("moved", moved)
        self.register_buffer("shift", shift)
        self.register_buffer("genes", genes)

    @classmethod
    def of(
        cls, within: str, changes: Sequence[Change], centres: Tensor, genes: Tensor
    ) -> EffectsInto:
        """Build them from the changes of all groups into one class.

        Parameters
        ----------
        within : str
        changes : sequence of Change
        centres : Tensor of shape (n_groups, n_latent)
            Mean of the cells that are drawn of each group, in whichever class.
        genes : Tensor of shape (n_groups, n_genes)
            What the groups' own cells have beyond the moved latents. New cells get as much of it
            as the own cells count in the mean: five of them stray further than their counts say.
        """
        known = torch.tensor([change.target is not None for change in changes])
        moved = torch.tensor([bool(change.origin) for change in changes]) & known
        shift = torch.zeros_like(centres)
        for group, change in enumerate(changes):
            if moved[group] and change.target is not None:
                shift[group] = torch.from_numpy(change.target).float() - centres[group]
        believed = torch.tensor([[change.own] for change in changes], dtype=genes.dtype)
        return cls(within, torch.tensor(changes[0].into), known, moved, shift, genes * believed)

    @classmethod
    def blank(cls, within: str, n_groups: int, n_latent: int, n_genes: int) -> EffectsInto:
        """Build effects of this shape, to be filled by ``load_state_dict``."""
        none = torch.zeros(n_groups, dtype=torch.bool)
        shift, genes = torch.zeros(n_groups, n_latent), torch.zeros(n_groups, n_genes)
        return cls(within, torch.tensor(0), none, none.clone(), shift, genes)

    def transfer(self, groups: Tensor, codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Classes to draw (B,), -1 if unknown, shifts (B, D), and whether to steer there (B,)."""
        here = codes == self.into
        base = torch.where(here & ~self.known[groups], -1, codes)
        return base, self.shift[groups] * here[:, None], ~(here & self.moved[groups])

    def table(self) -> Tensor:
        """Genes of each group in the class, and of none of them, (n_groups + 1, n_genes)."""
        return torch.cat([self.genes, torch.zeros(1, self.genes.shape[1])])

    def rows(self, groups: Tensor, codes: Tensor) -> Tensor:
        """Row of that table for each cell, (B,)."""
        return torch.where(codes == self.into, groups, len(self.genes))
