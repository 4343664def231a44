"""What a command says while it works; all of it goes to stderr."""

from __future__ import annotations

import secrets
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer


class Terminal:
    """Says what happens, unless it is to be quiet.

    Parameters
    ----------
    quiet : bool
        Say nothing but warnings and errors.
    """

    def __init__(self, quiet: bool):
        self.quiet = quiet
        self.begun = time.monotonic()
        self.drawn: int | None = None

    @property
    def verbose(self) -> bool:
        """Whether progress bars are wanted: only where somebody can see them move."""
        return sys.stderr.isatty() and not self.quiet

    def say(self, text: str) -> None:
        """One line."""
        if not self.quiet:
            typer.echo(text, err=True)

    def seed(self, seed: int | None) -> int:
        """Return the seed, or one drawn at random, which `done` tells: the run can be repeated."""
        if seed is None:
            seed = self.drawn = secrets.randbelow(2**31)
        return seed

    def done(self, text: str) -> None:
        """Say the last line, with the seed that was drawn and the time that it took."""
        drawn = "" if self.drawn is None else f"; seed {self.drawn}"
        self.say(f"{text}{drawn} [{time.monotonic() - self.begun:.0f} s]")

    @contextmanager
    def working(self, text: str) -> Iterator[None]:
        """Say what takes its time, with a spinner where somebody can see it move."""
        if not self.verbose:
            self.say(text)
            yield
            return
        from rich.console import Console

        with Console(stderr=True).status(text):
            yield


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Show warnings to users as one line; those meant for developers not at all."""

    def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if issubclass(category, UserWarning):
            typer.echo(f"warning: {message}", err=True)

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show
        yield
