"""The application: its commands and their exit codes.

Exit codes: 0, success; 2, bad input, explained by a message; 130, interrupted; 1, any other error.
"""

from __future__ import annotations

import inspect
import signal
import sys
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from .commands import add_condition, evaluate, fit, interpolate, oversample, sample
from .terminal import heartbeat, plain_warnings

CHECKERS = {"scdiff_augment", "sklearn", "imblearn"}
"""Packages that check what users give, and raise ValueError, TypeError or OSError if it is bad."""

TERMINATED = 143
"""Exit code after SIGTERM: 128 + 15, as shells report it."""


class Commands(TyperGroup):
    """Commands whose errors turn into messages and exit codes."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        with plain_warnings(), heartbeat():
            try:
                return super().invoke(ctx)
            except KeyboardInterrupt:
                typer.echo("interrupted; nothing was written", err=True)
                raise typer.Exit(130) from None
            except BrokenPipeError:  # the reader of a pipe, such as head, has closed it
                raise
            except MemoryError as error:
                typer.echo(f"error: not enough memory. {error}", err=True)
                raise typer.Exit(1) from error
            except (ValueError, TypeError, OSError) as error:
                bad_input = _is_check(error)
                if not bad_input and not isinstance(error, OSError):
                    raise
                typer.echo(f"error: {error}", err=True)
                raise typer.Exit(2 if bad_input else 1) from error


def _is_check(error: Exception) -> bool:
    """Whether a check refused the input; any other error is a defect.

    Checks raise explicitly: the traceback ends at a raise statement of a package that checks input.
    An error of any other kind, such as calling None, ends at the expression that failed, even if
    that expression is part of a raise statement.
    """
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    if last is None:
        return False
    package = last.tb_frame.f_globals.get("__name__", "").split(".")[0]
    frame = inspect.getframeinfo(last, context=1)  # the failing line, as it stands in the source
    line = frame.code_context[0] if frame.code_context else ""
    column = frame.positions.col_offset if frame.positions else None
    return package in CHECKERS and line[column or 0 :].lstrip().startswith("raise ")


app = typer.Typer(
    name="scdiff-augment",
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode=None,  # keeps examples verbatim, to be copied
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="For options and examples: scdiff-augment COMMAND --help. Exit codes: 0, success; "
    "2, bad input; 130, interrupted; 1, any other error.",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("scdiff-augment"))
        raise typer.Exit


@app.callback()
def scdiff_augment(
    show_version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Generate synthetic single cells with latent diffusion, of rare types or any condition."""


app.command(epilog=fit.EXAMPLES)(fit.fit)
app.command(epilog=add_condition.EXAMPLES)(add_condition.add_condition)
app.command(epilog=sample.EXAMPLES)(sample.sample)
app.command(epilog=oversample.EXAMPLES)(oversample.oversample)
app.command(epilog=interpolate.EXAMPLES)(interpolate.interpolate)
app.command(epilog=evaluate.EXAMPLES)(evaluate.evaluate)


def main() -> None:
    """Run the command line."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))  # so that clean-up runs
    app(prog_name="scdiff-augment")
