"""Messages and progress of a command, all of them on stderr."""

from __future__ import annotations

import secrets
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer

from scdiff_augment.compute.progress import heartbeat, said

__all__ = ["Terminal", "heartbeat", "plain_warnings"]


class Terminal:
    """Prints messages and progress.

    Parameters
    ----------
    quiet : bool
        Print only warnings and errors.
    """

    def __init__(self, quiet: bool):
        self.quiet = quiet
        self.started = time.monotonic()
        self.random_seed: int | None = None

    @property
    def verbose(self) -> bool:
        """Whether to show progress: bars on a terminal, elsewhere a line every 10 s."""
        return not self.quiet

    def say(self, text: str) -> None:
        """Print one line."""
        if not self.quiet:
            typer.echo(text, err=True)

    def doing(self, text: str, *, show: bool = True) -> None:
        """Say what is being done from now on; it is repeated if it takes long."""
        if show:
            self.say(text)
        if not self.quiet:
            said(text)

    def seed(self, seed: int | None) -> int:
        """Return the seed, or a random one, which `done` prints so that the run can be repeated."""
        if seed is None:
            seed = self.random_seed = secrets.randbelow(2**31)
        return seed

    def done(self, text: str) -> None:
        """Print the last line, with the random seed, if any, and the elapsed time."""
        seed = "" if self.random_seed is None else f"; seed {self.random_seed}"
        self.say(f"{text}{seed} [{time.monotonic() - self.started:.0f} s]")

    @contextmanager
    def working(self, text: str) -> Iterator[None]:
        """Print what is being done, with a spinner on a terminal."""
        if self.quiet or not sys.stderr.isatty():
            self.doing(text)
            yield
            return
        from rich.console import Console

        with Console(stderr=True).status(text):
            yield


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Show each warning meant for users as one line, and those for developers not at all."""

    def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if issubclass(category, UserWarning):
            typer.echo(f"warning: {message}", err=True)

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show
        yield
