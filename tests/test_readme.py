"""The README's code runs as it stands, prints what the README says, and new cells win."""

import re
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
FENCE = re.compile(r"```(python)?\n(.*?)```", re.DOTALL)
LINE = re.compile(r"^(.+?) +rare types ([\d.]+)  all types ([\d.]+)$", re.MULTILINE)
TOLERANCE = 0.03
"""Other processors and releases of PyTorch may move a score by this much."""


def scores(text):
    """Rows that a block printed: name to F1 of the rare types, and of all."""
    return {name: (float(rare), float(every)) for name, rare, every in LINE.findall(text)}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_blocks_print_what_the_readme_says_and_new_cells_win(capsys):
    names, printed = {}, []
    for language, block in FENCE.findall(TEXT):
        if language == "python":
            exec(compile(block, "README.md", "exec"), names)
            printed.append(scores(capsys.readouterr().out))
    said = [found for _, block in FENCE.findall(TEXT) if (found := scores(block))]
    assert len(printed) == len(said) == 2
    for rows, expected in zip(printed, said, strict=True):
        assert rows.keys() == expected.keys()
        for name in rows:
            assert rows[name] == pytest.approx(expected[name], abs=TOLERANCE), name
        ours = next(name for name in rows if "new cells" in name)
        for name in rows.keys() - {ours}:
            assert sum(rows[ours]) > sum(rows[name]), name
            assert rows[ours][0] >= rows[name][0], name


CITED = {
    "LR_NONE": ("logistic_regression", "none"),
    "LR_W": ("logistic_regression", "class weights"),
    "LR_WT": ("logistic_regression", "class weights, tuned thresholds"),
    "LR_NEW": ("logistic_regression", "diffusion"),
    "RF_NONE": ("random_forest", "none"),
    "RF_W": ("random_forest", "class weights"),
    "RF_WT": ("random_forest", "class weights, tuned thresholds"),
    "RF_BAL": ("random_forest", "balanced forest"),
    "RF_NEW": ("random_forest", "diffusion"),
    "CT_NONE": ("celltypist", "none"),
    "CT_W": ("celltypist", "class weights"),
    "CT_NEW": ("celltypist", "diffusion"),
    "KNN_NONE": ("knn", "none"),
    "KNN_SM": ("knn", "SMOTE in components"),
    "KNN_NEW": ("knn", "diffusion"),
    "LDA": ("lda", "equal priors"),
    "LDA_NEW": ("lda", "diffusion"),
}
"""Marks behind the numbers of pages: classifier and strategy in the table of ten draws."""


@pytest.mark.parametrize("page", ["README.md", "docs/user_guide/which_strategy.md"])
def test_means_of_ten_draws_are_those_of_the_table(page):
    table = pd.read_csv(ROOT / "docs" / "blood_cells.csv")
    assert table["draw"].nunique() == 10
    means = table.groupby(["classifier", "strategy"])[["rare_f1", "macro_f1"]].mean()
    text = (ROOT / page).read_text(encoding="utf-8")
    cited = re.findall(r"(\.\d\d) / (\.\d\d)<!--(\w+)-->", text)
    assert len(cited) == text.count("<!--") >= 8
    for rare, every, mark in cited:
        found = means.loc[CITED[mark]]
        assert [rare, every] == [f"{value:.2f}".lstrip("0") for value in found], mark


def test_it_is_one_page():
    assert len(TEXT.split()) <= 800
