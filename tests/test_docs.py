"""Pages say what the code is: the diagram, every file and every parameter that they name."""

import ast
import importlib.util
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import scdiff_augment
from scdiff_augment import metrics, plotting
from scdiff_augment.metrics import scoring

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
BUILT = {"_build", "auto_examples", "generated"}
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *(page for page in sorted(DOCS.rglob("*.md")) if not BUILT & set(page.parts)),
]
EXAMPLES = sorted((DOCS / "gallery").glob("*.py"))
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


def written(page):
    """Return a page as a reader sees it: some stand for a file elsewhere."""
    text = page.read_text(encoding="utf-8")
    return "" if text.startswith("<!-- The text of this page") else text


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_file_that_is_named_exists(page):
    text = written(page)
    named = re.findall(r"`([\w./-]+)`", text)
    files = {name for name in named if name.startswith(FOLDERS) and "NAME" not in name}
    assert sorted(name for name in files if not there(ROOT / name)) == []
    links = {target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)}
    inside = {link for link in links if link and "://" not in link}
    examples = {link for link in inside if link.startswith("/auto_examples/")}
    sources = {DOCS / "gallery" / f"{Path(link).stem}.py" for link in examples}
    sources -= {DOCS / "gallery" / "index.py"}
    assert sorted(source for source in sources if source not in EXAMPLES) == []
    assert sorted(link for link in inside - examples if not there(page.parent / link)) == []


def there(path):
    """Whether a file exists; an sdist has no reports."""
    path = path.resolve()
    reports = ROOT / "reports"
    return path.exists() or (path.is_relative_to(reports) and not reports.exists())


def called_names(tree):
    """Yield each call of a public name, with the keywords that it is given."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            function = node.func
            name = getattr(function, "attr", getattr(function, "id", None))
            yield name, {keyword.arg for keyword in node.keywords if keyword.arg}


def public():
    """Parameters of every public function, class and method, by its last name."""
    found = {}
    for module in (scdiff_augment, metrics, plotting):
        for name in module.__all__:
            thing = getattr(module, name)
            found.setdefault(name, []).append(thing)
            if inspect.isclass(thing):
                for method, value in inspect.getmembers(thing, inspect.isfunction):
                    if not method.startswith("_") and "scdiff_augment" in value.__module__:
                        found.setdefault(method, []).append(value)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_examples_use_names_and_parameters_that_exist(page):
    known, wrong = public(), []
    blocks = re.findall(r"^( *)```python\n(.*?)^ *```", written(page), re.DOTALL | re.MULTILINE)
    for indent, block in blocks:
        tree = ast.parse(re.sub(rf"^{indent}", "", block, flags=re.MULTILINE))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module == "scdiff_augment":
                wrong += [a.name for a in node.names if not is_offered(a.name)]
        for name, keywords in called_names(tree):
            signatures = [inspect.signature(thing).parameters for thing in known.get(name, ())]
            if signatures and not any(accepts(some, keywords) for some in signatures):
                wrong.append(f"{name}({', '.join(sorted(keywords))})")
    assert wrong == []


def is_offered(name):
    """Whether ``from scdiff_augment import name`` works."""
    return name in (*scdiff_augment.__all__, "metrics", "plotting")


def accepts(parameters, keywords):
    """Whether a signature takes these keywords."""
    free = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    return free or keywords <= parameters.keys()


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_commands_have_options_that_exist(page):
    blocks = re.findall(r"```(?:console)?\n(.*?)```", written(page), re.DOTALL)
    text = "\n".join(blocks + re.findall(r"`(scdiff-\w+ [^`]+)`", written(page)))
    text = text.replace("\\\n", " ")
    commands = re.findall(r"scdiff-(augment|bench) ([a-z-]+)([^\n#]*)", text)
    for program, command, rest in commands:
        options = set(re.findall(r"(?<!\S)--[a-z-]+", rest))
        if options:
            missing = sorted(options - set(options_of(program, command)))
            assert missing == [], f"scdiff-{program} {command}"


def options_of(program, command):
    """Return what the help of a command names."""
    module = {"augment": "scdiff_augment", "bench": "scdiff_bench"}[program]
    if (program, command) not in HELP:
        done = subprocess.run(
            [sys.executable, "-m", module, command, "--help"],
            capture_output=True, text=True, check=True, cwd=ROOT / "benchmarks",
        )  # fmt: skip
        HELP[program, command] = re.findall(r"--[a-z-]+", done.stdout)
    return HELP[program, command]


HELP = {}


def test_every_public_name_is_in_the_reference():
    text = (DOCS / "api.rst").read_text(encoding="utf-8")
    listed = set(re.findall(r"^   (\w+)$", text, flags=re.MULTILINE))
    for module in (scdiff_augment, metrics, plotting):
        assert sorted(set(module.__all__) - listed) == []


def test_every_metric_of_evaluate_is_explained():
    table = (DOCS / "evaluation.md").read_text(encoding="utf-8").partition("## Metric by metric")[2]
    rows = re.findall(r"^\| (`.*?`) \|", table, flags=re.MULTILINE)
    explained = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert explained == set(scoring.IDEAL)


def test_every_parameter_of_the_sampler_is_in_the_table_of_parameters():
    table = (DOCS / "parameters.md").read_text(encoding="utf-8").partition("## `LatentD")[0]
    named = set(re.findall(r"`(\w+)=?`", table))
    assert set(scdiff_augment.DiffusionOversampler().get_params(deep=False)) <= named


def test_figures_of_the_limits_are_those_that_were_measured():
    means = pd.read_csv(DOCS / "limits.csv").groupby("cells").mean()
    columns = ["forest_auc_genes", "forest_auc_pca", "mmd", "spread", "zero_fraction_difference",
               "coverage"]  # fmt: skip
    text = (DOCS / "limits.md").read_text(encoding="utf-8").replace("−", "-")
    rows = re.findall(r"^\| (?:\S.*) \|(?: [-+.\d]+ \|){6}$", text, flags=re.MULTILINE)
    written_down = [[float(cell) for cell in row.split("|")[2:-1]] for row in rows]
    measured = means.loc[["real cells", "generator", "sampler"], columns].to_numpy().tolist()
    assert written_down == [pytest.approx(row, abs=0.0051) for row in measured]


def test_every_example_is_linked_and_begins_with_its_title():
    text = "".join(written(page) for page in PAGES)
    for example in EXAMPLES:
        assert f"/auto_examples/{example.stem}.rst" in text, example.name
        title = ast.get_docstring(ast.parse(example.read_text(encoding="utf-8"))).splitlines()
        assert len(title[0]) == len(title[1]), example.name
