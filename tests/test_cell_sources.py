"""Learning from streams: a short stream gives the model of the matrix; bad blocks are named."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from tiny import make_model

from scdiff_augment import as_blocks


def pieces(X, size=23):
    return [X[start : start + size] for start in range(0, len(X), size)]


def log_normalised(X, total=1e4):
    return np.log1p(X / X.sum(axis=1, keepdims=True) * total)


def same_models(one, other):
    np.testing.assert_array_equal(one.cells_.z.numpy(), other.cells_.z.numpy())
    np.testing.assert_array_equal(one.training_hashes_, other.training_hashes_)
    np.testing.assert_array_equal(one.sample(n=7), other.sample(n=7))


@pytest.mark.parametrize("encoder", ["pca", "auto"])
@pytest.mark.parametrize("scale", ["counts", "log1p", "selected", "real"])
def test_a_short_stream_gives_the_model_of_the_matrix(counts, encoder, scale):
    X, labels = counts
    X = {
        "counts": X,
        "log1p": log_normalised(X),
        "selected": log_normalised(X)[:, :30],
        "real": X - 3.0,
    }[scale]
    # one cell a block is a total that one cell shares with itself
    blocks = [X[:1], X[1:70], X[70:]]
    codes = {"groups": labels, "sample_weight": 1 + (labels == "rare")}
    whole = make_model(encoder=encoder).fit(X, **codes)
    streamed = make_model(encoder=encoder).fit(blocks, **codes)
    assert streamed.history_["expression"] == whole.history_["expression"]
    np.testing.assert_allclose(streamed.cells_.z, whole.cells_.z, atol=1e-4)
    np.testing.assert_array_equal(streamed.training_hashes_, whole.training_hashes_)
    np.testing.assert_allclose(streamed.encode(pieces(X)), whole.encode(X), atol=1e-4)


def test_files_are_learnt_by_their_paths(counts, tmp_path):
    X, labels = counts
    adata = ad.AnnData(sparse.csr_matrix(X.astype(np.float32)))
    adata.write_h5ad(tmp_path / "cells.h5ad")
    expected = make_model().fit(adata.to_df())
    for source in (tmp_path / "cells.h5ad", ad.read_h5ad(tmp_path / "cells.h5ad", backed="r")):
        model = make_model().fit(source)
        same_models(model, make_model().fit(adata.to_df()))
        assert model.genes_.tolist() == expected.genes_.tolist()
        model.add_condition("type", labels, X=source)
        assert model.sample({"type": "rare"}, n=3).shape == (3, 40)


def test_a_long_stream_keeps_a_sample_and_encodes_all(counts):
    X, _ = counts
    model = make_model().fit(pieces(X), n_reservoir=40)
    assert model.cells_.z.shape[0] == len(model.training_hashes_) == 100
    assert any("from 40 of 100 cells" in note for note in model.history_["notes"])
    assert len(np.unique(model.encode(X), axis=0)) == 100
    again = make_model().fit(as_blocks(sparse.csr_matrix(X), size=9), n_reservoir=40)
    np.testing.assert_array_equal(again.training_hashes_, model.training_hashes_)


def test_rare_types_stay_by_their_weight(counts):
    X, labels = counts
    weight = np.where(labels == "rare", 1.0, 1e-6)
    seen = []

    class Watched:
        def transform(self, features):
            seen.append(len(features))
            return features[:, :3]

    model = make_model(encoder=Watched())
    model.fit(pieces(X), sample_weight=weight, n_reservoir=10)
    rare = make_model(encoder=Watched()).fit(X[labels == "rare"])
    assert seen[0] == 10
    np.testing.assert_allclose(model.codec_.centre_, rare.codec_.centre_)


def test_genes_of_a_stream_are_brought_into_order(counts):
    names = [f"g{i}" for i in range(40)]
    frame = pd.DataFrame(counts[0], columns=names)
    model = make_model().fit(frame)
    turned = [frame.iloc[:50, ::-1], frame.iloc[50:, ::-1]]
    np.testing.assert_allclose(model.encode(turned), model.encode(frame), atol=1e-5)


def spoilt(X, row, value):
    X = np.array(X, dtype=float)
    X[row, 5] = value
    return X


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (-1.0, r"non-negative values, but block 2 has -1 in row 8 \(cell 54\), column 5"),
        (0.5, r"needs integers, but block 2 has 0.5 in row 8 \(cell 54\), column 5"),
        (np.nan, r"must be finite, but block 2 has nan in row 8 \(cell 54\), column 5"),
    ],
)
def test_a_bad_value_is_named_by_block_and_row(counts, container, value, message):
    blocks = [container(block) for block in pieces(spoilt(counts[0], 54, value))]
    with pytest.raises(ValueError, match=message):
        make_model().fit(blocks)


def test_scales_are_not_mixed(counts):
    X = counts[0]
    with pytest.raises(ValueError, match="block 1 holds integers only, but those before held"):
        make_model().fit([log_normalised(X), X])
    first = np.arange(100) < 60  # only these are kept, and share a total
    other = [log_normalised(X[:60]), log_normalised(X[60:], 1e6)]
    with pytest.raises(ValueError, match=r"total of 10000, but cell 60 \(block 1, row 0\) has 1e"):
        make_model().fit(other, sample_weight=first, n_reservoir=10)


def test_blocks_must_be_alike_and_not_empty(counts):
    X = counts[0]
    with pytest.raises(ValueError, match="block 1 has 39 genes, but 40 are expected"):
        make_model().fit([X, X[:, 1:]])
    with pytest.raises(ValueError, match="block 0 must be a numeric matrix"):
        make_model().fit([X.astype(str)])
    with pytest.raises(ValueError, match="no cell to learn from"):
        make_model().fit([X[:0], X[:0]])
    with pytest.raises(ValueError, match="`sample_weight` has 99 values, but there are at"):
        make_model().fit([X], sample_weight=np.ones(99))
    with pytest.raises(TypeError, match="gives them only once"):
        make_model().fit(block for block in [X])


def test_a_source_that_shuffles_is_found_out(counts):
    class Shuffled:
        def __init__(self):
            self.rng = np.random.default_rng(0)

        def __iter__(self):
            yield from pieces(counts[0][self.rng.permutation(100)])

    with pytest.raises(ValueError, match="same order each time: without shuffling"):
        make_model().fit(Shuffled())


def test_cells_without_counts_say_nothing_about_the_scale(counts):
    X = log_normalised(counts[0])
    model = make_model().fit([np.zeros((2, 40)), X])
    assert model.history_["expression"] == "log1p"
    assert model.encode([np.zeros((2, 40)), X]).shape[0] == 102
