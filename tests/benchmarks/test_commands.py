"""The command line's front door, and the results versions that pages state."""

import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from scdiff_bench import commands
from scdiff_bench import results_version as versions
from scdiff_bench.commands import COMMANDS, compare, main
from scdiff_bench.commands import reports as reports_command
from scdiff_bench.pages.stated_versions import renewal, stated_version
from scdiff_bench.results_version import ResultsVersion, results_version

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
]
CONFIG = {
    "name": "few",
    "title": "Few",
    "datasets": [{"path": "cells.h5ad", "label_key": "cell_type"}],
    "split": {"kind": "repeated_stratified_cv", "n_splits": 2},
    "strategies": ["none", "smote"],
    "classifiers": ["knn"],
}
RUN = ["run", "few.yaml", "--jobs", "1", "--tracking-uri", "sqlite:///mlflow.db"]


@pytest.fixture
def study(tmp_path, make_anndata, monkeypatch):
    """Run a small study of a file in an empty folder, without MLflow."""
    monkeypatch.chdir(tmp_path)
    make_anndata().write_h5ad(tmp_path / "cells.h5ad")
    (tmp_path / "few.yaml").write_text(yaml.safe_dump(CONFIG))
    monkeypatch.setattr("scdiff_bench.commands.plans.log_study", lambda *given: "none")
    assert main(RUN) == 0
    return tmp_path / "reports" / "few"


def test_help_lists_every_command_with_a_sentence(capsys):
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    for name, command in COMMANDS.items():
        assert f"{name} " in said
        assert command.help in said
        assert command.help.endswith(".")
    assert main([]) == commands.BAD_INPUT


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_of_its_own(name, capsys):
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: scdiff-bench {name} ")


def test_help_imports_nothing_slow():
    code = "import sys; from scdiff_bench.commands import main; main(['--help'])\n"
    code += "assert not {'torch', 'sklearn', 'pandas', 'mlflow', 'yaml'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=paths(ROOT))


def test_without_the_extra_it_says_what_to_install(monkeypatch, capsys):
    def absent(module):
        raise ModuleNotFoundError("No module named 'mlflow'", name="mlflow.entities")

    monkeypatch.setattr(commands, "import_module", absent)
    assert main(["run", "few.yaml"]) == 2
    said = capsys.readouterr().err
    assert "needs the package 'mlflow.entities'" in said
    assert "pip install 'scdiff-augment[benchmark]'" in said


def test_an_unknown_command_is_named_with_the_nearest(capsys):
    assert main(["rank"]) == commands.BAD_INPUT
    said = capsys.readouterr().err
    assert "Unknown command 'rank'. Did you mean 'ranks'?" in said
    assert "scdiff-bench run CONFIG" in said


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["my.yaml", "--jobs", "2"], ["run", "my.yaml", "--jobs", "2"]),
        (["--jobs", "2", "my.yaml"], ["run", "--jobs", "2", "my.yaml"]),
        (["ranks", "reports/a"], ["ranks", "reports/a"]),
        (["--help"], ["--help"]),
    ],
)
def test_from_a_checkout_a_config_alone_is_run(monkeypatch, given, expected):
    seen = []
    monkeypatch.setattr(commands, "main", lambda argv: seen.append(argv) or 0)
    monkeypatch.setattr(sys, "argv", ["benchmarks", *given])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(ROOT / "benchmarks" / "__main__.py"), run_name="__main__")
    assert end.value.code == 0
    assert seen == [expected]


@pytest.mark.parametrize("files", [["a.h5ad"], ["--data", "a.h5ad"]])
def test_the_file_to_compare_is_given_either_way(tmp_path, monkeypatch, files):
    monkeypatch.chdir(tmp_path)
    seen = []
    monkeypatch.setattr(compare.run, "run_study", lambda given, *others: seen.append(given) or 0)
    assert main(["compare", *files, "--label-key", "type"]) == 0
    assert yaml.safe_load(seen[0].config.read_text())["datasets"] == [
        {"path": str(tmp_path / "a.h5ad"), "label_key": "type"}
    ]


@pytest.mark.parametrize("files", [[], ["a.h5ad", "--data", "b.h5ad"]])
def test_compare_wants_one_file(files, capsys):
    with pytest.raises(SystemExit) as end:
        main(["compare", *files, "--label-key", "type"])
    assert end.value.code == commands.BAD_INPUT
    assert "give one h5ad file: scdiff-bench compare FILE" in capsys.readouterr().err


def test_pages_are_listed_with_their_versions(study, capsys):
    (study.parent / "old").mkdir()
    (study.parent / "old" / "index.html").write_text("<html><title>Old</title></html>")
    capsys.readouterr()
    assert main(["reports"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "reports/few/index.html: cells=1 harness=1",
        "reports/index.html: cells=1 harness=1",
        "reports/old/index.html: states no version",
    ]
    assert main(["reports", "--check"]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("reports/old/index.html: states no results version")
    assert "scdiff-bench run CONFIG, with the config whose name is 'old'" in line
    assert main(["reports", "nowhere"]) == commands.BAD_INPUT
    assert "There is no folder 'nowhere'" in capsys.readouterr().err


def test_studies_are_shown_with_their_verdicts_or_one_with_its_tables(study, capsys):
    shutil.copytree(study, study.with_name("another"))
    capsys.readouterr()
    assert main(["show"]) == 0
    said = capsys.readouterr().out
    assert said.count("Winner: ") == 2
    assert "Page:   reports/another/index.html" in said
    assert "macro-F1, mean over" not in said
    assert main(["show", "reports/few"]) == 0
    assert "macro-F1, mean over 2 folds (cells)" in capsys.readouterr().out
    assert main(["show", "nowhere"]) == commands.BAD_INPUT
    assert "nowhere has no study.json" in capsys.readouterr().err


def test_a_later_version_names_every_page_and_what_renews_it(study, capsys, monkeypatch):
    capsys.readouterr()
    assert main(["reports", "--check"]) == 0
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(reports_command, "results_version", lambda: ResultsVersion(1, 2))
    assert main(["reports", "--check"]) == 1
    page, index = capsys.readouterr().out.splitlines()
    assert page == (
        "reports/few/index.html: shows results of cells=1 harness=1, the current version is "
        "cells=1 harness=2; renew it with: scdiff-bench run reports/few/config.yaml"
    )
    assert index.startswith("reports/index.html: shows results of cells=1 harness=1")


def test_a_page_of_several_studies_is_renewed_from_the_same_studies(tmp_path):
    links = '<a href="../one/index.html">One</a> <a href="../two/index.html">Two</a>'
    for name, file, command in (("ranks", "ranks.csv", "ranks"), ("w", "leads.csv", "when")):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text("")
        page = tmp_path / name / "index.html"
        page.write_text(links)
        assert renewal(page) == f"scdiff-bench {command} {tmp_path}/one {tmp_path}/two"


def test_another_results_version_computes_and_states_it(study, monkeypatch, capsys):
    monkeypatch.setattr(versions, "HARNESS_VERSION", 2)
    capsys.readouterr()
    assert main(RUN) == 0
    assert "4 units: 4 computed" in capsys.readouterr().out
    assert results_version() == stated_version(study / "index.html") == ResultsVersion(1, 2)
    assert stated_version(study.parent / "index.html") == ResultsVersion(1, 2)


def paths(root):
    """Environment in which the sources of a checkout are imported."""
    return {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{root / 'benchmarks'}"}


def test_an_edit_of_the_source_leaves_pages_current_and_computes_nothing(study, tmp_path):
    """What counts is the results version: here every module of a copy has another text."""
    copy = tmp_path / "checkout"
    for name in ("scdiff_augment", "benchmarks/scdiff_bench"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in copy.rglob("*.py"):
        file.write_text(file.read_text(encoding="utf-8") + "\n# touched\n", encoding="utf-8")
    start = [sys.executable, "-m", "scdiff_bench"]
    options = {"cwd": tmp_path, "env": paths(copy), "capture_output": True, "text": True}
    checked = subprocess.run([*start, "reports", "--check"], **options, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    again = subprocess.run([*start, *RUN], **options, check=False)
    assert again.returncode == 0, again.stderr
    assert "4 units: 0 computed, 4 from earlier" in again.stdout
