"""Run the command line in a test, and files for it to work on."""

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse
from typer.testing import CliRunner

from scdiff_augment.cli import app

STEPS = ["--decoder-steps", "20", "--denoiser-steps", "20"]
FIT = ["fit", "cells.h5ad", "model", *STEPS, "--n-latent", "5", "--seed", "0"]


def run(*arguments):
    """Exit code, stdout and stderr of a command."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def done(*arguments):
    """Run a command that must succeed."""
    result = run(*arguments)
    assert result.exit_code == 0, result.stderr
    return result


def listing():
    """Every file below the working folder with its content."""
    return {str(file): file.read_bytes() for file in Path().rglob("*") if file.is_file()}


def small(seed=0, types=("T cells", "NK cells", "B cells")):
    """60 + 30 + 10 cells of three types, two conditions and donors, 40 genes; counts."""
    rng = np.random.default_rng(seed)
    codes = np.repeat([0, 1, 2], [60, 30, 10])
    profile = np.random.default_rng(7).gamma(0.5, 1.0, (3, 40)) + 0.02
    rate = (profile / profile.sum(axis=1, keepdims=True))[codes] * rng.lognormal(4.5, 0.3, (100, 1))
    obs = pd.DataFrame(
        {
            "cell_type": pd.Categorical(np.array(types)[codes]),
            "condition": pd.Categorical(["ctrl", "stim"] * 50),
            "donor": pd.Categorical(["d1", "d1", "d2", "d2"] * 25),
            "code": codes,
            "share": np.arange(100) / 100,
        },
        index=[f"cell{i}" for i in range(100)],
    )
    var = pd.DataFrame(index=[f"Gene{i}" for i in range(40)])
    adata = ad.AnnData(sparse.csr_matrix(rng.poisson(rate).astype(np.int32)), obs, var)
    adata.layers["counts"] = adata.X.copy()
    return adata
