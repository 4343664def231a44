"""The command line, ``scdiff-bench``: a module for each command, imported when it is asked for."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple

from scdiff_bench.messages import nearest

FAILED, BAD_INPUT, STOPPED = 1, 2, 130
"""Exit codes: something failed or is out of date; bad input; stopped by the user."""


class Command(NamedTuple):
    """A command: the module whose ``main`` runs it, and what it does in a sentence."""

    module: str
    help: str


COMMANDS = {
    "run": Command(
        "scdiff_bench.commands.run",
        "Run the study that a config describes, and write its page; finished parts are reused.",
    ),
    "compare": Command(
        "scdiff_bench.commands.compare",
        "Compare the standard strategies on your own h5ad file.",
    ),
    "show": Command(
        "scdiff_bench.commands.show",
        "Print what finished studies say; nothing is computed or written.",
    ),
    "reports": Command(
        "scdiff_bench.commands.reports",
        "List pages with the versions of their results; --check names those out of date.",
    ),
    "ranks": Command(
        "scdiff_bench.commands.ranks",
        "Rank the strategies that several finished studies share.",
    ),
    "when": Command(
        "scdiff_bench.commands.when",
        "Show from several learning curves when a strategy is worth choosing.",
    ),
    "sync": Command(
        "scdiff_bench.commands.sync",
        "Send finished studies to MLflow, for example after a server was away.",
    ),
    "speed": Command(
        "scdiff_bench.commands.speed",
        "Measure the seconds and the memory that the generator takes.",
    ),
}


def usage() -> str:
    """Return what ``scdiff-bench --help`` prints."""
    width = max(map(len, COMMANDS))
    return "\n".join(
        [
            "usage: scdiff-bench COMMAND ...",
            "",
            "Benchmark of what to do about rare cell types: data sets x strategies x classifiers x "
            "folds.",
            "",
            "commands:",
            *(f"  {name:{width}}  {command.help}" for name, command in COMMANDS.items()),
            "",
            "`scdiff-bench COMMAND --help` lists the options of a command.",
        ]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    argv : sequence of str, optional
        The command and its arguments; those of the process by default.

    Returns
    -------
    int
        Exit code: 0; 1 if something failed or is out of date; 2 on bad input; 130 if stopped.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    if not given or given[0] in ("-h", "--help"):
        print(usage())
        return 0 if given else BAD_INPUT
    if given[0] not in COMMANDS:
        print(
            f"error: Unknown command {given[0]!r}. {nearest(given[0], COMMANDS)} To run a config: "
            f"scdiff-bench run CONFIG",
            file=sys.stderr,
        )
        return BAD_INPUT
    try:
        code: int = import_module(COMMANDS[given[0]].module).main(given[1:])
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0].startswith("scdiff"):
            raise
        print(
            f"error: scdiff-bench {given[0]} needs the package {missing.name!r}, which is not "
            f"installed. Install what the benchmark needs with: "
            f"pip install 'scdiff-augment[benchmark]'",
            file=sys.stderr,
        )
        return BAD_INPUT
    except KeyboardInterrupt:
        print("\nStopped before anything was computed; start it again.", file=sys.stderr)
        return STOPPED
    return code
