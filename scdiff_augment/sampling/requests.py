"""What a user asks a sample to be, as codes for each cell."""

from __future__ import annotations

import numbers
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scdiff_augment.conditions.conditions import Conditions, class_codes
from scdiff_augment.conditions.effects_into import EffectsInto

GUIDANCE = 1.25
"""Guidance scale where none was found from the training cells (`calibration`). With it, classifiers
called new cells of three data sets what they were asked to be about as often as real ones."""

AUTO = "auto"
"""Guidance scales from `calibration`."""

Guidance = float | Tensor
"""Weight of a condition's gradient: a number, or one for each class, (n_classes,)."""


@dataclass(frozen=True)
class Request:
    """Cells that are asked for; combinations never seen are replaced by seen ones, and moved.

    Attributes
    ----------
    n_cells : int
    targets : dict of str to Tensor of shape (n_cells,)
        Class that each cell is steered to, by condition.
    steering : dict of str to Tensor of shape (n_cells,)
        1 where a condition steers, 0 where it need not; conditions without effects are not here.
    shift : Tensor of shape (n_cells, n_latent) or None
        What to add to the latents.
    classes : dict of str to Tensor of shape (n_cells,)
        Class of each cell as it was asked for, by condition; its genes are this class's.
    start : Tensor of shape (n_cells, n_latent) or None
        Latents to start from; None starts from noise alone.
    asked : dict of str to Tensor of shape (n_cells,)
        Class of each cell in every condition that was named, those of guidance scale 0 too.
    combined : dict of str to Tensor of shape (n_cells,)
        Row of each cell in the genes of a condition's combinations with another, by condition.
    """

    n_cells: int
    targets: dict[str, Tensor] = field(default_factory=dict)
    steering: dict[str, Tensor] = field(default_factory=dict)
    shift: Tensor | None = None
    classes: dict[str, Tensor] = field(default_factory=dict)
    start: Tensor | None = None
    asked: dict[str, Tensor] = field(default_factory=dict)
    combined: dict[str, Tensor] = field(default_factory=dict)

    def part(self, rows: slice) -> Request:
        """Return the request for consecutive cells alone, with tensors of its own."""

        def cut(tensor: Tensor | None) -> Any:
            return None if tensor is None else tensor[rows].clone()

        return Request(
            len(range(self.n_cells)[rows]),
            {name: cut(codes) for name, codes in self.targets.items()},
            {name: cut(steer) for name, steer in self.steering.items()},
            cut(self.shift),
            {name: cut(codes) for name, codes in self.classes.items()},
            cut(self.start),
            {name: cut(codes) for name, codes in self.asked.items()},
            {name: cut(rows_) for name, rows_ in self.combined.items()},
        )

    def on(self, device: torch.device) -> Request:
        """Return the same request with its tensors on a device."""
        return replace(
            self,
            targets={name: codes.to(device) for name, codes in self.targets.items()},
            steering={name: steer.to(device) for name, steer in self.steering.items()},
            shift=None if self.shift is None else self.shift.to(device),
            classes={name: codes.to(device) for name, codes in self.classes.items()},
            combined={name: rows.to(device) for name, rows in self.combined.items()},
            start=None if self.start is None else self.start.to(device),
        )

    def groups(self) -> NDArray[np.int64] | None:
        """Return numbers of the combinations of classes, (n_cells,); None without any."""
        codes = [c.cpu().numpy() for c in self.classes.values()]
        if len(codes) < 2:
            return codes[0] if codes else None
        return np.unique(np.stack(codes), axis=1, return_inverse=True)[1].reshape(-1)


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


def scales_of(
    guidance_scale: float | str | Mapping[str, float | str], names: Sequence[str]
) -> dict[str, float]:
    """Find the guidance scales that were given; conditions to be calibrated are not among them.

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
        given = {name: guidance_scale[name] for name in names if name in guidance_scale}
    else:
        given = dict.fromkeys(names, guidance_scale)
    scales = {}
    for name, scale in given.items():
        if scale == AUTO:
            continue
        if isinstance(scale, str) or not (np.isfinite(scale) and scale >= 0):
            raise ValueError(
                f"guidance_scale must be at least 0 and finite, got {scale!r} for '{name}', or "
                f"'{AUTO}'."
            )
        scales[name] = float(scale)
    return scales


def request_of(
    asked: Mapping[str, Tensor],
    off: Collection[str],
    conditions: Conditions,
    n_cells: int,
    start: Tensor | None = None,
) -> Request:
    """Replace combinations that were never seen by ones that were, and a shift.

    Parameters
    ----------
    asked : mapping of str to Tensor of shape (n_cells,)
        Class of each cell, by condition.
    off : collection of str
        Conditions of guidance scale 0, which do not steer.
    conditions : Conditions
        Those that are known.
    n_cells : int
        How many cells.
    start : Tensor of shape (n_cells, n_latent), optional
        Latents to start from.

    Raises
    ------
    ValueError
        If no group shows what a class would change.
    """
    wanted = {name: codes for name, codes in asked.items() if name not in off}
    targets, steering, combined, shift = dict(wanted), {}, {}, None
    for name, labels in wanted.items():
        effects = conditions.learnt[name].effects
        if effects is None or effects.within not in wanted:
            continue
        groups = wanted[effects.within]
        base, moved, steer = effects.transfer(groups, labels)
        if (base < 0).any():
            i = int((base < 0).nonzero()[0, 0])
            group, label = conditions[effects.within][groups[i]], conditions[name][labels[i]]
            raise ValueError(
                f"no cell of {effects.within} '{group}' has {name} '{label}', and no other "
                f"{effects.within} was seen both with it and with what '{group}' was seen with, so "
                f"its effect is unknown. Learn '{name}' from cells that hold such a pair."
            )
        targets[name], steering[name] = base, steer.float()
        shift = moved if shift is None else shift + moved
        if isinstance(effects, EffectsInto):
            combined[name] = effects.rows(groups, labels)
    return Request(n_cells, targets, steering, shift, wanted, start, dict(asked), combined)


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
