"""The file of calls: small, and still enough for the page's statistics."""

import numpy as np
import pandas as pd
import pytest
from scdiff_bench.running.runner import load_datasets, make_units, run
from scdiff_bench.running.store import prepare_folder
from scdiff_bench.statistics.confusion_counts import (
    read_confusion_counts,
    with_counts,
    write_confusion_counts,
)
from scdiff_bench.statistics.donor_bootstrap import donor_interval
from sklearn.metrics import f1_score, recall_score


@pytest.fixture
def study(make_config, dataset, tmp_path):
    dataset.groups["donor"] = np.tile(["u", "v"], len(dataset.y) // 2)
    config = make_config(strategies=["none", {"name": "class_weight", "thresholds": True}])
    units = make_units(config, load_datasets(config))
    prepare_folder(tmp_path)
    return run(config, units, tmp_path)


def test_scores_can_be_had_again_from_the_file(study, tmp_path):
    write_confusion_counts(study.confusion_counts, tmp_path / "tallies.parquet")
    found = pd.read_parquet(tmp_path / "tallies.parquet")
    assert len(found) == len(study.confusion_counts) == 2 * len(study.rows)
    rows = study.rows.set_index(["fold_index", "strategy", "classifier"])
    for place, part in found.groupby(["fold_index", "strategy", "classifier"], observed=True):
        right, called, truth = (np.stack(part[k]).sum(axis=0) for k in ("right", "called", "truth"))
        assert rows.loc[place, "macro_f1"] == pytest.approx((2 * right / (called + truth)).mean())
        assert rows.loc[place, "balanced_accuracy"] == pytest.approx((right / truth).mean())
        (confusion,) = part["confusion"].dropna()
        counts = confusion.reshape(4, 4)
        np.testing.assert_array_equal(counts.diagonal(), right)
        np.testing.assert_array_equal(counts.sum(axis=0), called)
        labels = [(i, j) for i in range(4) for j in range(4) for _ in range(counts[i, j])]
        y_true, y_pred = zip(*labels, strict=True)
        assert rows.loc[place, "macro_f1"] == pytest.approx(
            f1_score(y_true, y_pred, average="macro")
        )
        assert rows.loc[place, "balanced_accuracy"] == pytest.approx(
            recall_score(y_true, y_pred, average="macro")
        )
        cells, sure = part["cells"].dropna().iloc[0], part["confidence"].dropna().iloc[0]
        right_cells = part["right_cells"].dropna().iloc[0]
        full = cells > 0
        gap = np.abs(sure[full] - right_cells[full] / cells[full])
        assert rows.loc[place, "ece"] == pytest.approx(
            np.average(gap, weights=cells[full]), abs=1e-3
        )


def test_the_file_gives_back_what_summaries_are_made_of(study, tmp_path):
    write_confusion_counts(study.confusion_counts, tmp_path / "tallies.parquet")
    place = ["fold_index", "strategy", "classifier", "donor"]
    found = read_confusion_counts(tmp_path / "tallies.parquet").set_index(place).sort_index()
    given = with_counts(study.confusion_counts).set_index(place).sort_index()
    assert found.index.equals(given.index)
    assert found["types"].tolist() == given["types"].tolist()
    for name in ("right", "called", "truth"):
        np.testing.assert_array_equal(np.stack(found[name]), np.stack(given[name]))
    assert (found["bins"].notna() == given["bins"].notna()).all()
    for one, other in zip(found["bins"].dropna(), given["bins"].dropna(), strict=True):
        np.testing.assert_allclose(np.array(one, float), np.array(other, float), atol=1e-4)
    pair = [dict.fromkeys(range(3), strategy) for strategy in ("class_weight", "none")]
    intervals = [
        donor_interval(t.reset_index(), *pair, "macro_f1", ["D"])
        for t in (found, study.confusion_counts)
    ]
    assert intervals[0] == intervals[1]


def test_the_file_is_smaller_than_the_table(tmp_path):
    rng = np.random.default_rng(0)
    records = []
    for place in range(200):
        bins = np.column_stack([rng.poisson(100, 15), rng.random((15, 2))]).tolist()
        accuracy = rng.uniform(0.6, 0.9)
        for donor in range(8):
            calls = rng.multinomial(60, np.full(8, (1 - accuracy) / 8), 8)
            calls[np.diag_indices(8)] += 60 - calls.sum(axis=1)
            records.append(
                {
                    "study": "toy",
                    "dataset": "toy",
                    "fold": f"draw {place // 10}",
                    "fold_index": place // 10,
                    "rare_set": "",
                    "n": 5,
                    "strategy": f"strategy {place % 10}",
                    "classifier": "knn",
                    "donor": str(donor),
                    "types": list("abcdefgh"),
                    "confusion": calls.ravel().tolist(),
                    "bins": None if donor else bins,
                }
            )
    confusion_counts = pd.DataFrame(records).astype({"n": "Int64"})
    confusion_counts.to_parquet(tmp_path / "plain.parquet", index=False, compression="zstd")
    write_confusion_counts(confusion_counts, tmp_path / "small.parquet")
    small, plain = ((tmp_path / f"{k}.parquet").stat().st_size for k in ("small", "plain"))
    assert small < 0.6 * plain
