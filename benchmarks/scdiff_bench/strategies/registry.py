"""The registry of strategies: how one is declared, checked and built."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from scdiff_bench.messages import choose, nearest


@dataclass(frozen=True)
class Strategy:
    """One way of dealing with imbalance.

    Attributes
    ----------
    sampler : object or None
        imbalanced-learn sampler, with ``fit_resample``.
    class_weight : bool
        Whether the classifier weights its classes.
    thresholds : bool
        Whether the classifier's thresholds are tuned on the training cells.
    balance_cell_type : bool
        Whether CellTypist draws its mini-batches evenly from the cell types.
    """

    sampler: Any = None
    class_weight: bool = False
    thresholds: bool = False
    balance_cell_type: bool = False


Build = Callable[..., Strategy]


@dataclass(frozen=True)
class Entry:
    """A registered strategy.

    Attributes
    ----------
    build : callable
        ``build(sampling_strategy, random_state, **params) -> Strategy``.
    baseline : bool
        Whether it needs no learnt model of expression; the others are generative methods.
    package : bool
        Whether it draws cells with scdiff_augment, so that its results depend on their version.
    control : bool
        Whether it is a control: never a leader, never the best baseline.
    needs : tuple of str
        The optional module that it needs, and what installs it.
    """

    build: Build
    baseline: bool = True
    package: bool = False
    control: bool = False
    needs: tuple[str, str] | None = None


STRATEGIES: dict[str, Entry] = {}


def register(
    *,
    baseline: bool = True,
    package: bool = False,
    control: bool = False,
    needs: tuple[str, str] | None = None,
) -> Callable[[Build], Build]:
    """Put a function into the registry under its own name.

    Parameters
    ----------
    baseline, package, control, needs
        As in `Entry`.

    Returns
    -------
    callable
        The decorator.
    """

    def add(build: Build) -> Build:
        STRATEGIES[build.__name__] = Entry(build, baseline, package, control, needs)
        return build

    return add


def require_installed(name: str) -> None:
    """Raise an error if a strategy needs a package that is not installed.

    Parameters
    ----------
    name : str
        A name in ``STRATEGIES``.

    Raises
    ------
    ValueError
        It says what to install.
    """
    needs = STRATEGIES[choose("strategy", name, STRATEGIES)].needs
    if needs and find_spec(needs[0]) is None:
        raise ValueError(
            f"Strategy {name!r} needs the package {needs[0]!r}, which is not installed. "
            f"Install it with: pip install '{needs[1]}', or leave the strategy out."
        )


def check_params(name: str, params: dict[str, Any]) -> None:
    """Raise an error if a strategy does not know one of the parameters.

    Parameters
    ----------
    name : str
        A name in ``STRATEGIES``.
    params : dict
        Its parameters.

    Raises
    ------
    ValueError
        If the strategy or a parameter is unknown; it names the nearest valid one.
    """
    build = STRATEGIES[choose("strategy", name, STRATEGIES)].build
    if not params:
        return
    declared = inspect.signature(build).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in declared):
        known = list(inspect.signature(type(build("auto", 0).sampler)).parameters)
    else:
        known = [p.name for p in declared if p.kind is p.KEYWORD_ONLY]
    free = [k for k in known if k not in ("sampling_strategy", "random_state")]
    for key in params:
        if key not in free:
            raise ValueError(f"Strategy {name!r} has no parameter {key!r}. {nearest(key, free)}")


def build_strategy(
    name: str, sampling_strategy: Any, random_state: int, params: dict[str, Any]
) -> Strategy:
    """Build a strategy by name.

    Parameters
    ----------
    name : str
        A name in ``STRATEGIES``.
    sampling_strategy : str or dict
        Which classes are oversampled, as in imbalanced-learn.
    random_state : int
        Seed.
    params : dict
        Further parameters of the strategy.

    Returns
    -------
    Strategy
        Sampler, class weights and thresholds.
    """
    entry = STRATEGIES[choose("strategy", name, STRATEGIES)]
    return entry.build(sampling_strategy, random_state, **params)
