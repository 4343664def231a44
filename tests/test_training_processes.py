"""Two processes that train together against one: the same losses, and the same model."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import make_model

from scdiff_augment.compute import processes as team
from scdiff_augment.compute.processes import Alone, Together, is_leader

SCRIPT = """
    import json
    import sys
    import numpy as np
    from scdiff_augment import LatentDiffusion, team

    folder, devices, encoder, seed = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
    X = np.load(folder + "/X.npy")
    labels = np.load(folder + "/labels.npy")
    model = LatentDiffusion(
        encoder=encoder,
        decoder_steps=60,
        denoiser_steps=60,
        classifier_steps=30,
        random_state=int(seed) if seed != "none" else None,
    )
    with team.distributed(devices=devices, accelerator="cpu"):
        model.fit(X).add_condition("type", labels)
    if team.is_leader():
        losses = {k: v for k, v in model.history_.items() if "loss" in k}
        with open(folder + "/losses.json", "w") as file:
            json.dump(losses, file)
        model.save(folder + "/model", overwrite=True)
"""


def train(folder, devices, encoder="autoencoder", seed="0"):
    (folder / "script.py").write_text(textwrap.dedent(SCRIPT))
    environment = {k: v for k, v in os.environ.items() if not k.endswith("_RANK")}
    environment["PYTHONPATH"] = str(Path(__file__).parents[1])
    return subprocess.run(
        [sys.executable, "script.py", str(folder), str(devices), encoder, seed],
        cwd=folder,
        env=environment,
        timeout=240,
        capture_output=True,
        text=True,
    )


def test_two_processes_reach_the_loss_of_one(counts, tmp_path):
    X, labels = counts
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "labels.npy", labels)
    found = {}
    for devices in (1, 2):
        done = train(tmp_path, devices)
        assert done.returncode == 0, done.stderr
        found[devices] = json.loads((tmp_path / "losses.json").read_text())
    assert found[1].keys() == found[2].keys()
    assert {k for k, v in found[1].items() if v} == {
        "encoder_loss",
        "decoder_loss",
        "denoiser_loss",
        "classifier_loss:type",
    }
    for name, one in found[1].items():
        two = found[2][name]
        assert len(one) == len(two)
        # every step sees the same batch: more than rounding would be another gradient
        np.testing.assert_allclose(two[:5], one[:5], rtol=2e-2, err_msg=name)
        assert np.mean(two[-20:]) == pytest.approx(np.mean(one[-20:]), rel=3e-2), name


def test_processes_that_begin_differently_are_refused(counts, tmp_path):
    np.save(tmp_path / "X.npy", counts[0])
    np.save(tmp_path / "labels.npy", counts[1])
    done = train(tmp_path, 2, seed="none")
    assert done.returncode != 0
    assert "began with different weights" in done.stderr


class Mates:
    """A fabric of which every process is this one."""

    device = torch.device("cpu")

    def __init__(self, world_size=1, global_rank=0):
        self.world_size, self.global_rank = world_size, global_rank

    def all_reduce(self, tensor, reduce_op):
        assert reduce_op == "mean"
        return tensor


def test_every_row_is_computed_once():
    rows = torch.arange(11)
    parts = [Together(Mates(3, rank)).share([rows])[0] for rank in range(3)]
    assert sorted(torch.cat(parts).tolist()) == rows.tolist()
    assert Together(Mates(3, 1)).share([rows[:2]])[0].tolist() == [0, 1]  # too few to share


def test_averaging_keeps_shapes_and_order():
    gradients = [torch.randn(3, 2), torch.randn(4), torch.randn(())]
    found, loss = Together(Mates(2)).average(gradients, torch.tensor(7.0))
    for a, b in zip(found, gradients, strict=True):
        torch.testing.assert_close(a, b)
    assert loss == 7


def test_one_device_under_fabric_trains_the_same_model(counts, monkeypatch):
    one = make_model().fit(counts[0])
    token = team._team.set(Together(Mates()))
    try:
        other = make_model().fit(counts[0])
    finally:
        team._team.reset(token)
    assert isinstance(team.current(), Alone)
    np.testing.assert_array_equal(one.cells_.z, other.cells_.z)
    np.testing.assert_array_equal(one.sample(n=5), other.sample(n=5))


@pytest.mark.parametrize(
    ("environment", "leads"),
    [
        ({}, True),
        ({"LOCAL_RANK": "1"}, False),
        ({"LOCAL_RANK": "0", "NODE_RANK": "1"}, False),
        ({"RANK": "0", "LOCAL_RANK": "0", "SLURM_PROCID": "0"}, True),
        ({"SLURM_PROCID": "3"}, False),
    ],
)
def test_one_process_leads(monkeypatch, environment, leads):
    for name in ("RANK", "SLURM_PROCID", "NODE_RANK", "GROUP_RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert is_leader() is leads


def test_fabric_is_asked_for_by_name(monkeypatch):
    monkeypatch.setattr(team, "find_spec", lambda name: None)
    asked = pytest.raises(ValueError, match=r"pip install 'scdiff-augment\[fabric\]'")
    with asked, team.distributed(devices=2):
        pass


def test_training_alone_does_not_import_fabric():
    code = "import sys, scdiff_augment.generator; print('lightning_fabric' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "False", done.stderr
