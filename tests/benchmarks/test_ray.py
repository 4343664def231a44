"""A small grid on a Ray cluster that the study starts itself."""

import pandas as pd
import pytest
from scdiff_bench.running.backends import connected
from scdiff_bench.running.runner import load_datasets, make_units, run
from scdiff_bench.running.store import prepare_folder

# ray.init leaves a pipe of its log monitor open.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning:ray")


@pytest.mark.slow
def test_rows_are_those_of_one_process(make_config, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    config = make_config(strategies=["none", "smote"], classifiers=["knn", "logistic_regression"])
    units = make_units(config, load_datasets(config))
    for name in ("cluster", "local"):
        prepare_folder(tmp_path / name)
    with connected("ray", None):
        found = run(config, units, tmp_path / "cluster")
        again = run(config, units, tmp_path / "cluster")
    assert again.computed == 0
    assert (found.computed, found.missing) == (6, 0)
    expected = run(config, units, tmp_path / "local").rows
    drop = expected.filter(regex="seconds|memory").columns
    pd.testing.assert_frame_equal(found.rows.drop(columns=drop), expected.drop(columns=drop))
