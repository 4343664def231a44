"""The application: its commands, and how each of them ends.

Exit codes: 0, all is well; 2, what was given is wrong, and the message says how; 130, interrupted;
1, anything else.
"""

from __future__ import annotations

import dis
import signal
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from .commands import add_condition, evaluate, fit, interpolate, oversample, sample
from .terminal import plain_warnings

CHECKERS = {"scdiff_augment", "sklearn", "imblearn"}
"""Packages whose ValueError, TypeError or OSError says that what users gave is wrong."""

STOPPED = 143
"""Exit code after SIGTERM, as shells count."""


class Commands(TyperGroup):
    """Commands whose errors become messages and exit codes."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        with plain_warnings():
            try:
                return super().invoke(ctx)
            except KeyboardInterrupt:
                typer.echo("interrupted; nothing was written", err=True)
                raise typer.Exit(130) from None
            except BrokenPipeError:  # whoever read the table has seen enough
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
    """Whether a check raised this on purpose; what an operation raises is a defect."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    if last is None:
        return False
    package = last.tb_frame.f_globals.get("__name__", "").split(".")[0]
    operation = dis.opname[last.tb_frame.f_code.co_code[last.tb_lasti]]
    return package in CHECKERS and operation == "RAISE_VARARGS"


app = typer.Typer(
    name="scdiff-augment",
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode=None,  # examples stay as they are, to be copied
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Each command has examples: scdiff-augment COMMAND --help. Exit codes: 0, all is well; "
    "2, bad input; 130, interrupted; 1, anything else.",
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(version("scdiff-augment"))
        raise typer.Exit


@app.callback()
def scdiff_augment(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Make new single cells with latent diffusion: of rare types, or of any condition."""


app.command(epilog=fit.EXAMPLES)(fit.fit)
app.command(epilog=add_condition.EXAMPLES)(add_condition.add_condition)
app.command(epilog=sample.EXAMPLES)(sample.sample)
app.command(epilog=oversample.EXAMPLES)(oversample.oversample)
app.command(epilog=interpolate.EXAMPLES)(interpolate.interpolate)
app.command(epilog=evaluate.EXAMPLES)(evaluate.evaluate)


def main() -> None:
    """Run the command line."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(STOPPED))  # so that half files are removed
    app(prog_name="scdiff-augment")
