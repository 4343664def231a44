"""What is built is what runs: contents of sdist and wheel, entry points, dependencies."""

import ast
import configparser
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PACKAGES = {
    "scdiff_augment": ROOT / "scdiff_augment",
    "scdiff_bench": ROOT / "benchmarks" / "scdiff_bench",
}
BUILD = "from hatchling.build import build_{0}; print(build_{0}({1!r}))"
NEEDED = (
    ".ci/run",
    "CHANGELOG.md",
    "CITATION.cff",
    "CONTRIBUTING.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "benchmarks/__main__.py",
    "benchmarks/configs/smoke.yaml",
    "constraints.txt",
    "constraints/oldest.txt",
    "docs/architecture.md",
    "docs/draw_architecture.py",
    "pyproject.toml",
)
"""What an sdist needs beside packages and tests: tests, make and readers look for it."""

ELSEWHERE = {"imblearn_extra": "imbalanced-learn-extra", "scvi": "scvi-tools"}
"""Distributions of modules that need not be installed where tests run."""

WITHOUT_IMPORT = {
    "scdiff-augment": {"dask"},  # the extra of that name, of which `distributed` is imported
    "benchmark": {"celltypist", "imbalanced-learn-extra"},  # the first by scdiff_augment
}
"""Declared though nothing may import them, or only where they are there."""


def files_of(package):
    """Return the files of a package, relative to its parent, caches left out."""
    folder = PACKAGES[package]
    return {
        file.relative_to(folder.parent).as_posix()
        for file in folder.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }


def build(kind, source, to):
    """Build an sdist or a wheel of a source tree without a network; return the file."""
    done = subprocess.run(
        [sys.executable, "-c", BUILD.format(kind, str(to))],
        cwd=source, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return to / done.stdout.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    """Folder of the unpacked sdist."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(build("sdist", ROOT, folder)) as archive:
        archive.extractall(folder, filter="data")
    (unpacked,) = (path for path in folder.iterdir() if path.is_dir())
    return unpacked


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory):
    """Read the wheel that is built from the sdist, as an installer would."""
    with zipfile.ZipFile(build("wheel", sdist, tmp_path_factory.mktemp("wheel"))) as archive:
        yield archive


@pytest.mark.parametrize("package", PACKAGES)
def test_the_wheel_holds_every_file_of_both_packages_and_nothing_else(package, wheel):
    held = {name for name in wheel.namelist() if name.startswith(f"{package}/")}
    assert held == files_of(package)


def test_the_wheel_holds_templates_types_and_licence(wheel):
    names = wheel.namelist()
    assert "scdiff_augment/py.typed" in names
    assert "scdiff_bench/pages/templates/base.html.j2" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    known = re.compile(r"(scdiff_augment|scdiff_bench|scdiff_augment-[^/]+\.dist-info)/")
    assert [name for name in names if not known.match(name)] == []


def test_both_commands_are_entry_points_that_exist(wheel):
    (file,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    found = configparser.ConfigParser()
    found.optionxform = str
    found.read_string(wheel.read(file).decode())
    commands = dict(found["console_scripts"])
    assert commands.keys() == {"scdiff-augment", "scdiff-bench"}
    for target in commands.values():
        module, _, function = target.partition(":")
        package, *parts = module.split(".")
        base = PACKAGES[package].joinpath(*parts)
        source = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
        assert re.search(rf"\b{function}\b", source.read_text(encoding="utf-8")), target


def test_the_sdist_holds_what_its_tests_need(sdist):
    held = {p.relative_to(sdist).as_posix() for p in sdist.rglob("*") if p.is_file()}
    wanted = {
        path.relative_to(ROOT).as_posix()
        for folder in ("tests", "benchmarks", "scdiff_augment")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert sorted((wanted | set(NEEDED)) - held) == []
    assert [name for name in held if name.startswith(("reports/", ".venv"))] == []


def test_the_metadata_names_licence_classifiers_and_addresses(wheel):
    from trove_classifiers import classifiers

    (file,) = (name for name in wheel.namelist() if name.endswith("METADATA"))
    text = wheel.read(file).decode()
    assert "License-Expression: MIT" in text
    assert {"Homepage", "Documentation", "Changelog", "Issues", "Source"} <= set(PROJECT["urls"])
    assert [name for name in PROJECT["classifiers"] if name not in classifiers] == []


def declared(requirements):
    """Return the names of requirements, as PEP 503 normalises them."""
    return {normal(re.split(r"[\s\[<>=!~;]", text)[0]) for text in requirements}


def normal(name):
    """Normalise the name of a distribution."""
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def homes():
    """Return the distributions behind each module that is installed."""
    return packages_distributions()


def imported(package):
    """Return the distributions that a package imports anywhere, each with a file that does so."""
    found = {}
    for file in sorted(PACKAGES[package].rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            for name in {name.partition(".")[0] for name in names}:
                if name in sys.stdlib_module_names or name in PACKAGES:
                    continue
                known = {normal(home) for home in homes().get(name, [ELSEWHERE.get(name, name)])}
                found[frozenset(known)] = file.relative_to(ROOT).as_posix()
    return found


def test_the_package_declares_what_it_imports_and_imports_what_it_declares():
    extras = PROJECT["optional-dependencies"]
    needed, optional = declared(PROJECT["dependencies"]), declared(extras["dask"])
    optional |= declared([*extras["celltypist"], *extras["fabric"], *extras["scanpy"]])
    found = imported("scdiff_augment")
    missing = {file for names, file in found.items() if not names & (needed | optional)}
    assert missing == set()
    used = frozenset().union(*found)
    assert (needed | optional) - used - WITHOUT_IMPORT["scdiff-augment"] == set()


def test_the_harness_declares_what_it_imports_and_imports_what_it_declares():
    extras = PROJECT["optional-dependencies"]
    own = declared(extras["benchmark"])
    optional = declared([*extras["dask"], *extras["ray"], *extras["scvi"]])
    found = imported("scdiff_bench")
    allowed = declared(PROJECT["dependencies"]) | own | optional
    missing = {file for names, file in found.items() if not names & allowed}
    assert missing == set()
    assert own - frozenset().union(*found) - WITHOUT_IMPORT["benchmark"] == set()
