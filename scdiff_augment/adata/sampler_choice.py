"""Which sampler `oversample_adata` uses, and with which seed."""

from __future__ import annotations

import inspect
import logging
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scdiff_augment.expression.nearest_names import listed, suggestion
from scdiff_augment.oversampler import DiffusionOversampler
from scdiff_augment.streaming.zarr_store import begun_plan

logger = logging.getLogger("scdiff_augment")


def sampler_for(
    sampler: DiffusionOversampler | str | None,
    parameters: Mapping[str, Any],
    own: Sequence[str],
) -> DiffusionOversampler:
    """Return the sampler that is given, or one of these parameters.

    Parameters
    ----------
    sampler : DiffusionOversampler, str or None
        A sampler; or the noise solver, the parameter of this name.
    parameters : mapping of str to object
        Other parameters of `DiffusionOversampler` that were given by keyword.
    own : sequence of str
        Names that the caller takes beside them, for messages.

    Raises
    ------
    TypeError
        If a parameter is unknown, or a sampler and parameters are given.
    """
    known = list(inspect.signature(DiffusionOversampler).parameters)
    for name in parameters:
        if name not in known:
            names = (
                f" Beside its own ({', '.join(own)}) it takes those of DiffusionOversampler: "
                f"{', '.join(known)}."
            )
            raise TypeError(
                f"oversample_adata takes no parameter '{name}'."
                f"{suggestion(name, [*known, *own]) or names}"
            )
    if not isinstance(sampler, DiffusionOversampler):
        solver: dict[str, Any] = {} if sampler is None else {"sampler": sampler}
        return DiffusionOversampler(**parameters, **solver)
    if parameters:
        raise TypeError(
            f"`sampler` is a DiffusionOversampler with parameters of its own, beside which "
            f"{listed(parameters)} can't be given. Set them there, or leave `sampler` out."
        )
    return sampler


@contextmanager
def seeded(sampler: DiffusionOversampler, out: Path | None) -> Iterator[None]:
    """Draw a seed for a sampler that has none; say it where cells came of it, then take it away.

    An interrupted store is taken up with the seed that it was begun with.
    """
    if sampler.random_state is not None:
        yield
        return
    begun = None if out is None else (begun_plan(out) or {}).get("random_state")
    seed = secrets.randbelow(2**31) if begun is None else int(begun)
    sampler.random_state = seed
    try:
        yield
        logger.warning(
            "no random_state was given: drew random_state=%d, which gives these cells again",
            seed,
        )
    finally:
        sampler.random_state = None
