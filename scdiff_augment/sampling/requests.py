"""What a user asks a sample to be, as codes for each cell."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scdiff_augment.diffusion.guidance import LatentClassifier
from scdiff_augment.expression.checks import require_codes

GUIDANCE = 1.25
"""Guidance scale of `LatentDiffusion.sample`: with it, judges that learnt from other real cells
call new cells what they were asked to be about as often as real ones. With 1, what the latent
loses of a class is missing."""


class Outer(NamedTuple):
    """The condition whose classes are the groups, and the group of each cell."""

    name: str
    groups: NDArray[np.int64]
    n_groups: int


class Carried(NamedTuple):
    """Targets whose unseen combinations were replaced by seen ones, and the way back.

    Attributes
    ----------
    targets : dict of str to Tensor of shape (B,)
        Class of each cell per condition.
    steering : dict of str to Tensor of shape (B,)
        1 where a condition steers, 0 where it need not; conditions without effects are not here.
    shift : Tensor of shape (B, n_latent) or None
        What to add to the latents.
    classes : dict of str to Tensor of shape (B,)
        Class of each cell per condition as it was asked for; its genes are this class's.
    """

    targets: dict[str, Tensor]
    steering: dict[str, Tensor]
    shift: Tensor | None
    classes: dict[str, Tensor]

    def share_of(self, name: str, block: slice) -> float | Tensor:
        """Factor on a condition's guidance scale."""
        return self.steering[name][block] if name in self.steering else 1.0


def resolve(
    wanted: Mapping[str, Any], n: int | None, known: Mapping[str, NDArray]
) -> tuple[dict[str, torch.Tensor], int]:
    """Class codes of each cell per condition, and the number of cells.

    Raises
    ------
    ValueError
        If a condition or a class is unknown, `n` is no number of cells, or lengths contradict each
        other.
    """
    if n is not None and not (isinstance(n, numbers.Integral) and n >= 0):
        raise ValueError(f"n must be a whole number of cells, at least 0, got {n!r}.")
    values = {name: np.atleast_1d(value) for name, value in wanted.items()}
    lengths = {len(value) for value in values.values()} - {1}
    if n is None:
        n = lengths.pop() if len(lengths) == 1 else 1
    targets = {}
    for name, value in values.items():
        if name not in known:
            raise ValueError(
                f"condition '{name}' is unknown; known are {list(known)}. "
                f"Learn it with add_condition('{name}', labels)."
            )
        if len(value) not in (1, n):
            raise ValueError(
                f"condition '{name}' lists {len(value)} classes for n={n} cells; give one "
                f"class, or one for each cell."
            )
        codes = class_codes(name, value, known[name])
        targets[name] = torch.from_numpy(np.broadcast_to(codes, n).copy())
    return targets, n


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


def scales_of(
    guidance_scale: float | Mapping[str, float], names: Sequence[str]
) -> dict[str, float]:
    """Find the guidance scale of each condition; one that a mapping leaves out has `GUIDANCE`.

    Raises
    ------
    ValueError
        If a scale is negative or not finite, or names a condition that is not asked for.
    """
    if isinstance(guidance_scale, Mapping):
        extra = set(guidance_scale) - set(names)
        if extra:
            raise ValueError(
                f"guidance_scale names {sorted(extra)}, but the conditions asked for are "
                f"{list(names)}."
            )
        scales = {name: float(guidance_scale.get(name, GUIDANCE)) for name in names}
    else:
        scales = dict.fromkeys(names, float(guidance_scale))
    for name, scale in scales.items():
        if not (np.isfinite(scale) and scale >= 0):
            raise ValueError(
                f"guidance_scale must be at least 0 and finite, got {scale:g} for '{name}'."
            )
    return scales


def carry_over(
    classifiers: Mapping[str, LatentClassifier],
    wanted: Mapping[str, Tensor],
    known: Mapping[str, NDArray],
) -> Carried:
    """Replace combinations that were never seen by ones that were, and a shift.

    Raises
    ------
    ValueError
        If no group tells what a class would change.
    """
    targets, steering, shift = dict(wanted), {}, None
    for name, labels in wanted.items():
        effects = classifiers[name].effects
        if effects is None or effects.within not in wanted:
            continue
        groups = wanted[effects.within]
        base, moved, steer = effects.carry(groups, labels)
        if (base < 0).any():
            i = int((base < 0).nonzero()[0, 0])
            group, label = known[effects.within][groups[i]], known[name][labels[i]]
            raise ValueError(
                f"no cell of {effects.within} '{group}' has {name} '{label}', and no other "
                f"{effects.within} was seen both with it and with what '{group}' was seen with, so "
                f"its effect cannot be told. Learn '{name}' from cells that hold such a pair."
            )
        targets[name], steering[name] = base, steer.float()
        shift = moved if shift is None else shift + moved
    return Carried(targets, steering, shift, dict(wanted))


def groups_of(
    name: str, within: Mapping[str, Any], n_cells: int, known: Mapping[str, NDArray]
) -> Outer:
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
    return Outer(outer, class_codes(outer, np.asarray(labels), classes), len(classes))


def require_same_groups(
    name: str,
    classes: NDArray,
    classifiers: Mapping[str, LatentClassifier],
    known: Mapping[str, NDArray],
) -> None:
    """Refuse other classes for a condition that another one was learnt within."""
    inner = [k for k, c in classifiers.items() if c.effects and c.effects.within == name]
    if inner and classes.tolist() != known[name].tolist():
        raise ValueError(
            f"condition '{inner[0]}' was learnt within '{name}', whose classes "
            f"{known[name].tolist()} can no longer change. Fit again, or use another name."
        )


def require_interval(interval: tuple[float, float] | None) -> tuple[float, float] | None:
    """Refuse an interval of sigma that is empty or negative."""
    if interval is None:
        return None
    try:
        low, high = (float(value) for value in interval)
    except (TypeError, ValueError):
        low, high = np.nan, np.nan
    if not 0 <= low < high:
        raise ValueError(
            f"guidance_interval must be two numbers (low, high) with 0 <= low < high, got "
            f"{interval}."
        )
    return low, high


def require_strength(strength: float, start: Any) -> None:
    """Refuse a strength out of range, and one without cells to start from."""
    if not 0 < strength <= 1:
        raise ValueError(f"strength must lie in (0, 1], got {strength}.")
    if (start is None) != (strength == 1):
        raise ValueError(
            f"start and strength go together: strength={strength} with "
            f"{'no ' if start is None else ''}start. strength < 1 begins at the real cells in "
            f"start, strength=1 at pure noise."
        )


def require_temperature(temperature: float) -> None:
    """Refuse a temperature that is not positive."""
    if not 0 < temperature < np.inf:
        raise ValueError(f"temperature must be above 0 and finite, got {temperature}.")
