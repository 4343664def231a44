"""Data that the tests share."""

import shutil

import numpy as np
import pytest
from command_line import FIT, done, small


@pytest.fixture
def counts():
    """60 + 30 + 10 cells of three types, 40 genes, negative binomial counts, and labels."""
    rng = np.random.default_rng(0)
    labels = np.repeat(["common", "middle", "rare"], [60, 30, 10])
    profile = rng.gamma(0.5, 1.0, (3, 40)) + 0.02
    proportions = (profile / profile.sum(axis=1, keepdims=True))[np.repeat([0, 1, 2], [60, 30, 10])]
    library = rng.lognormal(4.5, 0.3, (100, 1))
    return rng.poisson(rng.gamma(5, proportions * library / 5)), labels


@pytest.fixture(scope="session")
def command_line_files(tmp_path_factory):
    """Folder of small files and a model of two conditions; copied, never used."""
    folder = tmp_path_factory.mktemp("cli")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        small().write_h5ad("cells.h5ad")
        small(seed=1).write_h5ad("heldout.h5ad")
        done(*FIT, "--label-key", "cell_type", "--label-key", "condition")
        done("sample", "model", "synthetic.h5ad", "--each", "cell_type", "--n", "30", "--seed", "0")
    return folder


@pytest.fixture
def here(command_line_files, tmp_path, monkeypatch):
    """A working folder with cells.h5ad, heldout.h5ad, model and synthetic.h5ad."""
    shutil.copytree(command_line_files, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path
