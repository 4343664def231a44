"""Text of tables that a spreadsheet would run."""

import io

import numpy as np
import pandas as pd
import pytest
from command_line import STEPS, done, small

from scdiff_augment.annotation.spreadsheets import STARTS, for_spreadsheets

ODD = ('=HYPERLINK("http://x","y")', "+T", "-|cmd' /C calc'!A0", "@SUM(1)", "\t=1+1", "＝1+1")


@pytest.mark.parametrize("dtype", [object, "string", "category"])
def test_text_that_would_run_stands_behind_an_apostrophe(dtype):
    table = pd.DataFrame({"class": pd.Series([*ODD, "B", "-1", "CD4+", None], dtype=dtype)})
    back = pd.read_csv(io.StringIO(for_spreadsheets(table).to_csv(index=False)))
    assert back["class"].tolist()[:-1] == [f"'{odd}" for odd in ODD] + ["B", "-1", "CD4+"]
    assert table["class"].tolist()[:-1] == [*ODD, "B", "-1", "CD4+"]


def test_numbers_and_names_of_columns():
    table = pd.DataFrame({"=lead": [-0.5, np.nan], "-n": [1, -2]})
    safe = for_spreadsheets(table)
    assert list(safe.columns) == ["'=lead", "'-n"]
    np.testing.assert_array_equal(safe.to_numpy(), table.to_numpy())


def test_classes_of_evaluate_are_safe_in_csv_and_unchanged_in_json(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    types = ("=1+1", "+T", "B")
    small(types=types).write_h5ad("cells.h5ad")
    small(seed=1, types=types).write_h5ad("heldout.h5ad")
    done("oversample", "cells.h5ad", "more.h5ad", "--label-key", "cell_type", *STEPS)
    evaluate = ["evaluate", "heldout.h5ad", "more.h5ad", "--label-key", "cell_type", "--trees", "5"]
    done(*evaluate, "--out", "table.csv")
    done(*evaluate, "--out", "table.json")
    classes = set(pd.read_csv("table.csv")["class"])
    assert "'+T" in classes
    assert not any(name.startswith(STARTS) for name in classes)
    assert "+T" in set(pd.read_json("table.json")["class"])
