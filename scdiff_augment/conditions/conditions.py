"""What a model has learnt of its conditions, by name."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from scdiff_augment.compute.layers import State, within
from scdiff_augment.diffusion.classifier import LatentClassifier
from scdiff_augment.expression.checks import require_codes

from .effects_into import EffectsInto
from .unseen_combinations import Effects


@dataclass(frozen=True)
class LearntCondition:
    """One condition.

    Attributes
    ----------
    classes : ndarray of shape (n_classes,)
        Its classes, sorted.
    classifier : LatentClassifier
        Whose gradients lead to a class.
    gene_effects : Tensor of shape (n_classes, n_genes)
        What each class has of its own in each gene, beyond what the latent tells.
    effects : Effects, EffectsInto or None
        What its classes, or one of them, change within those of another condition.
    """

    classes: NDArray
    classifier: LatentClassifier
    gene_effects: Tensor
    effects: Effects | EffectsInto | None = None

    def to_state(self) -> State:
        """Return what storage keeps, but for `classes` and `gene_effects`."""
        meta, tensors = self.classifier.to_state()
        if self.effects is None:
            return {**meta, "within": None}, tensors
        moved = {f"effects.{k}": v for k, v in self.effects.state_dict().items()}
        return {**meta, "within": self.effects.within}, tensors | moved

    @classmethod
    def from_state(
        cls,
        classes: NDArray,
        meta: dict[str, Any],
        tensors: dict[str, Tensor],
        gene_effects: Tensor,
    ) -> LearntCondition:
        """Build the condition that `to_state` described."""
        moved = within(tensors, "effects.")
        own = {k: v for k, v in tensors.items() if not k.startswith("effects.")}
        effects: Effects | EffectsInto | None = None
        if meta["within"] is not None:
            if "into" in moved:
                shape = *moved["shift"].shape, moved["genes"].shape[1]
                effects = EffectsInto.blank(meta["within"], *shape)
            else:
                effects = Effects.blank(meta["within"], tuple(moved["shift"].shape))
            effects.load_state_dict(moved)
        return cls(classes, LatentClassifier.from_state(meta, own), gene_effects, effects)


class Conditions(Mapping[str, NDArray]):
    """The conditions of a model: name to classes, with `learnt` for all else.

    Attributes
    ----------
    learnt : dict of str to LearntCondition
    guidance : dict of frozenset to dict of str to Tensor of shape (n_classes,)
        For conditions that were calibrated together, by their names: the guidance scale of each
        class of each.
    """

    def __init__(self) -> None:
        self.learnt: dict[str, LearntCondition] = {}
        self.guidance: dict[frozenset[str], dict[str, Tensor]] = {}

    def __copy__(self) -> Conditions:
        new = Conditions()
        new.learnt, new.guidance = dict(self.learnt), dict(self.guidance)
        return new

    def learn(self, name: str, condition: LearntCondition) -> None:
        """Take a condition in; what was calibrated with an earlier one of this name is void."""
        self.learnt[name] = condition
        self.guidance = {names: k for names, k in self.guidance.items() if name not in names}

    def calibrated(self, names: Collection[str]) -> dict[str, Tensor]:
        """Return scales that were found for these conditions, or for the fewest that hold them.

        Where they were never calibrated together, those of each by itself, as far as there are any.
        """
        known = sorted((k for k in self.guidance if k >= {*names}), key=len)
        if known:
            return {name: self.guidance[known[0]][name] for name in names}
        alone = {name: self.guidance.get(frozenset([name])) for name in names}
        return {name: scales[name] for name, scales in alone.items() if scales is not None}

    def __getitem__(self, name: str) -> NDArray:
        return self.learnt[name].classes

    def __iter__(self) -> Iterator[str]:
        return iter(self.learnt)

    def __len__(self) -> int:
        return len(self.learnt)

    def __repr__(self) -> str:
        return repr({name: classes.tolist() for name, classes in self.items()})

    @property
    def gene_effects(self) -> dict[str, Tensor]:
        """What classes have of their own in each gene, by condition."""
        return {name: one.gene_effects for name, one in self.learnt.items()}

    @property
    def classifiers(self) -> dict[str, LatentClassifier]:
        """Their classifiers."""
        return {name: one.classifier for name, one in self.learnt.items()}

    def require_same_groups(self, name: str, classes: NDArray) -> None:
        """Refuse other classes for a condition that another one was learnt within.

        Raises
        ------
        ValueError
            If they differ.
        """
        inner = [k for k, c in self.learnt.items() if c.effects and c.effects.within == name]
        if inner and not np.array_equal(classes, self[name]):
            raise ValueError(
                f"condition '{inner[0]}' was learnt within '{name}', whose classes "
                f"{self[name].tolist()} can no longer change. Fit again, or use another name."
            )


class Groups(NamedTuple):
    """The condition whose classes are the groups, and the group of each cell."""

    name: str
    codes: NDArray[np.int64]
    n_groups: int


def class_codes(name: str, labels: Sequence[Any] | NDArray, classes: NDArray) -> NDArray[np.int64]:
    """Positions of the labels among the classes of a condition."""
    positions = {label: code for code, label in enumerate(classes.tolist())}
    labels = np.asarray(labels).tolist()
    unknown = [label for label in labels if label not in positions]
    if unknown:
        raise ValueError(
            f"condition '{name}' has no class {unknown[0]!r}; its classes are {classes.tolist()}."
        )
    return np.array([positions[label] for label in labels], dtype=np.int64)


def groups_of(
    name: str, within: Mapping[str, Any], n_cells: int, known: Mapping[str, NDArray]
) -> Groups:
    """Read the groups that a condition is learnt within.

    Raises
    ------
    ValueError
        If they are not those of one condition that was added before.
    """
    if len(within) != 1 or next(iter(within)) not in known or name in within:
        raise ValueError(
            f"within must map the name of one other condition to these cells' classes, got "
            f"{list(within)} for '{name}'; known are {list(known)}. Add that condition first."
        )
    ((outer, labels),) = within.items()
    require_codes(f"within['{outer}']", labels, n_cells)
    classes = known[outer]
    return Groups(outer, class_codes(outer, np.asarray(labels), classes), len(classes))
