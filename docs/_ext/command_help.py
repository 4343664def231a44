"""The help of each command of ``scdiff-augment``, where a page has ``<!-- commands -->``."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

PLACE = "<!-- commands -->"
COMMANDS = ("fit", "add-condition", "sample", "oversample", "interpolate", "evaluate")
WIDTH = 76


def help_of(command: str) -> str:
    """Return the help of a command, as a terminal of `WIDTH` columns shows it."""
    return subprocess.run(
        [sys.executable, "-m", "scdiff_augment", command, "--help"],
        env=os.environ | {"COLUMNS": str(WIDTH), "NO_COLOR": "1", "TERM": "dumb"},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


def read(app: Any, docname: str, source: list[str]) -> None:
    """Put the help of all commands in the place of the marker."""
    if PLACE in source[0]:
        parts = [f"## {name}\n\n```text\n{help_of(name)}\n```\n" for name in COMMANDS]
        source[0] = source[0].replace(PLACE, "\n".join(parts))


def setup(app: Any) -> dict[str, Any]:
    """Connect to the build."""
    app.connect("source-read", read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
