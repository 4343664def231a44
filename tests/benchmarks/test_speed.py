"""Speed: a guard against large steps back, and the run that measures it."""

import json
import time

import numpy as np
import pytest
import torch
from scdiff_bench.commands import speed as command
from scdiff_bench.results_version import ResultsVersion
from scdiff_bench.speed import cells as speed_cells
from scdiff_bench.speed import findings as speed_findings
from scdiff_bench.speed import measure as speed
from scdiff_bench.speed import on_device as speed_on_device
from scdiff_bench.speed import page as speed_page
from scdiff_bench.speed import tasks as speed_tasks

from scdiff_augment import LatentDiffusion
from scdiff_augment.compute.threads import bounded_threads


def product_seconds():
    """A matrix product of 4.3 GFLOP on one thread: what this machine can do at present."""
    a = torch.ones(1290, 1290)
    with bounded_threads(1):
        return speed_cells.best(lambda: a @ a, 3)


def test_drawing_and_training_have_not_become_much_slower():
    """Ratios to a matrix product, four times what they were; the best of three on busy machines.

    When this was written: drawing 6, training 30.
    """
    X, y = speed_cells.cells(1000, 1000)
    model = LatentDiffusion(encoder="pca", random_state=0)
    ratios = []
    for _ in range(3):
        product = product_seconds()
        start = time.perf_counter()
        model.fit(X.toarray(), groups=y).add_condition("type", y)
        model.plan({"type": "type3"}, 1)  # finds the guidance scales, once for all draws
        middle = time.perf_counter()
        model.sample({"type": "type3"}, 4000)
        end = time.perf_counter()
        ratios.append(((end - middle) / product, (middle - start) / product))
    drawing, training = np.min(ratios, axis=0)
    assert drawing < 24, ratios
    assert training < 120, ratios


def test_cells_have_all_types_and_repeat():
    X, y = speed_cells.cells(300, 200)
    again, y_again = speed_cells.cells(300, 200)
    assert X.shape == (300, 200)
    assert X.dtype == np.int32
    assert (again != X).nnz == 0
    np.testing.assert_array_equal(y, y_again)
    names, counts = np.unique(y, return_counts=True)
    assert len(names) == len(speed_cells.SHARES)
    assert counts.min() >= 3
    wanted = speed_cells.doubled(y)
    added = {name: wanted[name] - int(counts[names == name][0]) for name in wanted}
    assert sum(added.values()) == 300
    assert counts[[list(names).index(name) for name in wanted]].max() <= np.median(counts)


def test_every_task_can_be_run(tmp_path, monkeypatch):
    """Each kind of task once, at a size that takes no time."""
    monkeypatch.setattr(speed_tasks, "DRAWN", 600)
    monkeypatch.setattr(speed_on_device, "DRAWN", 6000)
    monkeypatch.setattr(speed_on_device, "COMPARED", 100)
    small = {
        "parts": ["parts", 120, 50, 1],
        "parts_device": ["parts", 120, 50, 1, "cpu"],
        "resample": ["resample", 120, 50, 1],
        "drawing": ["drawing", 600, 50, 1],
        "training": ["training", 1],
        "other": ["other", "smote", 400, 50],
        "ours": ["other", "diffusion", 400, 50],
        "generator": ["other", "latent_diffusion", 400, 50],
        "profile": ["profile", 1],
        "on_device": ["on_device", 120, 50, 1, "cpu", "fp32"],
        "on_device_lower": ["on_device", 120, 50, 1, "cpu", "bf16"],
    }
    every = speed.tasks(1, False, "cpu") | speed.tasks(1, False, "cuda:0")
    kinds = {task[0] for task in every.values()}
    assert kinds == {task[0] for task in small.values()}
    original, machine = speed_cells.cells, speed_cells.machine(1)
    monkeypatch.setattr(speed_tasks, "cells", lambda n, g, seed=0: original(min(n, 800), 50, seed))
    monkeypatch.setattr(speed_on_device, "cells", lambda n, g: original(min(n, 800), 50))
    monkeypatch.setattr(speed, "machine", lambda threads: machine)
    for name, task in small.items():
        row = speed.measure(task, tmp_path, 1)
        json.dumps(row)
        assert row["gflops"] > 0
        assert row["peak_gb"] > 0.1
        if name == "resample":
            assert row["n_new"] == 120
        if name.startswith("parts"):
            assert row["cells_per_s"] > 0
            assert row["sample_gflop"] > 0
        if name == "on_device":
            assert row["fit_resample_s"] > 0
        if name in ("other", "ours", "generator", "on_device", "on_device_lower"):
            assert 0 <= row["mmd"] < 1
    assert "sample" in (tmp_path / "profile_sample.txt").read_text()


def rows_of(threads=2):
    """Rows as a run leaves them, with round numbers."""
    found = {}
    for name, task in speed.tasks(threads, False, "cpu").items():
        row = {"task": task, "threads": threads, "device": "cpu", "peak_gb": 2.0}
        row |= {"gflops": 80.0, "gb_s": 10.0}
        if task[0] == "parts":
            row |= dict.fromkeys(
                ("fit_s", "condition_s", "latents_s", "sample_and_decode_s", "fit_gflop"), 1.0
            )
            row |= {"cells_per_s": 12_345.0, "sample_gflop": 40.0}
        if task[0] == "resample":
            row |= {"n_new": task[1], "fit_resample_s": task[1] * task[2] / 1e7}
            row |= {"fit_resample_cpu_s": 1.0}
        if task[0] == "drawing":
            row |= {"drawing_s": task[1] / 1e4}
        if task[0] == "training":
            row |= {"training_s": 7.0, "training_cpu_s": 9.0}
        if task[0] == "other":
            row |= {"n_new": 3000, "fit_resample_s": 3.0, "fit_resample_cpu_s": 3.0, "mmd": 0.01}
            row |= {"drawing_s": 20.0 if task[1] == "ddpm" else 1.0}
        found[name] = row
    return found


def test_the_page_says_what_was_wanted_and_what_was_measured(tmp_path):
    rows = rows_of() | {"parts_1x1": {"error": "no memory", "task": ["parts"], "threads": 2}}
    page = speed_page.write_page(rows, tmp_path).read_text()
    text = (tmp_path / "table.md").read_text()
    assert "12,345 cells of 2,000 genes a second on 2 cores" in text
    assert "40 GFLOP of it, 40 GFLOP/s of the 80" in text
    outcomes = {f.title: f.outcome for f in speed_findings.findings(rows_of())}
    assert outcomes["Guided sampling and count decoding"] == "met"
    assert outcomes["Training"] == "missed"
    assert outcomes["A large data set"] == "met"
    assert outcomes["Growth"] == "met"
    assert outcomes["GPU"] == "warning"
    assert "20 times as long" in text
    assert "1 times the seconds of SMOTE" in text
    assert "no memory" in page
    assert "<svg" in page


def test_a_gpu_has_a_table_with_its_precisions_beside_the_cpu():
    rows = {}
    for name, task in speed.tasks(2, False, "cuda:0").items():
        rows[name] = {"task": task, "threads": 2, "device": task[4], "precision": task[5]}
        rows[name] |= dict.fromkeys(
            ("fit_s", "condition_s", "latents_s", "sample_and_decode_s", "mmd", "peak_gb"), 1.0
        )
        rows[name] |= {"cells_per_s": 250_000.0 if task[4] != "cpu" else 5_000.0}
        rows[name] |= {"device_gb": 3.0 if task[4] != "cpu" else None}
    (table,) = speed_page.tables(rows)
    lines = list(table.lines())
    assert len(lines) == 12
    assert {tuple(line[2:4]) for line in lines} == {
        ("cuda:0", "fp32"), ("cuda:0", "tf32"), ("cuda:0", "bf16"), ("cpu", "fp32"),
    }  # fmt: skip
    assert {f.title: f.outcome for f in speed_findings.findings(rows)}["GPU"] == "met"


def test_a_run_ends_when_its_minutes_are_over(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "tasks", lambda *given: {"training_2530x1287": ["training", 1]})
    assert command.main(["--out", str(tmp_path), "--minutes", "0"]) == 0
    assert "0 minutes are over: 1 left" in capsys.readouterr().out

    def stopped(*given, timeout, **options):
        assert 0 < timeout <= 60
        raise command.subprocess.TimeoutExpired("speed", timeout)

    monkeypatch.setattr(command.subprocess, "run", stopped)
    assert command.main(["--out", str(tmp_path), "--minutes", "1"]) == 0
    assert "training_2530x1287 was stopped" in capsys.readouterr().out


def test_exponents_are_those_of_the_times():
    rows = rows_of()
    slopes = speed_findings.exponents(rows)
    np.testing.assert_allclose(slopes["exponent"], 1.0, atol=1e-6)
    for row in rows.values():
        if row["task"][0] == "drawing":
            row["drawing_s"] **= 1.5
    assert speed_findings.exponents(rows)["last step"].max() == pytest.approx(1.5)
    assert {f.title: f.outcome for f in speed_findings.findings(rows)}["Growth"] == "missed"


def test_what_is_there_is_not_measured_again(tmp_path, monkeypatch):
    asked = []

    def run(command, **options):
        asked.append(command[-1])
        row = rows_of()["training_2530x1287"] if "training" in command[-1] else {}
        return type("Done", (), {"returncode": not row, "stdout": json.dumps(row), "stderr": "x"})

    monkeypatch.setattr(command.subprocess, "run", run)
    monkeypatch.setattr(command, "tasks", lambda *given: {"training_2530x1287": ["training", 1]})
    command.main(["--out", str(tmp_path)])
    command.main(["--out", str(tmp_path)])
    assert len(asked) == 1
    command.main(["--out", str(tmp_path), "--force"])
    assert len(asked) == 2
    page = (tmp_path / "index.html").read_text()
    assert '<meta name="results-version" content="cells=1 harness=1">' in page
    monkeypatch.setattr(command, "results_version", lambda: ResultsVersion(2, 1))
    assert command.main(["--out", str(tmp_path)]) == 0
    assert len(asked) == 3  # what was measured of older results is measured again
    assert 'content="cells=2 harness=1"' in (tmp_path / "index.html").read_text()
    assert command.main(["--out", str(tmp_path), "--threads", "0"]) == 2


def test_one_measurement_in_a_process_of_its_own(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(speed, "measure", lambda *given: {"task": given[0], "threads": given[2]})
    task = ["parts", 120, 50, 1]
    speed.main(["--out", str(tmp_path), "--threads", "1", "--task", json.dumps(task)])
    assert json.loads(capsys.readouterr().out) == {"task": task, "threads": 1}


def test_a_run_beyond_memory_stands_on_the_page(tmp_path):
    rows = [
        {"step": "fit", "seconds": 5.0, "peak_gb": 2.5},
        {"step": "sample", "seconds": 3.0, "killed_seconds": 2.0, "peak_gb": 1, "repeated": 0},
    ]
    run = {"cells": 1000, "genes": 20, "processors": 2, "rows": rows}
    assert speed_findings.beyond_memory(tmp_path) == []
    (tmp_path / "beyond_memory.json").write_text(json.dumps(run))
    (found,) = speed_findings.beyond_memory(tmp_path)
    assert found.outcome == "met"
    assert "fit 5 s; sample 5 s" in found.text
    rows[1]["killed_peak_gb"] = 3.5
    (tmp_path / "beyond_memory.json").write_text(json.dumps(run))
    assert speed_findings.beyond_memory(tmp_path)[0].outcome == "missed"
