"""Pages for contributors say what the code is: the diagram, and every file that they name."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FOLDERS = ("scdiff_augment/", "benchmarks/", "tests/", "docs/", "reports/", ".github/")


@pytest.fixture
def drawing():
    """Import the script, which is no package."""
    path = ROOT / "docs" / "draw_architecture.py"
    spec = importlib.util.spec_from_file_location("draw_architecture", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write(folder, files):
    """Write a small package."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_the_diagram_is_that_of_the_code(drawing):
    now = drawing.PAGE.read_text(encoding="utf-8")
    assert now == drawing.page(), "run: python docs/draw_architecture.py"


def test_imports_of_every_form_become_arrows(drawing, tmp_path):
    package = write(
        tmp_path / "toy",
        {
            "__init__.py": '_HOMES = {"Thing": ".low.thing"}\n',
            "low/__init__.py": '"""Lowest | of all."""\n',
            "low/thing.py": "import numpy\n",
            "middle/__init__.py": "from toy.low.thing import Thing\n",
            "top.py": "def late():\n    from toy import Thing\n    from . import middle\n",
            "other/__init__.py": "import toy.low\n",
            "other/deep.py": "from .. import results_version\nfrom ..top import late\n",
            "results_version.py": "",
        },
    )
    assert drawing.edges(package) == {
        "low": set(),
        "middle": {"low"},
        "other": {"low", "top"},
        "top": {"low", "middle"},
    }
    assert drawing.shown(drawing.edges(package)) == [
        ("middle", "low"), ("other", "top"), ("top", "middle"),
    ]  # fmt: skip
    assert "| `low/` | Lowest \\| of all | nothing |" in drawing.table(package)


def test_arrows_of_a_cycle_are_all_shown(drawing):
    graph = {"a": {"b", "c"}, "b": {"a"}, "c": set()}
    assert drawing.shown(graph) == [("a", "b"), ("a", "c"), ("b", "a")]


def test_a_page_without_a_marker_is_named(drawing):
    with pytest.raises(ValueError, match=r"must have the marker .*end of rooms"):
        drawing.filled("<!-- rooms: drawn by draw_architecture.py -->", "rooms", "")


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_file_that_is_named_exists(page):
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"`([\w./-]+)`", text)
    files = {name for name in named if name.startswith(FOLDERS) and "NAME" not in name}
    assert sorted(name for name in files if not (ROOT / name).exists()) == []
    links = {target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)}
    inside = {link for link in links if link and "://" not in link}
    assert sorted(link for link in inside if not (page.parent / link).exists()) == []
