"""Which Pythons and which versions of libraries `make compat` tries."""

import tomllib
from pathlib import Path

import compat
import pytest
from packaging.requirements import Requirement
from packaging.version import Version

PROJECT = tomllib.loads((compat.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
PROMISED = [
    Requirement(text)
    for texts in (PROJECT["dependencies"], *map(EXTRAS.get, ("benchmark", "dask", "fabric", "ray")))
    for text in texts
]
SCRIPT = '#!/bin/sh\n[ "$1" = -c ] && echo {}\nexit {}\n'


def python(path, says, code=0):
    """Write a program that says it is such a Python."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(SCRIPT.format(says, code))
    path.chmod(0o755)
    return path


def test_pythons_are_found_on_path_and_where_pyenv_and_uv_keep_them(tmp_path, monkeypatch):
    on_path = python(tmp_path / "bin/python3.11", "3.11")
    python(tmp_path / "bin/python3.12", "", 1)  # pyenv's, for a version that is not chosen
    python(tmp_path / "pyenv/versions/3.12.1/bin/python", "", 1)  # broken
    kept = python(tmp_path / "pyenv/versions/3.12.0/bin/python", "3.12")
    uv = python(tmp_path / ".local/share/uv/python/cpython-3.14.0-linux/bin/python", "3.14")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr(compat, "MINORS", (11, 12, 14))
    found = compat.interpreters()
    assert found == {"3.11": on_path, "3.12": kept, "3.14": uv}


def test_each_pair_is_run_or_said_to_be_skipped_and_one_failure_fails(monkeypatch, capsys):
    monkeypatch.setattr(compat, "interpreters", lambda: {"3.11": Path("a"), "3.13": Path("b")})
    monkeypatch.setattr(compat, "environment", lambda python, *_: python)
    ran = []

    def tested(python, arguments):
        ran.append((str(python), arguments))
        return str(python) != "b", "7 passed"

    monkeypatch.setattr(compat, "tested", tested)
    assert compat.main(["oldest", "newest", "--", "-m", "not slow"]) == 1
    mine = ["-m", "not slow"]
    oldest = [*mine, *(f"--deselect={test}" for test in compat.FIGURES)]
    assert ran == [("a", oldest), ("a", mine), ("b", mine)]
    for test in compat.FIGURES:
        file, name = test.split("::")
        assert f"def {name}(" in Path(file).read_text()
    assert capsys.readouterr().out.splitlines()[1:] == [
        "Python 3.11, oldest: passed: 7 passed",
        "Python 3.11, newest: passed: 7 passed",
        *[
            f"Python 3.12, {name}: skipped, no python3.12 was found on PATH, in ~/.pyenv or uv's "
            f"folder"
            for name in ("oldest", "newest")
        ],
        "Python 3.13, oldest: skipped, the oldest libraries are tested on Python 3.11",
        "Python 3.13, newest: FAILED: 7 passed",
        *[
            f"Python 3.14, {name}: skipped, no python3.14 was found on PATH, in ~/.pyenv or uv's "
            f"folder"
            for name in ("oldest", "newest")
        ],
    ]
    assert compat.main(["oldest", "--python", "3.11"]) == 0
    assert compat.main(["oldest", "--python", "3.12"]) == 1  # nothing was tried
    with pytest.raises(SystemExit):
        compat.main(["latest"])


def test_nothing_is_run_where_today_is_what_was_tested(monkeypatch, capsys):
    monkeypatch.setattr(compat, "interpreters", lambda: {"3.11": Path("a")})
    monkeypatch.setattr(compat, "environment", lambda python, *_: python)
    monkeypatch.setattr(compat, "tested", lambda *_: (True, "7 passed"))
    monkeypatch.setattr(compat, "newer", lambda *_: {})
    assert compat.main(["resolved", "--python", "3.11"]) == 0
    assert "skipped, pip takes the versions of constraints.txt" in capsys.readouterr().out
    monkeypatch.setattr(compat, "newer", lambda *_: {"numpy": "9.0"})
    assert compat.main(["resolved", "--python", "3.11"]) == 0
    assert "newer than tested: numpy 9.0" in capsys.readouterr().out


def test_the_oldest_versions_that_are_tested_are_those_that_are_promised():
    held = compat.exact(compat.ROOT / "constraints/oldest.txt")
    bounds = {
        compat.normal(r.name): {Version(s.version) for s in r.specifier if s.operator == ">="}
        for r in PROMISED
    }
    assert {name: {Version(held[name])} for name in bounds} == bounds


@pytest.mark.parametrize("file", ["constraints.txt", "constraints/newest.txt"])
def test_what_is_tested_is_what_is_promised(file):
    held = compat.exact(compat.ROOT / file)
    tools = [Requirement(text) for text in EXTRAS["test"]]
    for wanted in [*PROMISED, *(r for r in tools if r.name != PROJECT["name"])]:
        assert wanted.specifier.contains(held[compat.normal(wanted.name)]), wanted


def test_classifiers_name_pythons_that_compat_knows():
    pythons = {c.rpartition(" ")[2] for c in PROJECT["classifiers"] if ":: 3." in c}
    assert pythons <= {f"3.{minor}" for minor in compat.MINORS}
    assert Version(PROJECT["requires-python"].removeprefix(">=")) == min(map(Version, pythons))
