"""Progress of long steps: bars on terminals and in notebooks, elsewhere a line now and then.

Whoever prints something calls `said`, so that lines come only where nothing else did for a while.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm.auto import tqdm
from tqdm.notebook import tqdm_notebook

EVERY = 10.0
"""Seconds between lines."""

GRACE = 2.0
"""Seconds more that a line waits which knows of no step but the last thing that was said."""

Update = Callable[[int], None]


class _Said:
    """The last thing that was printed, and when."""

    def __init__(self) -> None:
        self.text: str | None = None
        self.since = self.at = time.monotonic()

    def note(self, text: str | None) -> None:
        """Take over what was printed; None: nothing is being done that may be said."""
        self.text, self.since = text, time.monotonic()
        self.at = self.since

    def line(self, text: str) -> None:
        """Print a line."""
        print(text, file=sys.stderr, flush=True)
        self.at = time.monotonic()

    def quiet_for(self) -> float:
        """Seconds since the last line."""
        return time.monotonic() - self.at


_said = _Said()
said = _said.note
"""Note what was printed: what is being done from now on. None stops the lines of `heartbeat`."""


@contextmanager
def progress(
    total: int | Callable[[], int], what: str, unit: str, *, verbose: bool
) -> Iterator[Update]:
    """Show how far a step is: yields a function that is called with the number of units done.

    Parameters
    ----------
    total : int or callable
        Number of units; a function is called after the first one.
    what : str
        Name of the step.
    unit : str
        What is counted.
    verbose : bool
        Whether to show anything.
    """
    if not verbose:
        yield lambda n: None
        return
    if not issubclass(tqdm, tqdm_notebook) and not sys.stderr.isatty():
        yield _lines(total, what, unit)
        return
    with tqdm(total=None if callable(total) else total, desc=what, unit=unit) as bar:

        def update(n: int) -> None:
            if bar.total is None and callable(total):
                bar.total = total()
            bar.update(n)

        yield update


def _lines(total: int | Callable[[], int], what: str, unit: str) -> Update:
    done = 0

    def update(n: int) -> None:
        nonlocal done
        done += n
        if _said.quiet_for() >= EVERY:
            of = total() if callable(total) else total
            _said.line(f"{what}: {done:,} of {of:,} {unit}s")

    return update


@contextmanager
def heartbeat() -> Iterator[None]:
    """Print that the last thing that was `said` goes on, where stderr is no terminal."""
    if sys.stderr.isatty():
        yield
        return
    over = threading.Event()

    def beat() -> None:
        while not over.wait(EVERY / 10):
            if _said.text is not None and _said.quiet_for() >= EVERY + GRACE:
                _said.line(f"still {_said.text} ({time.monotonic() - _said.since:.0f} s)")

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        _said.note(None)
