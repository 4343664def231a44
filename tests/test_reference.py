"""A reference beside one's own cells: genes by name, labels by a table."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from command_line import done, run
from scipy import sparse
from tiny import TINY

from scdiff_augment import join_reference, oversample_adata
from scdiff_augment.expression.kinds import depth_normalised


def cells(genes, kinds, seed=0, **columns):
    """Counts of these genes; each type has ten genes of its own."""
    rng = np.random.default_rng(seed)
    kinds = np.asarray(kinds)
    places = np.array([int(gene[1:]) for gene in genes])
    rates = np.where(places // 10 == np.searchsorted(list("abcd"), kinds)[:, None], 12.0, 1.0)
    obs = pd.DataFrame({"kind": kinds, **columns}, index=[f"cell{i}" for i in range(len(kinds))])
    var = pd.DataFrame({"place": places}, index=genes)
    return ad.AnnData(sparse.csr_matrix(rng.poisson(rates)), obs, var)


@pytest.fixture
def mine():
    genes = [f"g{i}" for i in range(40)]
    return cells(genes, ["a"] * 12 + ["b"] * 8 + ["c"] * 3, age=np.arange(23), well=[True] * 23)


@pytest.fixture
def atlas():
    """Half of its genes in another order, and one that mine lacks."""
    genes = [f"g{i}" for i in range(49, 9, -1)]
    return cells(genes, np.repeat(list("abcd"), 30), seed=1, study=np.tile(["s1", "s2"], 60))


def test_genes_are_matched_by_name_and_own_cells_come_first(mine, atlas):
    joined, report = join_reference(mine, atlas, "kind")
    assert joined.var_names.tolist() == [f"g{i}" for i in range(10, 40)]
    assert joined.var["place"].tolist() == list(range(10, 40))
    np.testing.assert_array_equal(joined.X[:23].toarray(), mine.X[:, 10:].toarray())
    theirs = atlas[:, joined.var_names].X.toarray()
    np.testing.assert_array_equal(joined.X[23:].toarray(), theirs)
    assert joined.obs["batch"].tolist() == ["mine"] * 23 + ["reference"] * 120
    assert joined.obs["kind"].tolist() == [*mine.obs["kind"], *atlas.obs["kind"]]
    assert joined.obs_names.is_unique
    assert joined.obs["age"][:23].tolist() == list(range(23))
    assert joined.obs["age"][23:].isna().all()
    assert (report.genes.n_matched, report.genes.n_wanted) == (30, 40)
    assert (report.shared, report.only_reference, report.only_own) == (("a", "b", "c"), ("d",), ())
    assert "30 of 40 wanted genes found (75 %)" in str(report)
    assert "of the reference alone: d" in str(report)


def test_batches_of_the_reference_and_other_names_of_labels(mine, atlas):
    atlas.obs["type"] = atlas.obs.pop("kind").map({"a": "A", "b": "B", "c": "c", "d": "d"})
    joined, report = join_reference(
        mine,
        atlas,
        "kind",
        reference_label_key="type",
        label_map={"A": "a", "B": "b"},
        batch_key="study",
        reference_batch_key="study",
        into="here",
    )
    assert report.shared == ("a", "b", "c")
    assert set(joined.obs["study"][23:]) == {"s1", "s2"}
    assert set(joined.obs["study"][:23]) == {"here"}


def test_types_that_only_the_reference_has_are_filled(mine, atlas):
    joined, _ = join_reference(mine, atlas, "kind")
    given = {"batch_key": "batch", "into": "mine", "random_state": 0}
    more = oversample_adata(joined, "kind", **given, **TINY)
    new = more.obs[more.obs["is_synthetic"]]
    assert new["kind"].value_counts().to_dict() == {"d": 12, "c": 9, "b": 4, "a": 0}
    assert set(new["batch"]) == {"mine"}


def test_what_cannot_be_joined(mine, atlas):
    other = atlas[:, :12].copy()
    with pytest.raises(ValueError, match=r"2 of 40 wanted genes are among the 12 given \(5.0%\)"):
        join_reference(mine, other, "kind")
    with pytest.raises(ValueError, match=r"label map names 'A', which no cell of the reference"):
        join_reference(mine, atlas, "kind", label_map={"A": "a"})
    with pytest.raises(ValueError, match=r"no label of the reference is one of yours.*Yours are a"):
        join_reference(mine, atlas, "kind", label_map={k: k.upper() for k in "abc"})
    with pytest.raises(ValueError, match=r"the reference has a batch of that name"):
        join_reference(mine, atlas, "kind", reference_batch_key="study", into="s1")
    atlas.X = depth_normalised(atlas.X.toarray())
    with pytest.raises(ValueError, match="adata holds counts and reference holds log1p of counts"):
        join_reference(mine, atlas, "kind")
    with pytest.raises(KeyError, match="reference has no layer 'counts'"):
        join_reference(mine, atlas, "kind", reference_layer="counts")


def failed(*arguments):
    """Return the message of a command that must fail, in one line."""
    result = run(*arguments)
    assert result.exit_code == 2
    return " ".join(result.stderr.split())


STEPS = ["--denoiser-steps", "20", "--decoder-steps", "20", "--n-latent", "5", "--seed", "1"]


def test_the_command_borrows_from_a_second_file(mine, atlas, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mine.write_h5ad("mine.h5ad")
    atlas.obs["kind"] = atlas.obs["kind"].replace({"a": "A"})
    atlas.write_h5ad("atlas.h5ad")
    (tmp_path / "names.csv").write_text("reference,own\nA,a\n")
    command = ["oversample", "mine.h5ad", "more.h5ad", "--label-key", "kind", *STEPS]
    said = done(*command, "--reference", "atlas.h5ad", "--label-map", "names.csv").stderr
    assert "30 of 40 wanted genes found" in " ".join(said.split())
    more = ad.read_h5ad("more.h5ad")
    assert more.obs["batch"].tolist() == ["mine"] * 23 + ["reference"] * 120 + ["mine"] * 25
    assert more.obs["kind"][143:].value_counts().to_dict() == {"d": 12, "c": 9, "b": 4, "a": 0}

    joined, _ = join_reference(mine, atlas, "kind", label_map={"A": "a"}, batch_key="study")
    joined.write_h5ad("both.h5ad")
    keys = ["--batch-key", "study", "--into", "mine", "--strategy", "d=5", "--strategy", "c=4"]
    done("oversample", "both.h5ad", "some.h5ad", "--label-key", "kind", *STEPS, *keys)
    some = ad.read_h5ad("some.h5ad").obs[143:]
    assert some["kind"].value_counts().to_dict() == {"d": 5, "c": 1, "a": 0, "b": 0}

    (tmp_path / "odd.csv").write_text("there,here\nA,a\n")
    for arguments, message in [
        (["--label-map", "names.csv"], "--label-map is about the cells of --reference"),
        (["--reference", "atlas.h5ad", "--label-map", "no.csv"], "no.csv does not exist"),
        (["--reference", "atlas.h5ad", "--label-map", "odd.csv"], "has no column 'reference'"),
        (["--into", "mine"], "--into mine names one batch or donor to make cells for"),
    ]:
        assert message in failed(*command, *arguments, "--force")
    command[2] = "more.zarr"
    said = failed(*command, "--reference", "atlas.h5ad", "--stream")
    assert "--reference cannot be combined with writing in chunks" in said
    arguments = ["--batch-key", "study", "--into", "min"]
    said = failed("oversample", "both.h5ad", "new.h5ad", "--label-key", "kind", *arguments)
    assert "no value 'min'. Did you mean 'mine'?" in said
