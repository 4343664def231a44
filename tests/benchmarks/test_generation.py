"""The framework of the generator's studies, over a study that needs no model."""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from scdiff_bench import commands as cli
from scdiff_bench.generator_studies import registry
from scdiff_bench.generator_studies.config import parse_study_config
from scdiff_bench.generator_studies.parts import Finding, Output, Picture, Table, means
from scdiff_bench.generator_studies.plan import GeneratorStudy
from scdiff_bench.generator_studies.registry import STUDIES, Study

pytestmark = [  # MLflow's own
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
]

RAW = {
    "name": "toy_generation",
    "title": "A toy <study>",
    "description": "How tall the toys are.",
    "study": "toys",
    "datasets": ["toy"],
    "params": {"draws": 3},
}


@dataclass(frozen=True)
class Parameters:
    draws: int = 2
    scale: float = 1.0
    model: dict = field(default_factory=dict)


def make(config, datasets):
    return [
        {"dataset": d.name, "name": f"{d.name} draw {i}", "scale": config.params.scale}
        for d in datasets
        for i in range(config.params.draws)
    ]


def measure(unit, data, seed):
    rng = np.random.default_rng(seed)
    rows = [
        {"method": m, "steps": s, "height": np.float32(unit["scale"] * rng.random())}
        for m, s in (("a++", 5), ("b", 1000))
    ]
    return Output(rows, {"line": rng.random(4)})


def judge(rows):
    best = rows["height"].max()
    return [Finding("Height", f"at most {best:.2f}", "over 0.5", "met" if best > 0.5 else "missed")]


def tabulate(rows):
    return [Table("Heights", means(rows, ["method", "steps"], ["height"]), ["method", "steps"])]


def draw(rows, arrays):
    def paint(figure):
        ax = figure.add_subplot()
        for values in arrays.values():
            ax.plot(values["line"])

    return [
        Picture("lines", "Lines & dots.", (4, 3), paint),
        Picture("raster", "The same.", (4, 3), paint, raster=True),
    ]


@pytest.fixture
def toys(monkeypatch):
    """Register a study, and return a function that replaces parts of it."""

    def register(**changes):
        found = Study(Parameters, make, measure, judge, tabulate, draw, ["Toys are small."], 1)
        monkeypatch.setitem(STUDIES, "toys", replace(found, **changes))

    register()
    return register


@pytest.fixture
def start(tmp_path, make_config, monkeypatch, toys, mlflow_store):
    """Return a function that runs the command line in a folder with an empty MLflow store."""
    make_config()  # registers the data set
    monkeypatch.chdir(tmp_path)

    def run(*arguments, **changes):
        (tmp_path / "toys.yaml").write_text(yaml.safe_dump(RAW | changes))
        where = ["--tracking-uri", f"sqlite:///{tmp_path}/mlflow.db"]
        return cli.main(["run", "toys.yaml", "--jobs", "1", *where, *arguments])

    return run


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "reports" / "toy_generation"


def test_a_study_end_to_end(start, folder, tmp_path, capsys, dataset):
    assert start() == 0
    out = capsys.readouterr().out
    assert "3 units: 3 computed, 0 from earlier runs; 6 rows, 0 failed." in out
    assert "Height: at most 0." in out
    rows = pd.read_parquet(folder / "rows.parquet")
    assert rows["unit_name"].unique().tolist() == [f"toy draw {i}" for i in range(3)]
    assert (rows["dataset_digest"] == dataset.digest).all()
    assert rows["unit_seed"].nunique() == 3
    assert (rows["unit_seconds"] > 0).all()
    mean, sd = rows.loc[rows["method"] == "b", "height"].agg(["mean", "std"])
    table = (folder / "table.md").read_text()
    assert f"| b | 1,000 | {mean:.3f} ± {sd:.3f} | 3 |" in table
    assert "- Height: at most" in table
    for ending, magic in ((".png", b"\x89PNG"), (".svg", b"<?xml")):
        for name in ("lines", "raster"):
            assert (folder / "figures" / (name + ending)).read_bytes().startswith(magic)

    html = (folder / "index.html").read_text()
    assert "A toy &lt;study&gt;" in html
    assert html.index("at most 0.") < html.index("<svg ") < html.index(f"{mean:.3f} ± {sd:.3f}")
    assert "Lines &amp; dots." in html
    assert html.count('src="data:image/png;base64,') == 1
    assert not re.findall(r'(?:src|href)="(?!data:|#)', html)
    assert dataset.digest in html
    assert "Toys are small." in html
    assert '<meta name="results-version" content="cells=1 harness=1">' in html
    said = "Computed with results version 1 of the cells and 1 of the harness."
    assert said in html
    assert table.rstrip().endswith(said)
    assert "A toy &lt;study&gt;" in (folder.parent / "index.html").read_text()
    assert (rows[["results_cells", "results_harness"]] == 1).all(axis=None)

    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.get_experiment_by_name("toy_generation")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.metrics["b/1000/height"] == pytest.approx(mean)
    assert "app/5/height" in run.data.metrics
    assert run.data.params["draws"] == "3"
    assert run.data.tags["version.results.cells"] == run.data.tags["version.results.harness"] == "1"
    assert {f.path for f in client.list_artifacts(run.info.run_id)} >= {"index.html", "lines.png"}
    (logged,) = run.inputs.dataset_inputs
    assert dataset.digest.startswith(logged.dataset.digest)


def test_only_what_changed_is_computed_again(start, folder, capsys):
    assert start() == start(params={"draws": 4}) == start(params={"draws": 4, "scale": 2.0}) == 0
    out = capsys.readouterr().out
    for said in ("3 computed, 0 from", "1 computed, 3 from", "4 computed, 0 from"):
        assert said in out
    # Arrays come back from the disk as they were: the figure is the same.
    before = (folder / "figures" / "lines.svg").read_bytes()
    (folder / "figures" / "lines.svg").unlink()
    assert start(params={"draws": 4, "scale": 2.0}) == 0
    assert "0 computed, 4 from" in capsys.readouterr().out
    assert (folder / "figures" / "lines.svg").read_bytes() == before
    lost = pd.read_parquet(folder / "rows.parquet")["unit"].iloc[0]
    (folder / "units" / f"{lost}.npz").unlink()
    assert start(params={"draws": 4, "scale": 2.0}, title="Another") == 0
    assert "0 computed, 4 from" in capsys.readouterr().out  # it was packed, too
    (folder / "units.zip").unlink()
    assert start(params={"draws": 4, "scale": 2.0}, title="A third") == 0
    assert "1 computed, 3 from" in capsys.readouterr().out


def test_other_cells_or_another_version_of_a_study_are_another_unit(make_config, toys, tmp_path):
    make_config()
    plan = GeneratorStudy(parse_study_config(RAW, tmp_path))
    plan.load()
    unit = plan.units[0]
    keys = {unit.key}
    toys(version=2)
    keys.add(unit.key)
    keys.add(replace(unit, dataset=replace(unit.dataset, digest="other")).key)
    keys.add(replace(unit, values={**unit.values, "scale": 3.0}).key)
    keys.add(replace(unit, config=replace(unit.config, seed=1)).key)
    assert len(keys) == 5


def test_a_unit_that_raises_fails_alone_and_is_tried_again(start, toys, folder, capsys):
    def broken(unit, data, seed):
        if unit["name"].endswith("1"):
            raise RuntimeError("no <toys> today")
        return measure(unit, data, seed)

    toys(compute=broken)
    assert start() == cli.FAILED == 1
    said = capsys.readouterr()
    assert "5 rows, 1 failed" in said.out
    assert "failed: 1 rows of toy draw 1: RuntimeError: no <toys> today" in said.err
    rows = pd.read_parquet(folder / "rows.parquet")
    assert rows.loc[rows["status"] == "failed", "error"].tolist() == [
        "RuntimeError: no <toys> today"
    ]
    html = (folder / "index.html").read_text()
    assert "1 of 3 units failed" in html
    assert "no &lt;toys&gt; today" in html
    toys()
    assert start() == 0
    assert "1 computed, 2 from" in capsys.readouterr().out


def test_a_study_in_which_everything_fails_still_has_a_page(start, toys, folder):
    toys(compute=lambda unit, data, seed: Output([]))
    assert start() == cli.FAILED
    html = (folder / "index.html").read_text()
    assert "Every unit failed" in html
    assert "the study gave no rows for this unit" in html


def test_ctrl_c_keeps_what_is_done(start, toys, capsys):
    done = []

    def stops(unit, data, seed):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(unit)
        return measure(unit, data, seed)

    toys(compute=stops)
    assert start() == cli.STOPPED == 130
    assert "2 of 3 units are stored" in capsys.readouterr().err
    toys()
    assert start() == 0
    assert "1 computed, 2 from" in capsys.readouterr().out


def test_warnings_stand_in_rows_and_page(start, toys, folder):
    import warnings

    def noisy(unit, data, seed):
        warnings.warn("mind the toys", UserWarning, stacklevel=1)
        return measure(unit, data, seed)

    toys(compute=noisy)
    assert start() == 0
    rows = pd.read_parquet(folder / "rows.parquet")
    assert set(rows["warnings"]) == {"UserWarning: mind the toys"}
    assert "3 units warned: UserWarning: mind the toys" in (folder / "index.html").read_text()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"study": "toyz"}, "Unknown study 'toyz'. Did you mean 'toys'?"),
        ({"strategies": ["none"]}, "Unknown key 'strategies'"),
        ({"params": {"drws": 2}}, "Unknown key of params of study 'toys' 'drws'. Did you mean"),
        ({"params": {"draws": "two"}}, "params: draws='two' must be of type int"),
        ({"params": {"draws": True}}, "params: draws=True must be of type int"),
        ({"params": [1]}, "params=[1] must be a mapping"),
        ({"datasets": ["toi"]}, "Unknown data set 'toi'"),
    ],
)
def test_bad_input_is_said_before_any_work(start, toys, capsys, changes, message):
    toys(compute=None)
    assert start(**changes) == cli.BAD_INPUT
    said = capsys.readouterr().err
    assert said.startswith("error: toys.yaml: ")
    assert message in said
    assert said.count("\n") == 1


def test_units_of_one_name_are_refused(start, toys, capsys):
    toys(units=lambda config, datasets: make(config, datasets) * 2)
    assert start() == cli.BAD_INPUT
    assert "several units named 'toy draw 0'" in capsys.readouterr().err


def test_a_whole_number_may_stand_for_a_float(toys, make_config, tmp_path):
    make_config()
    config = parse_study_config(RAW | {"params": {"scale": 2}}, tmp_path)
    assert type(config.params.scale) is float


def test_tables_show_and_log_their_numbers():
    frame = pd.DataFrame(
        {"who": ["a", "b"], "score": [0.25, -0.5], "score_sd": [0.01, np.nan], "runs": [3, 1]}
    )
    table = Table("T", frame, ["who"], titles={"score": "MMD"}, digits={"score": 2})
    small = pd.DataFrame({"who": ["a"], "error": [2e-7], "other": [2e-7]})
    assert Table("T", small, ["who"], powers=["error"]).lines() == [["a", "2e−07", "0.000"]]
    assert table.heads == ["who", "MMD", "runs"]
    assert table.lines() == [["a", "0.25 ± 0.01", "3"], ["b", "−0.50", "1"]]
    assert table.metrics() == {
        "a/score": 0.25,
        "a/score_sd": 0.01,
        "a/runs": 3.0,
        "b/score": -0.5,
        "b/runs": 1.0,
    }


def test_every_study_is_found_with_both_modules():
    folder = Path(registry.__file__).parent
    names = {p.parent.name for p in folder.glob("*/study.py")}
    assert names == {p.parent.name for p in folder.glob("*/view.py")}
    assert len(names) == 7
    assert names <= set(STUDIES)
    for study in STUDIES.values():
        study.parameters()
