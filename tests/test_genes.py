"""Genes brought to another list: the same as pandas' reindex, and refusals that say why."""

import numpy as np
import pandas as pd
import pytest

from scdiff_augment.expression.genes import align_genes, match_genes


@pytest.mark.parametrize("seed", range(5))
def test_the_result_is_that_of_reindex(seed):
    rng = np.random.default_rng(seed)
    wanted = rng.permutation([f"g{i}" for i in range(40)])
    genes = rng.permutation([*wanted[:25], *(f"x{i}" for i in range(15))])
    X = rng.normal(size=(7, 40)).astype(np.float32)
    aligned, report = align_genes(X, genes, wanted)
    expected = pd.DataFrame(X, columns=genes).reindex(columns=wanted).fillna(0).to_numpy()
    np.testing.assert_array_equal(aligned, expected)
    assert aligned.dtype == X.dtype
    assert (report.n_matched, report.n_wanted, report.n_given) == (25, 40, 40)


def test_the_report_names_what_was_not_matched():
    report = match_genes(["a", "b", "x", "y"], ["c", "b", "a", "d", "e"], min_share=0.4)[1]
    assert (report.share_wanted, report.share_given) == (0.4, 0.5)
    assert (report.absent, report.unused) == (("c", "d", "e"), ("x", "y"))
    many = match_genes(["g0"], [f"g{i}" for i in range(9)], min_share=0.1)[1]
    assert many.absent == ("g1", "g2", "g3", "g4", "g5")
    assert str(many).endswith("absent: g1, g2, g3, g4, g5 and 3 more")


def test_the_share_that_counts_is_that_of_the_wanted_genes():
    wanted = [f"g{i}" for i in range(10)]
    assert match_genes([*wanted[:5], *(f"x{i}" for i in range(95))], wanted)[1].n_matched == 5
    with pytest.raises(ValueError, match=r"4 of 10 wanted genes .* \(40.0%\); at least 50% must"):
        match_genes(wanted[:4], wanted)
    assert match_genes(wanted[:4], wanted, min_share=0.4)[1].share_given == 1
    with pytest.raises(ValueError, match="0 of 10 wanted"):
        match_genes(["x"], wanted, min_share=1e-9)


@pytest.mark.parametrize(
    ("genes", "way_out"),
    [
        (["ENSG00000010610", "ENSG00000156738"], "name genes by Ensembl ids: name them by symbols"),
        (["Cd4", "Ms4a1"], "Ignoring case, 2 would be found: .* orthologues"),
        (["LYZ", "NKG7"], "Pass all measured genes .* or lower min_share"),
    ],
)
def test_the_way_out_fits_the_names(genes, way_out):
    with pytest.raises(ValueError, match=way_out):
        match_genes(genes, ["CD4", "MS4A1"])


def test_a_wanted_gene_twice_is_refused_and_another_is_not():
    with pytest.raises(ValueError, match=r"1 of the genes of the data .* more than once: a\. Sum"):
        match_genes(["a", "b", "a"], ["a", "b"])
    with pytest.raises(ValueError, match="1 of the wanted genes stand there more than once: b"):
        match_genes(["a", "b"], ["a", "b", "b"])
    assert match_genes(["a", "x", "x"], ["a"])[0].tolist() == [0]


@pytest.mark.parametrize("genes", ["CD4", [], [["a"], ["b"]]])
def test_what_is_no_list_of_names_is_refused(genes):
    with pytest.raises(TypeError, match="`genes` must be a list of gene names"):
        match_genes(genes, ["a"])


@pytest.mark.parametrize("min_share", [0, -0.1, 1.1, float("nan")])
def test_a_share_outside_its_range_is_refused(min_share):
    with pytest.raises(ValueError, match="min_share must be in"):
        match_genes(["a"], ["a"], min_share=min_share)


def test_a_matrix_with_other_columns_is_refused():
    with pytest.raises(ValueError, match=r"each of the 2 genes, got shape \(1, 3\)"):
        align_genes(np.zeros((1, 3)), ["a", "b"], ["a"])
