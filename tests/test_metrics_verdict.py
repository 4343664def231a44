"""The verdict on synthetic cells: one rule, three lines, one compact table."""

import numpy as np
import pandas as pd
import pytest

from scdiff_augment import metrics
from scdiff_augment.metrics.scoring import ALL, IDEAL
from scdiff_augment.metrics.summary.printed import Evaluation
from scdiff_augment.metrics.summary.verdict import MARGIN, judged


def row(figure, synthetic, null, low=None, high=None, n=1000, label=ALL):
    return {
        "class": label,
        "figure": figure,
        "synthetic": synthetic,
        "null": null,
        "null_low": null if low is None else low,
        "null_high": null if high is None else high,
        "ideal": IDEAL[figure],
        "n": n,
    }


@pytest.mark.parametrize(
    ("given", "limit", "as_real"),
    [
        # one split: the margin of the table, beyond the reference
        (("mmd", 0.0059, 0.005), 0.006, True),
        (("mmd", 0.0061, 0.005), 0.006, False),
        (("scc", 0.9931, 0.995), 0.993, True),
        (("scc", 0.9929, 0.995), 0.993, False),
        # two-sided, around the ideal: .5 - .47 + .03
        (("forest_auc_genes", 0.559, 0.47), 0.56, True),
        (("forest_auc_genes", 0.561, 0.47), 0.56, False),
        (("forest_auc_genes", 0.439, 0.47), 0.44, False),
        # nearer to the ideal than real cells are: as real
        (("coverage", 0.999, 0.95), 0.94, True),
        # several splits: their range, from the farthest
        (("ilisi", 0.851, 0.93, 0.9, 0.95), 0.85, True),
        (("ilisi", 0.849, 0.93, 0.9, 0.95), 0.85, False),
        # 250 cells: twice the margin
        (("density", 0.76, 0.95, None, None, 250), 0.75, True),
        (("density", 0.74, 0.95, None, None, 250), 0.75, False),
        # memorisation is judged to one side
        (("nearest_neighbour_ratio", 0.94, 1.0, 0.95, 1.05), 0.95, False),
        (("nearest_neighbour_ratio", 1.3, 1.0, 0.95, 1.05), 0.95, True),
        (("exact_duplicates", 1, 0), 0, False),
        (("exact_duplicates", 0, 0), 0, True),
        (("exact_duplicates", 1, np.nan), 0, False),
        (("near_duplicates", 0.0, 0.01), 0.02, True),
        (("near_duplicates", 0.021, 0.005), 0.02, False),
    ],
)
def test_the_rule(given, limit, as_real):
    found = judged(pd.DataFrame([row(*given)])).iloc[0]
    assert found["limit"] == pytest.approx(limit)
    assert found["as_real"] == as_real


def test_nothing_is_judged_without_a_reference():
    found = judged(pd.DataFrame([row("mmd", 0.1, np.nan), row("scc", np.nan, 0.99)]))
    assert found["as_real"].isna().all()
    lines = Evaluation([row("mmd", 0.1, np.nan)]).verdict()
    assert "unknown, without further real cells to compare with (null)" in lines[0]
    assert "not looked for, without the training cells" in lines[2]


def test_every_metric_has_a_margin_or_is_counted_exactly():
    assert set(IDEAL) - set(MARGIN) == {"nearest_neighbour_ratio", "exact_duplicates"}


def test_three_lines_name_what_is_real_what_is_not_and_copies():
    table = Evaluation(
        [
            row("scc", 0.995, 0.995),
            row("forest_auc_pca", 0.7, 0.49),
            row("exact_duplicates", 0, 0),
            row("scc", 0.9, 0.99, label="rare", n=12),
            row("exact_duplicates", 3, 0, label="rare", n=12),
        ]
    )
    assert table.verdict() == (
        "As real cells are: 1 of 2 metrics: scc",
        "Not as real cells are: forest_auc_pca 0.7 (real cells 0.49, limit 0.54)",
        "Memorised: there are signs of it: exact_duplicates 3 in rare (limit 0)",
    )
    compact = table.compact()
    assert compact["as real"].to_dict() == {
        "scc": "yes",
        "forest_auc_pca": "no",
        "exact_duplicates": "yes",
    }
    assert compact["classes"].tolist() == ["0 of 1", "-", "0 of 1"]
    text = repr(table)
    assert text.splitlines()[:4] == [*table.verdict(), ""]
    assert len(text.splitlines()) == 4 + 2 + 3
    assert "limit 0.54" in table._repr_html_()
    assert str(table) == text


def test_copies_are_called_out_and_held_out_cells_pass():
    """Training cells themselves in the place of synthetic ones, and then other real cells."""
    rng = np.random.default_rng(0)
    real, null, training, other = rng.poisson(3.0, (4, 120, 15))
    few = {"null": null, "training": training, "n_estimators": 5, "n_repeats": 2}
    copied = metrics.evaluate(real, training, **few)
    assert "signs of it: nearest_neighbour_ratio 0" in copied.verdict()[2]
    assert "exact_duplicates 120" in copied.verdict()[2]
    fresh = metrics.evaluate(real, other, **few)
    assert fresh.verdict()[1] == "Not as real cells are: nothing that was measured"
    assert fresh.verdict()[2].startswith("Memorised: no sign of it: nearest_neighbour_ratio")


def test_the_table_is_a_data_frame_and_parts_of_it_are_plain():
    table = Evaluation([row("scc", 0.9, 0.95), row("mmd", 0.1, 0.05)])
    assert isinstance(table, pd.DataFrame)
    for part in (table[["figure", "synthetic"]], table[table["synthetic"] > 0.5], table.copy()):
        assert type(part) is pd.DataFrame
    assert "null_low" in repr(pd.DataFrame(table))
