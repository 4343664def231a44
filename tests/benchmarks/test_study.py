"""The command line, the page and MLflow, over one small study."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from scdiff_bench import commands as cli
from scdiff_bench.commands import console
from scdiff_bench.config.study import load_config
from scdiff_bench.data.datasets import DATASETS, from_anndata
from scdiff_bench.pages import study_page
from scdiff_bench.pages.sentences import sentences
from scdiff_bench.pages.stated_versions import stated_version
from scdiff_bench.pages.words import label
from scdiff_bench.results_version import ResultsVersion
from scdiff_bench.running import runner
from scdiff_bench.running.finished_study import read_study
from scdiff_bench.strategies import catalogue as strategies
from scdiff_bench.strategies.catalogue import Entry

pytestmark = [  # MLflow's own
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
]

STATED = "Computed with results version 1 of the cells and 1 of the harness."
PAGE = Path("reports/toy_study/index.html")
RAW = {
    "name": "toy_study",
    "title": "A toy <study>",
    "datasets": ["toy"],
    "split": {"kind": "rare_cell_draw", "rare": ["D"], "n": [4], "n_other": 40, "draws": 2},
    "strategies": ["none", "class_weight", "smote", "diffusion"],
    "classifiers": ["logistic_regression", "knn"],
    "scores": ["rare_f1", "macro_f1", "log_loss"],
}


def uri(folder):
    """Absolute: within a process MLflow keeps the first database of a relative address."""
    return f"sqlite:///{folder}/mlflow.db"


def command_line(folder, monkeypatch):
    """Return a function that runs the toy study in a folder, with changes to its config."""
    monkeypatch.chdir(folder)

    def noisy_copies(sampling_strategy, random_state, **params):
        return strategies.random_oversampler(sampling_strategy, random_state, shrinkage=0.5)

    monkeypatch.setitem(strategies.STRATEGIES, "diffusion", Entry(noisy_copies, baseline=False))

    def run(*arguments, **changes):
        (folder / "toy.yaml").write_text(yaml.safe_dump(RAW | changes))
        where = [] if "--tracking-uri" in arguments else ["--tracking-uri", uri(folder)]
        return cli.main(["run", "toy.yaml", "--jobs", "1", *where, *arguments])

    return run


@pytest.fixture
def start(tmp_path, make_config, monkeypatch, mlflow_store):
    """Return a function that runs the command line in a folder with an empty MLflow store."""
    make_config()  # registers the data set
    return command_line(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, make_anndata):
    """Folder in which three studies were run, for tests that only read them; copied, never used."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        toy = from_anndata(make_anndata(), "toy", "cell_type")
        patch.setitem(DATASETS, "toy", lambda: toy)
        patch.setattr("scdiff_bench.commands.plans.log_study", lambda *given: "none")
        patch.setattr("scdiff_bench.running.resources.gc.collect", lambda: 0)  # of all imports
        run = command_line(folder, patch)
        two_sizes = {"split": RAW["split"] | {"n": [3, 4]}, "scores": ["macro_f1", "rare_pr_auc"]}
        assert run() == 0
        assert run(name="one", seed=0, **two_sizes) == run(name="two", seed=1, **two_sizes) == 0
    return folder


@pytest.fixture
def studies(finished, start, tmp_path):
    """Put finished studies, toy_study, one and two, into the test's folder; return `start`."""
    shutil.copytree(finished / "reports", tmp_path / "reports")
    return start


class Page(HTMLParser):
    """Collect text, and check that tags close and ids are unique."""

    VOID = frozenset({"meta", "br", "link", "img", "hr", "path", "use"})

    def __init__(self, html):
        super().__init__()
        self.open, self.ids, self.text, self.outside = [], [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)
        found = dict(attrs)
        self.ids += [found["id"]] if "id" in found else []
        self.outside += [v for k, v in attrs if k in ("src", "href") and not v.startswith("#")]

    def handle_startendtag(self, tag, attrs):
        self.ids += [v for k, v in attrs if k == "id"]

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_a_study_end_to_end(start, tmp_path, capsys):
    assert start() == 0
    out = capsys.readouterr().out
    folder = tmp_path / "reports" / "toy_study"
    for part in ("mean over 2 folds (toy, 4 training cells per rare type)", "peak memory, MB"):
        assert part in out
    assert "mlflow ui --backend-store-uri sqlite:///" in out.rstrip().splitlines()[-1]
    assert "Page:   reports/toy_study/index.html" in out
    (winner,) = [line for line in out.splitlines() if line.startswith("Winner: ")]
    assert re.search(
        r"F1 of the rare types 0\.\d{3}.*; lead of augmentation [+−]0\.\d{3} \[", winner
    )

    rows = pd.read_parquet(folder / "rows.parquet")
    assert len(rows) == 2 * 4 * 2
    assert len(pd.read_parquet(folder / "classes.parquet")) == len(rows) * 4
    table = pd.read_csv(folder / "table.csv")
    mean = rows.groupby(["strategy", "classifier"])["rare_f1"].mean()
    for _, line in table.iterrows():
        assert line["rare_f1"] == pytest.approx(
            mean[line["strategy"], line["classifier"]], abs=1e-4
        )
    assert "| diffusion | kNN |" in (folder / "table.md").read_text()
    assert (folder / "figures" / "toy_n4.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "figures" / "toy_n4.svg").read_text().startswith("<?xml")

    html = (folder / "index.html").read_text()
    page = Page(html)
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert page.outside == []
    text = re.sub(r"\s+", " ", " ".join(page.text))
    assert "A toy <study>" in text
    assert text.index("Comparison: toy, 4 training cells per rare type") < text.index(
        "Differences in"
    )
    assert "has the best mean" in text
    assert text.index("Where it helps, where not") < text.index("Comparison: toy")
    assert text.index("Winner: ") < text.index("Findings") < text.index("Where it helps, where not")
    assert winner.split("; lead")[0] in text
    assert "Best with augmentation: diffusion + " in text
    before = {f: f.stat().st_mtime_ns for f in folder.rglob("*")}
    assert cli.main(["show", str(folder)]) == 0  # the same, and nothing is written
    assert winner in capsys.readouterr().out
    assert {f: f.stat().st_mtime_ns for f in folder.rglob("*")} == before
    assert re.search(r"diffusion against the best baseline: [+−]0\.\d+ F1 of the rare types", text)
    assert re.search(r"diffusion − best baseline: [+−]0\.\d{3} \[", text)
    assert re.search(r"no clear difference|better|worse", text)
    assert "kNN cannot weight classes" in text
    assert "k_neighbors lowered from 5 to 3: class 'D' has 4 cells" in text
    assert rows["dataset_digest"].iloc[0] in text
    assert html.count("<svg ") == 4  # dots and calibration, for two classifiers
    assert '<meta name="results-version" content="cells=1 harness=1">' in html
    assert STATED in text
    assert (folder / "table.md").read_text().rstrip().endswith(STATED)
    assert (table[["results_cells", "results_harness"]] == 1).all(axis=None)
    assert (rows[["results_cells", "results_harness"]] == 1).all(axis=None)


def test_the_page_is_made_of_what_a_notebook_reads(studies, tmp_path):
    folder = tmp_path / "reports" / "toy_study"
    study = read_study("reports/toy_study")
    assert study_page.render(study) == (folder / "index.html").read_text()
    assert study.findings == sentences(study.summary())
    assert study.summary() is study.summary()
    assert study.results == ResultsVersion(1, 1)
    assert study.progress == (8, 8)
    rows = pd.read_parquet(folder / "rows.parquet")
    (block,) = study.summary().blocks
    wide = study.summary().with_baseline(block, "knn", "rare_f1")
    mine = rows[rows["classifier"] == "knn"].pivot(
        index="fold_index", columns="strategy", values="rare_f1"
    )
    for name in RAW["strategies"]:
        assert wide[name].tolist() == mine[name].tolist()


def test_mlflow_has_the_whole_study(start, tmp_path, capsys):
    from mlflow import MlflowClient

    assert start() == start() == 0
    client = MlflowClient(uri(tmp_path))
    experiment = client.get_experiment_by_name("toy_study")
    runs = client.search_runs([experiment.experiment_id])
    assert not any("mlflow.parentRunId" in r.data.tags for r in runs)  # none hides another
    studies = [r for r in runs if "study.run" not in r.data.tags]
    assert len(studies) == 2  # a rerun makes a new one
    study = studies[0]
    assert study.info.status == "FINISHED"
    assert study.data.params["split.n_other"] == "40"
    assert json.loads(study.data.params["strategies"]) == RAW["strategies"]
    assert "version.scikit-learn" in study.data.tags
    assert study.data.tags["version.results.cells"] == "1"
    assert study.data.tags["version.results.harness"] == "1"
    names = {f.path for f in client.list_artifacts(study.info.run_id)}
    assert {"rows.parquet", "classes.parquet", "index.html", "table.csv", "toy_n4.png"} <= names
    assert "A toy <study>" in experiment.tags["mlflow.note.content"]
    assert "the best by `rare_f1` stands first" in experiment.tags["mlflow.note.content"]
    view = json.loads(experiment.tags["mlflow.sharedViewState.ranking"])
    assert {"metrics.`macro_f1`", "metrics.`seconds`", "params.`strategy`"} < set(
        view["selectedColumns"]
    )
    where = f"#/experiments/{experiment.experiment_id}/runs?workflowType=machine_learning"
    assert f"{where}&viewStateShareKey=ranking" in capsys.readouterr().out

    # The table as it opens, the latest first: a ranking, with the study itself below.
    mine = [r for r in runs if r.data.tags.get("study.run") == study.info.run_id]
    titles = ("logistic regression", "kNN")
    expected = {f"{label(s)} + {t}" for s in RAW["strategies"] for t in titles}
    assert {r.info.run_name for r in mine} == expected
    shown = sorted(mine, key=lambda r: -r.info.start_time)
    scores = [r.data.metrics["rare_f1"] for r in shown]
    assert scores == sorted(scores, reverse=True)
    assert study.info.start_time <= min(r.info.start_time for r in mine)

    rows = pd.read_parquet("reports/toy_study/rows.parquet")
    (child,) = (r for r in mine if r.info.run_name == "smote + kNN")
    assert (child.data.params["strategy"], child.data.params["classifier"]) == ("smote", "knn")
    mine = rows[(rows["strategy"] == "smote") & (rows["classifier"] == "knn")]
    history = client.get_metric_history(child.info.run_id, "fold/rare_f1")
    steps = {m.step: m.value for m in history}
    assert steps == dict(zip(mine["fold_index"], mine["rare_f1"], strict=True))
    assert child.data.metrics["rare_f1"] == pytest.approx(mine["rare_f1"].mean(), abs=1e-4)
    cost = (mine["seconds_resample"] + mine["seconds_fit"]).mean()
    assert child.data.metrics["seconds"] == pytest.approx(cost, abs=1e-4)
    assert child.data.metrics["peak_memory_mb"] > 0
    (logged,) = child.inputs.dataset_inputs
    assert logged.dataset.name == "toy"
    digest = rows["dataset_digest"].iloc[0]
    assert digest.startswith(logged.dataset.digest)
    assert len(logged.dataset.digest) == 36
    assert json.loads(logged.dataset.profile)["sha256"] == digest


def test_labels_and_titles_are_text_on_pages_and_in_tables(start, make_anndata, monkeypatch):
    names = ["<script>alert(1)</script>", "A\" onload='x' & B", "=1+1", "</td></table>"]
    cells = make_anndata(dict(zip(names, [60, 40, 24, 12], strict=True)))
    dataset = from_anndata(cells, "@toy<b>", "cell_type")
    monkeypatch.setitem(DATASETS, "toy", lambda: dataset)
    split = RAW["split"] | {"rare": names[2:]}
    assert start(title="</title><script>x", split=split, strategies=["none", "diffusion"]) == 0
    html = PAGE.read_text(encoding="utf-8")
    page = Page(html)
    assert page.open == []
    assert page.outside == []
    assert html.count("<script") == html.count("</script") == 0
    text = " ".join(page.text)
    for name in ["@toy<b>", "</title><script>x", *names]:
        assert name in text
    index = Page(Path("reports/index.html").read_text(encoding="utf-8"))
    assert index.open == []
    assert "</title><script>x" in " ".join(index.text)
    assert set(pd.read_csv(PAGE.with_name("table.csv"))["dataset"]) == {"'@toy<b>"}


@pytest.mark.filterwarnings("ignore:The filesystem tracking backend:FutureWarning")  # MLflow 3.7
@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:9", "sqlite:////proc/none/mlflow.db", "file:///proc/none"]
)
def test_an_unreachable_mlflow_loses_nothing(start, tmp_path, capsys, monkeypatch, address):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    changes = {"strategies": ["none"], "classifiers": ["knn"]}
    assert start("--tracking-uri", address, **changes) == 0
    said = capsys.readouterr()
    assert "warning: MLflow could not be reached or refused the study" in said.err
    assert "All rows are on disk" in said.err
    assert address in said.err
    assert "index.html" in said.out
    assert len(pd.read_parquet("reports/toy_study/rows.parquet")) == 2


def test_a_failing_strategy_ends_with_another_code(start, tmp_path, monkeypatch, capsys):
    def broken(sampling_strategy, random_state):
        raise RuntimeError("no <cells> today")

    monkeypatch.setitem(strategies.STRATEGIES, "smote", Entry(broken))
    assert start() == cli.FAILED
    assert "failed: 4 rows of smote: RuntimeError: no <cells> today" in capsys.readouterr().err
    page = Page(PAGE.read_text(encoding="utf-8"))
    text = " ".join(page.text)
    assert "4 of 16 rows failed" in text
    assert "no <cells> today" in text
    assert "What failed" in text
    from mlflow import MlflowClient

    client = MlflowClient(uri(tmp_path))
    runs = client.search_runs([client.get_experiment_by_name("toy_study").experiment_id])
    failed = {r.info.run_name: r.data.tags.get("error") for r in runs if r.info.status == "FAILED"}
    assert failed == {
        "study toy_study: page, tables, models": None,
        "smote + kNN": "RuntimeError: no <cells> today",
        "smote + logistic regression": "RuntimeError: no <cells> today",
    }


def test_a_study_in_which_everything_fails_still_has_a_page(start, monkeypatch):
    def broken(sampling_strategy, random_state):
        raise RuntimeError("nothing works")

    monkeypatch.setitem(strategies.STRATEGIES, "none", Entry(broken))
    assert start(strategies=["none"]) == cli.FAILED
    assert "nothing works" in PAGE.read_text(encoding="utf-8")


def test_ctrl_c_says_how_to_go_on(start, monkeypatch, capsys):
    real, done = runner.run_unit, []

    def stops(unit):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(unit)
        return real(unit)

    monkeypatch.setattr(runner, "run_unit", stops)
    assert start("--force") == cli.STOPPED == 130
    said = capsys.readouterr().err
    assert "3 of 8 units are stored" in said
    assert "scdiff-bench run toy.yaml --jobs 1 --tracking-uri" in said
    assert "--force" not in said
    page = PAGE.read_text(encoding="utf-8")  # of the strategies that the first fold has
    assert "3 of 8 units are done" in page
    assert "page compares what has finished on one fold, without diffusion." in page
    monkeypatch.setattr(runner, "run_unit", real)
    assert start() == 0
    assert "8 units: 5 computed, 3 from earlier runs" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "changes", "message"),
    [
        ([], {"strategies": ["smoot"]}, "error: toy.yaml: Unknown strategy 'smoot'. Did you mean"),
        ([], {"datasets": [{"path": "a.h5ad", "label_key": "t"}]}, "there is no file 'a.h5ad'"),
        (["--out", "toy.yaml"], {}, "cannot be written"),
        (["--jobs", "0"], {}, "needs at least 1 process"),
    ],
)
def test_bad_input_is_said_before_any_work(start, capsys, monkeypatch, arguments, changes, message):
    monkeypatch.setattr(runner, "run_unit", None)
    assert start(*arguments, **changes) == cli.BAD_INPUT
    said = capsys.readouterr()
    assert message in said.err
    assert "Traceback" not in said.err
    assert np.char.count(said.err, "\n") == 1


def test_a_page_of_what_is_there(start, capsys, monkeypatch, tmp_path):
    real, done = runner.run_unit, []

    def stops(unit):
        if len(done) == 5:
            raise KeyboardInterrupt
        done.append(unit)
        return real(unit)

    monkeypatch.setattr(runner, "run_unit", stops)
    assert start() == cli.STOPPED
    assert start("--report-only") == 0
    assert len(done) == 5
    said = capsys.readouterr().out
    assert "Not complete: 3 of 8 units are missing." in said
    assert "MLflow: experiment" not in said
    assert said.count("--report-only") == 0  # the command to go on with
    text = " ".join(" ".join(Page(PAGE.read_text(encoding="utf-8")).text).split())
    assert "The study is not complete: 5 of 8 units are done." in text
    assert "the 1 fold that every strategy has finished" in text
    index = (tmp_path / "reports" / "index.html").read_text(encoding="utf-8")
    assert "3 units still to be computed" in index
    monkeypatch.setattr(runner, "run_unit", real)
    assert start("--minutes", "10") == 0
    assert "MLflow: experiment 'toy_study'" in capsys.readouterr().out
    assert "not complete" not in PAGE.read_text(encoding="utf-8")
    assert start("--minutes", "0") == cli.BAD_INPUT
    assert "needs more than 0 minutes" in capsys.readouterr().err


def test_the_summary_of_a_study_with_a_strategy_still_to_be_computed(studies, tmp_path):
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(RAW))
    rows = pd.read_parquet(PAGE.with_name("rows.parquet"))
    said = console.summary(load_config(Path("toy.yaml")), rows[rows["strategy"] != "smote"])
    (line,) = [line for line in said.splitlines() if line.startswith("smote")]
    assert line.split() == ["smote", "-", "-"]


def test_ranks_over_several_studies(studies, capsys):
    folders = ["reports/one", "reports/two"]
    assert cli.main(["ranks", *folders]) == 0
    table = pd.read_csv("reports/ranks/ranks.csv")
    rows = pd.concat(pd.read_parquet(f"{f}/rows.parquet") for f in folders)
    knn = rows[rows["classifier"] == "knn"]
    means = knn.groupby(["study", "n", "strategy"])["macro_f1"].mean().unstack()
    expected = means.rank(axis=1, ascending=False).mean()
    found = table[table["classifier"] == "knn"].set_index("strategy")
    assert (found["blocks"] == 4).all()
    assert (table[["results_cells", "results_harness"]] == 1).all(axis=None)
    for strategy in RAW["strategies"]:
        assert found.loc[strategy, "rank"] == pytest.approx(expected[strategy])
    assert stated_version(Path("reports/ranks/index.html")) == ResultsVersion(1, 1)
    page = Page(Path("reports/ranks/index.html").read_text(encoding="utf-8"))
    assert STATED in " ".join(page.text)
    assert page.open == []
    assert "kNN: mean rank over 4 comparisons" in " ".join(page.text)
    assert page.outside == ["../one/index.html", "../two/index.html"]
    assert "Ranks of the strategies over all studies" in Path("reports/index.html").read_text()
    capsys.readouterr()
    assert cli.main(["ranks", "reports/none"]) == cli.BAD_INPUT
    assert "has no study.json" in capsys.readouterr().err
    assert studies(name="few", strategies=["none", "smote"]) == 0
    assert cli.main(["ranks", "reports/one", "reports/few"]) == cli.BAD_INPUT
    assert "share 2 strategies (none, smote); at least 3 are needed" in capsys.readouterr().err


def test_when_to_use_it_over_several_studies(studies, capsys):
    folders = ["reports/one", "reports/two"]
    assert cli.main(["when", *folders]) == 0
    table = pd.read_csv("reports/when_to_use/leads.csv")
    assert len(table) == 2 * 2 * 2 * 2  # scores, studies, n, classifiers; no other maker
    rows = pd.read_parquet("reports/one/rows.parquet")
    mine = rows[(rows["classifier"] == "knn") & (rows["n"] == 3)]
    wide = mine.pivot(index="fold_index", columns="strategy", values="macro_f1")
    bar = wide[["none", "class_weight", "smote"]]
    best = [bar.iloc[1 - i].idxmax() for i in range(2)]  # of two folds, on the other one
    expected = np.mean([wide["diffusion"].iloc[i] - bar.iloc[i][best[i]] for i in range(2)])
    found = table.query("dataset == 'toy (one)' and n == 3 and score == 'macro_f1'")
    assert found.set_index("classifier").loc["knn", "lead"] == pytest.approx(expected, abs=1e-4)
    assert (table[["results_cells", "results_harness"]] == 1).all(axis=None)
    html = Path("reports/when_to_use/index.html").read_text(encoding="utf-8")
    assert stated_version(Path("reports/when_to_use/index.html")) == ResultsVersion(1, 1)
    page = Page(html)
    assert page.open == []
    assert page.outside == ["../one/index.html", "../two/index.html"]
    assert "up to 20 cells of a type" in " ".join(page.text)
    assert "When to use it: diffusion" in Path("reports/index.html").read_text()
    capsys.readouterr()
    assert cli.main(["when", *folders, "--strategy", "smot"]) == cli.BAD_INPUT
    assert "They share none, class_weight, smote, diffusion" in capsys.readouterr().err
    folds = {"kind": "repeated_stratified_cv", "n_splits": 2}
    assert (
        studies(
            name="three",
            split=folds,
            scores=["macro_f1"],
            strategies=["none", "smote", "diffusion"],
        )
        == 0
    )
    assert cli.main(["when", "reports/three"]) == cli.BAD_INPUT
    assert "None of these studies is a learning curve" in capsys.readouterr().err
