"""Check the docstrings of all public names as they are after import, by numpydoc's rules.

``numpydoc lint`` reads source files and sees no inherited signature; this looks at what users see
in ``help``: every name in the ``__all__`` of the public modules, and the public methods of classes.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from importlib import import_module

from numpydoc.validate import validate

PUBLIC = ("scdiff_augment", "scdiff_augment.metrics", "scdiff_augment.plotting")

CHECKS = {
    *("GL01", "GL02", "GL03", "GL05", "GL06", "GL07", "GL08", "GL09", "GL10"),
    *("SS01", "SS02", "SS03", "SS04", "SS06"),
    *("PR02", "PR05", "PR06", "PR07", "PR09", "PR10"),
    *("RT02", "RT04", "RT05"),
}
"""numpydoc's codes: a docstring, a summary, parameters that exist, with types that can be read."""


def names() -> Iterator[str]:
    """Yield the full name of every public object and method."""
    for module in PUBLIC:
        found = import_module(module)
        for name in found.__all__:
            thing = getattr(found, name)
            full = f"{thing.__module__}.{thing.__qualname__}"
            yield full
            if not inspect.isclass(thing):
                continue
            for method, value in inspect.getmembers(thing):
                function = getattr(value, "fget", value)
                ours = getattr(function, "__module__", None) or ""
                if not method.startswith("_") and ours.startswith("scdiff_augment"):
                    yield f"{full}.{method}"


def main() -> int:
    """Print what is wrong, a line each."""
    wrong = 0
    for name in names():
        for code, message in validate(name)["errors"]:
            if code in CHECKS:
                wrong += 1
                print(f"{name}: {code} {message}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
