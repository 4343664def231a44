"""A real MLflow server on loopback, with an artifact root of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from scdiff_bench import commands as cli

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
RAW = {
    "name": "toy_study",
    "title": "A toy study",
    "datasets": ["toy"],
    "split": {"kind": "rare_cell_draw", "rare": ["D"], "n": [4], "n_other": 40, "draws": 2},
    "strategies": [
        "none",
        {
            "name": "diffusion",
            "params": {"n_latent": 5, "width": 16, "decoder_steps": 20, "denoiser_steps": 20},
        },
    ],
    "classifiers": ["knn"],
}
DRAW = """
import sys, mlflow, pandas as pd
model = mlflow.pyfunc.load_model(sys.argv[1])
cells = model.predict(pd.DataFrame({"y": ["D", "A"], "n": [5, 2]}))
cells.to_parquet(sys.argv[2])
"""


@pytest.fixture
def run(tmp_path, make_config, monkeypatch):
    """Return a function that runs the command line on the toy study."""
    make_config()  # registers the data set
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(RAW))
    return lambda uri: cli.main(["run", "toy.yaml", "--jobs", "1", "--tracking-uri", uri])


@pytest.fixture
def server(tmp_path):
    """Address of a running server."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    home = tmp_path / "server"
    home.mkdir()
    command = ["mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{home}/store.db"]
    command += ["--artifacts-destination", str(home / "artifacts")]
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=home,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    uri = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            try:
                with urllib.request.urlopen(f"{uri}/health", timeout=2) as answer:
                    assert answer.status == 200
                    break
            except OSError:
                time.sleep(0.5)
        else:
            pytest.fail("the server did not start within two minutes")
        yield uri, home
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)


def test_a_study_on_a_server_is_read_back_whole(run, server, tmp_path):
    from mlflow import MlflowClient

    uri, home = server
    assert run(uri) == 0
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("toy_study")
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = (r for r in runs if "study.run" not in r.data.tags)
    children = {r.info.run_name: r for r in runs if r.info.run_id != parent.info.run_id}
    assert set(children) == {"none + kNN", "diffusion + kNN"}
    rows = pd.read_parquet("reports/toy_study/rows.parquet")
    mine = rows[rows["strategy"] == "diffusion"]
    child = children["diffusion + kNN"].info.run_id
    history = client.get_metric_history(child, "fold/macro_f1")
    assert {m.step: m.value for m in history} == dict(
        zip(mine["fold_index"], mine["macro_f1"], strict=True)
    )
    # The rows came back over the wire, from the server's own folder.
    found = client.download_artifacts(parent.info.run_id, "rows.parquet", str(tmp_path))
    pd.testing.assert_frame_equal(pd.read_parquet(found), rows)
    assert list((home / "artifacts").rglob("rows.parquet"))
    kept = client.download_artifacts(parent.info.run_id, "config.yaml", str(tmp_path))
    assert yaml.safe_load(Path(kept).read_text()) == RAW
    (logged,) = parent.inputs.dataset_inputs
    assert json.loads(logged.dataset.profile)["sha256"] == rows["dataset_digest"].iloc[0]

    # The generator loads and draws in a process that knows neither study nor harness.
    address = parent.data.tags["generator.toy"]
    target = tmp_path / "cells.parquet"
    environment = {**os.environ, "MLFLOW_TRACKING_URI": uri, "PYTHONPATH": ""}
    subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.append({str(ROOT)!r})\n{DRAW}", address,
         str(target)],
        check=True, cwd=tmp_path, env=environment, capture_output=True,
    )  # fmt: skip
    cells = pd.read_parquet(target)
    assert cells.pop("input_row").tolist() == [0] * 5 + [1] * 2
    assert list(cells.columns) == [f"g{i}" for i in range(60)]
    np.testing.assert_allclose(np.expm1(cells.to_numpy()).sum(axis=1), 1e4, rtol=1e-3)


def test_sync_sends_what_a_lost_server_missed(run, tmp_path, capsys):
    from mlflow import MlflowClient

    assert run("http://127.0.0.1:9") == 0
    said = capsys.readouterr().err
    assert "scdiff-bench sync reports/toy_study" in said
    uri = f"sqlite:///{tmp_path}/late.db"
    assert cli.main(["sync", "--tracking-uri", uri]) == 0
    assert "experiment 'toy_study'" in capsys.readouterr().out
    client = MlflowClient(uri)
    runs = client.search_runs([client.get_experiment_by_name("toy_study").experiment_id])
    assert len(runs) == 3
    (parent,) = (r for r in runs if "study.run" not in r.data.tags)
    assert parent.info.status == "FINISHED"
    assert "version.scikit-learn" in parent.data.tags
    assert parent.data.tags["generator.toy"].startswith("models:/")
    # Once more sends nothing, unless it is told to.
    assert cli.main(["sync", "reports/toy_study", "--tracking-uri", uri]) == 0
    assert "already" in capsys.readouterr().out
    assert len(client.search_runs([parent.info.experiment_id])) == 3
    assert cli.main(["sync", "reports/toy_study", "--tracking-uri", uri, "--force"]) == 0
    assert len(client.search_runs([parent.info.experiment_id])) == 6


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["sync", "nowhere"], 2, "nowhere has no study.json, so no study was finished there"),
        (["sync", "reports/toy_study", "--tracking-uri", "http://127.0.0.1:9"], 1, "127.0.0.1:9"),
    ],
)
def test_sync_says_what_is_wrong(run, tmp_path, capsys, arguments, code, message):
    if code == 1:
        run(f"sqlite:///{tmp_path}/here.db")
    capsys.readouterr()
    assert cli.main(arguments) == code
    assert message in capsys.readouterr().err
