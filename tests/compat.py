"""Run the tests under each Python that is there, with the oldest and the newest libraries.

``make compat`` runs all of it; ``python tests/compat.py newest --python 3.13 -- -m "not slow"``
a part, with arguments for pytest after ``--``. Each pair gets a virtual environment of its own,
``.venv-compat-VERSION-SET``, which is kept. What was skipped, and why, is said at the end.

Sets of libraries:

- oldest: ``constraints/oldest.txt``, the lower bounds of ``pyproject.toml``, for Python 3.11.
- newest: ``constraints/newest.txt``; for Python 3.11 ``constraints.txt``.
- resolved: whatever pip takes today, but for torch, of which another release is gigabytes. If no
  library that ``pyproject.toml`` names has another version than in ``newest``, nothing is run.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
MINORS = (11, 12, 13, 14)
"""Of Python 3: those that may be looked for."""

OLDEST = "3.11"
"""The only Python for which the oldest versions of all libraries exist."""

FIGURES = (
    "tests/test_canary.py::test_results_are_those_on_record",
    "tests/test_readme.py::test_blocks_print_what_the_readme_says_and_new_cells_win",
)
"""Tests of numbers on record, which are not run with the oldest libraries.

torch 2.4 draws other random numbers, and scikit-learn 1.7 weights the classes of a forest otherwise
than 1.9: README's first forest finds .59 of the rare types with the one and .84 with the other.
"""

SETS = ("oldest", "newest", "resolved")


def interpreters() -> dict[str, Path]:
    """Find a Python of each minor version that starts, on PATH and where pyenv and uv keep them."""
    found = {}
    for version in (f"3.{minor}" for minor in MINORS):
        for python in _candidates(version):
            if _runs(python, version):
                found[version] = python
                break
    return found


def _candidates(version: str) -> Iterator[Path]:
    for folder in os.get_exec_path():
        if (path := Path(folder) / f"python{version}").is_file():
            yield path
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from sorted(pyenv.glob(f"versions/{version}.*/bin/python"), reverse=True)
    uv = Path.home() / ".local/share/uv/python"
    yield from sorted(uv.glob(f"cpython-{version}.*/bin/python"), reverse=True)


def _runs(python: Path, version: str) -> bool:
    """Whether it starts: pyenv has a file on PATH for each version that it knows."""
    said = subprocess.run(
        [python, "-c", "import sys, venv; print('%d.%d' % sys.version_info[:2])"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return said.returncode == 0 and said.stdout.strip() == version


def constraints(version: str, libraries: str) -> Path | str:
    """Return the file of exact versions, or the reason why there is none."""
    if libraries == "oldest" and version != OLDEST:
        return f"the oldest libraries are tested on Python {OLDEST}"
    if libraries == "oldest":
        return ROOT / "constraints/oldest.txt"
    return ROOT / ("constraints.txt" if version == OLDEST else "constraints/newest.txt")


def exact(file: Path) -> dict[str, str]:
    """Read a file of constraints: names, as PEP 503 normalises them, to versions."""
    lines = file.read_text(encoding="utf-8").splitlines()
    pairs = (line.partition("==") for line in lines if "==" in line and line[0] != "#")
    return {normal(name): version.strip() for name, _, version in pairs}


def normal(name: str) -> str:
    """Normalise the name of a distribution."""
    return re.sub(r"[-_.]+", "-", name).lower()


def named() -> set[str]:
    """Return the distributions that pyproject.toml names, tools among them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    lists = [project["dependencies"], *(extras[e] for e in ("benchmark", "dask", "fabric", "test"))]
    return {normal(re.split(r"[\s\[<>=!~;]", text)[0]) for texts in lists for text in texts}


def newer(python: Path, tested: dict[str, str]) -> dict[str, str]:
    """Return what pip would install today in another version than was tested."""
    with tempfile.TemporaryDirectory() as folder:
        report, held = Path(folder) / "report.json", Path(folder) / "torch.txt"
        held.write_text(f"torch=={tested['torch']}\n", encoding="utf-8")
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--dry-run",
             "--ignore-installed", "--report", report, "-c", held, f"{ROOT}[test]"],
            check=True,
        )  # fmt: skip
        installed = json.loads(report.read_text(encoding="utf-8"))["install"]
    today = {normal(i["metadata"]["name"]): i["metadata"]["version"] for i in installed}
    wanted = named() & tested.keys() & today.keys()
    return {n: today[n] for n in sorted(wanted) if today[n].split("+")[0] != tested[n]}


def environment(python: Path, version: str, libraries: str, file: Path) -> Path:
    """Make the virtual environment, or bring it up to date; return its Python."""
    folder = ROOT / f".venv-compat-{version}-{libraries}"
    mine, stamp = folder / "bin/python", folder / "installed"
    changed = max(f.stat().st_mtime for f in (ROOT / "pyproject.toml", file))
    if libraries != "resolved" and stamp.is_file() and stamp.stat().st_mtime > changed:
        return mine
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([python, "-m", "venv", folder], check=True)
    held = file
    if libraries == "resolved":
        held = folder / "torch.txt"
        held.write_text(f"torch=={exact(file)['torch']}\n", encoding="utf-8")
    pip = [mine, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-c", held]
    # import-linter, which no test uses, needs a newer rich than the oldest that is promised.
    extra = "benchmark,dask,fabric,ray" if libraries == "oldest" else "test"
    subprocess.run([*pip, "-e", f"{ROOT}[{extra}]"], check=True)
    if libraries == "oldest":
        tools = named() & exact(file).keys() - {"torch"}
        subprocess.run([*pip, *sorted(tools)], check=True)
    stamp.touch()
    return mine


def tested(python: Path, arguments: Iterable[str]) -> tuple[bool, str]:
    """Run the tests; return whether all passed, and pytest's last line."""
    run = subprocess.Popen(
        [python, "-m", "pytest", "-n", "2", "-q", *arguments],
        cwd=ROOT, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    last = ""
    for line in run.stdout or ():
        print(line, end="", flush=True)
        last = line.strip() or last
    return run.wait() == 0, last


def main(argv: list[str]) -> int:
    """Run what was asked for; return 1 if any test failed, or nothing was run."""
    mine, theirs = argv, []
    if "--" in argv:
        mine, theirs = argv[: argv.index("--")], argv[argv.index("--") + 1 :]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", metavar="SET", help=f"of libraries: {', '.join(SETS)}")
    parser.add_argument("--python", nargs="*", metavar="3.X", help="only these; default: all")
    given = parser.parse_args(mine)
    sets = given.sets or ["oldest", "newest"]
    if unknown := [name for name in sets if name not in SETS]:
        parser.error(f"no set of libraries is called {unknown[0]!r}; there are {', '.join(SETS)}.")
    there = interpreters()
    lines, good = [], []
    for version in given.python or [f"3.{minor}" for minor in MINORS]:
        for libraries in sets:
            said, passed = _one(version, libraries, there.get(version), theirs)
            lines.append(f"Python {version}, {libraries}: {said}")
            good += [] if passed is None else [passed]
    print("", *lines, sep="\n")
    return 0 if all(good) and (good or "resolved" in sets) else 1


def _one(
    version: str, libraries: str, python: Path | None, arguments: list[str]
) -> tuple[str, bool | None]:
    """Run the tests once; None where there was nothing to run."""
    if python is None:
        return f"skipped, no python{version} was found on PATH, in ~/.pyenv or uv's folder", None
    file = constraints(version, libraries)
    if isinstance(file, str):
        return f"skipped, {file}", None
    if libraries == "resolved":
        other = newer(python, exact(file))
        if not other:
            return f"skipped, pip takes the versions of {file.relative_to(ROOT)}, torch aside", None
        print("newer than tested:", ", ".join(f"{k} {v}" for k, v in other.items()), flush=True)
    if libraries == "oldest":
        arguments = [*arguments, *(f"--deselect={test}" for test in FIGURES)]
    passed, last = tested(environment(python, version, libraries, file), arguments)
    return ("passed: " if passed else "FAILED: ") + last, passed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
