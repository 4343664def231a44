"""SCimilarity: equal to the package's recorded output; folders that are damaged are refused.

``data/scimilarity/make_record.py`` made the record, with the `scimilarity` package.
"""

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy import sparse
from sklearn.base import clone

from scdiff_augment.codec.scimilarity import BLOCK, SCimilarityEncoder
from scdiff_augment.expression.kinds import depth_normalised

DATA = Path(__file__).parent / "data" / "scimilarity"


@pytest.fixture(scope="module")
def record():
    with np.load(DATA / "record.npz", allow_pickle=False) as content:
        return dict(content)


@pytest.fixture(scope="module")
def encoder():
    return SCimilarityEncoder(DATA / "model")


@pytest.fixture
def folder(tmp_path):
    return Path(shutil.copytree(DATA / "model", tmp_path / "model"))


def test_the_package_embeds_aligned_cells_the_same(encoder, record):
    embedding = encoder.transform(record["aligned"])
    np.testing.assert_allclose(embedding, record["aligned_embedding"], rtol=0, atol=1e-5)
    assert record["aligned_embedding"].std(axis=0).mean() > 0.01  # cells differ beyond tolerance
    assert embedding.dtype == np.float32


def test_the_package_embeds_cells_with_other_genes_the_same(record):
    encoder = SCimilarityEncoder(DATA / "model", record["genes"])
    embedding = encoder.transform(depth_normalised(record["counts"]))
    np.testing.assert_allclose(embedding, record["counts_embedding"], rtol=0, atol=1e-5)
    assert (encoder.report_.n_matched, encoder.report_.n_wanted) == (45, 60)
    assert (encoder.report_.share_wanted, encoder.report_.share_given) == (45 / 60, 45 / 70)


def test_sizes_are_read_and_rows_have_length_one(encoder, record):
    assert (encoder.hidden_sizes_, encoder.n_latent) == ((32, 24, 16), 128)
    assert repr(encoder) == "SCimilarityEncoder(60 genes -> 128)"
    lengths = np.linalg.norm(encoder.transform(record["aligned"]), axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-6)


def test_the_order_of_the_genes_does_not_matter(encoder, record):
    order = np.random.default_rng(0).permutation(60)
    shuffled = encoder.with_genes(encoder.model_genes_[order])
    embedding = shuffled.transform(record["aligned"][:, order])
    np.testing.assert_allclose(embedding, record["aligned_embedding"], atol=1e-6)
    assert not np.allclose(encoder.transform(record["aligned"][:, order]), embedding, atol=1e-3)


def test_a_model_whose_genes_are_not_sorted_keeps_its_order(folder, record):
    genes = (folder / "gene_order.tsv").read_text().split()
    (folder / "gene_order.tsv").write_text("\n".join(genes[::-1]) + "\n")
    encoder = SCimilarityEncoder(folder, genes)
    embedding = encoder.transform(record["aligned"][:, ::-1])
    np.testing.assert_allclose(embedding, record["aligned_embedding"], atol=1e-6)


def test_an_absent_gene_is_a_gene_of_zeros(encoder, record):
    kept = np.arange(60) % 4 > 0
    X = record["aligned"].copy()
    X[:, ~kept] = 0
    fewer = encoder.with_genes(encoder.model_genes_[kept])
    np.testing.assert_allclose(
        fewer.transform(record["aligned"][:, kept]), encoder.transform(X), atol=1e-6
    )
    assert fewer.report_.absent == ("GENE00", "GENE04", "GENE08", "GENE12", "GENE16")


def test_genes_unknown_to_the_model_leave_no_trace(encoder, record):
    counts = record["counts"]
    known = np.char.startswith(record["genes"], "GENE")
    alone = encoder.with_genes(record["genes"][known])
    with_others = encoder.with_genes(record["genes"])
    np.testing.assert_allclose(
        with_others.transform(depth_normalised(counts)),
        alone.transform(depth_normalised(counts[:, known])),
        atol=1e-6,
    )


def test_fewer_than_half_of_the_models_genes_are_refused_unless_asked_for(encoder):
    with pytest.raises(ValueError, match=r"29 of 60 wanted genes .* at least 50% must be"):
        encoder.with_genes(encoder.model_genes_[:29])
    assert encoder.with_genes(encoder.model_genes_[:30]).report_.share_wanted == 0.5
    loose = SCimilarityEncoder(DATA / "model", encoder.model_genes_[:29], min_share=0.2)
    assert loose.with_genes(encoder.model_genes_[:12]).report_.n_matched == 12


def test_data_without_gene_names_keep_the_genes_given(record):
    encoder = SCimilarityEncoder(DATA / "model", record["genes"])
    assert encoder.with_genes(None).genes_.tolist() == record["genes"].tolist()


def test_an_embedding_does_not_depend_on_the_other_cells(encoder, record):
    X = np.tile(record["aligned"], (BLOCK // 20 + 2, 1))  # more than a block
    together = encoder.transform(X)
    alone = np.vstack([encoder.transform(X[i : i + 1]) for i in range(20)])
    np.testing.assert_allclose(together, np.tile(alone, (len(X) // 20, 1)), atol=1e-6)
    assert encoder.transform(X[:0]).shape == (0, 128)


def test_containers_agree(encoder, record):
    X = record["aligned"]
    frame = pd.DataFrame(X, columns=encoder.model_genes_)
    for other in (frame, sparse.csr_matrix(X), sparse.coo_array(X), X.tolist(), X.astype(float)):
        np.testing.assert_allclose(encoder.transform(other), encoder.transform(X), atol=1e-6)


def test_columns_that_are_not_the_encoders_are_refused(encoder, record):
    frame = pd.DataFrame(record["aligned"], columns=encoder.model_genes_[::-1])
    with pytest.raises(ValueError, match="genes in their order, but they differ"):
        encoder.transform(frame)
    with pytest.raises(ValueError, match=r"60 genes, got shape \(20, 59\)"):
        encoder.transform(record["aligned"][:, :59])


@pytest.mark.parametrize(
    ("value", "culprit"),
    [
        (-0.5, "cell 515 has -0.5 in column 7"),
        (np.nan, "cell 515 has nan in column 7"),
        (40.0, "cell 515 has 40 in column 7"),
    ],
)
def test_values_that_are_not_log1p_cp10k_are_refused(encoder, record, value, culprit):
    X = np.tile(record["aligned"], (BLOCK // 20 + 2, 1))
    X[BLOCK + 3, 7] = value
    with pytest.raises(ValueError, match=culprit):
        encoder.transform(X)


def test_small_counts_are_refused(encoder):
    with pytest.raises(ValueError, match=r"cells 0 to 4 hold integers only.*normalize_total"):
        encoder.transform(np.random.default_rng(0).poisson(1, (5, 60)))


@pytest.mark.parametrize(
    "name", ["encoder.ckpt", "gene_order.tsv", "layer_sizes.json", "hyperparameters.json"]
)
def test_absent_and_empty_files_are_named(folder, name):
    (folder / name).write_bytes(b"")
    with pytest.raises(ValueError, match=name):
        SCimilarityEncoder(folder)
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"lacks {name}. Pass"):
        SCimilarityEncoder(folder)


def test_an_absent_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere' is not a folder"):
        SCimilarityEncoder(tmp_path / "nowhere")


@pytest.mark.parametrize("share", [0.05, 0.5, 0.99])
def test_a_truncated_checkpoint_is_refused(folder, share):
    whole = (folder / "encoder.ckpt").read_bytes()
    (folder / "encoder.ckpt").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ValueError, match=r"encoder.ckpt' must be a checkpoint .* damaged"):
        SCimilarityEncoder(folder)


class Intruder:
    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return Path.touch, (self.file,)


def save_pickle(content, file):
    file.write_bytes(pickle.dumps(content, protocol=2))


@pytest.mark.parametrize("save", [torch.save, save_pickle])
def test_code_in_a_checkpoint_is_not_executed(folder, save):
    trace = folder / "executed"
    save({"state_dict": {"network.0.weight": Intruder(trace)}}, folder / "encoder.ckpt")
    with pytest.raises(ValueError, match="holds other objects"):
        SCimilarityEncoder(folder)
    assert not trace.exists()


def edit_checkpoint(folder, change):
    state = torch.load(folder / "encoder.ckpt", weights_only=True)["state_dict"]
    change(state)
    torch.save({"state_dict": state}, folder / "encoder.ckpt")


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda s: s.pop("network.1.2.running_var"), "lacks network.1.2.running_var"),
        (lambda s: s.update(extra=torch.ones(1)), "has an unknown extra"),
        (
            lambda s: s.update({"network.1.1.weight": torch.ones(24, 31)}),
            r"network.1.1.weight of shape \(24, 31\) instead of \(24, 32\)",
        ),
        (lambda s: s["network.3.bias"].fill_(np.nan), "network.3.bias of .* must be finite"),
        (lambda s: s.clear(), "lacks network.0.bias"),
    ],
)
def test_weights_that_are_no_encoder_are_refused(folder, change, found):
    edit_checkpoint(folder, change)
    with pytest.raises(ValueError, match=found):
        SCimilarityEncoder(folder)


def test_a_checkpoint_without_state_is_refused(folder):
    torch.save({"weights": torch.ones(2)}, folder / "encoder.ckpt")
    with pytest.raises(ValueError, match="must hold tensors under 'state_dict'"):
        SCimilarityEncoder(folder)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("\n".join(f"GENE{i:02d}" for i in range(59)), r"weight of shape \(32, 60\) instead of"),
        ("GENE00\n\nGENE02", "has an empty line"),
        ("GENE00\nGENE00", "repeats GENE00"),
    ],
)
def test_genes_that_do_not_fit_the_weights_are_refused(folder, text, found):
    (folder / "gene_order.tsv").write_text(text)
    with pytest.raises(ValueError, match=found):
        SCimilarityEncoder(folder)


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("layer_sizes.json", {"network.0.1.weight": [64, 60]}, r"is \[64, 60\] in layer_sizes"),
        ("layer_sizes.json", {}, "network.0.1.weight is absent in layer_sizes.json"),
        ("hyperparameters.json", {"latent_dim": 64}, "latent_dim is 64 in hyperparameters.json"),
        ("hyperparameters.json", {"hidden_dim": [32]}, r"and \[32, 24, 16\] in encoder.ckpt"),
        ("hyperparameters.json", [1], "must be a JSON object, got list"),
    ],
)
def test_files_that_contradict_the_weights_are_refused(folder, name, content, found):
    (folder / name).write_text(json.dumps(content))
    with pytest.raises(ValueError, match=found):
        SCimilarityEncoder(folder)


def test_the_state_goes_through_safetensors_and_json_without_the_folder(folder, record, tmp_path):
    first = SCimilarityEncoder(folder, record["genes"], min_share=0.7)
    meta, tensors = first.to_state()
    save_file(tensors, tmp_path / "encoder.safetensors")
    (tmp_path / "encoder.json").write_text(json.dumps(meta))
    shutil.rmtree(folder)
    again = SCimilarityEncoder.from_state(
        json.loads((tmp_path / "encoder.json").read_text()),
        load_file(tmp_path / "encoder.safetensors"),
    )
    X = depth_normalised(record["counts"])
    np.testing.assert_array_equal(again.transform(X), first.transform(X))
    assert (again.report_, again.min_share, repr(again)) == (first.report_, 0.7, repr(first))
    with pytest.raises(ValueError, match="at least 70% must be"):
        again.with_genes(again.model_genes_[:40])


def test_a_state_that_is_incomplete_or_anothers_is_refused(encoder):
    meta, tensors = encoder.to_state()
    with pytest.raises(ValueError, match="lacks genes, model_genes"):
        SCimilarityEncoder.from_state({"encoder": "scimilarity", "min_share": 0.5}, tensors)
    with pytest.raises(ValueError, match="it is another"):
        SCimilarityEncoder.from_state({**meta, "encoder": "pca"}, tensors)
    del tensors["network.3.bias"]
    with pytest.raises(ValueError, match=r"the stored state .* lacks network\.3\.bias"):
        SCimilarityEncoder.from_state(meta, tensors)
    assert "network.3.bias" in encoder.to_state()[1]


def test_clones_share_the_weights(encoder):
    assert clone(encoder, safe=False) is encoder
    other = encoder.with_genes(encoder.model_genes_[::-1])
    assert other.to_state()[1]["network.3.bias"] is encoder.to_state()[1]["network.3.bias"]
