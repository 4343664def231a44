"""Make the record that test_scimilarity.py compares with: a small model, and its embeddings.

Wants an environment of its own, because the package needs zarr below 3:

    python3.11 -m venv env
    env/bin/pip install --no-deps scimilarity==0.4.1
    env/bin/pip install torch "zarr<3" "anndata<0.12" "scanpy<1.12" "numpy<2.4" "pandas<3" tqdm
    env/bin/python tests/data/scimilarity/make_record.py

``model/`` is a folder in the published layout, its weights random but seeded, written by the
package's own encoder and decoder. ``record.npz`` holds inputs and what the package makes of them:

- ``aligned`` (log1p CP10k, the model's genes) and ``aligned_embedding`` by
  ``CellEmbedding.get_embeddings``;
- ``counts`` with ``genes`` (shuffled; some of the model's are absent, some are unknown to it) and
  ``counts_embedding`` by ``align_dataset``, ``lognorm_counts``, ``get_embeddings``, the order of
  the package's documentation.

The model's genes are in alphabetical order, and must be for the second record: ``align_dataset``
returns its columns sorted by name, whatever order it is asked for, because
``anndata.concat(join="outer")`` sorts the union.
"""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
N_GENES, HIDDEN, N_LATENT, N_CELLS = 60, [32, 24, 16], 128, 20


def log1p_cp10k(counts):
    """Normalise depth."""
    return np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4).astype(np.float32)


def write_model(folder, genes, rng):
    """Write the folder; statistics come from batches of cells, so that embeddings differ."""
    import torch  # here and below: this file is importable where the package is not
    from scimilarity.nn_models import Decoder, Encoder

    torch.manual_seed(0)
    encoder = Encoder(N_GENES, N_LATENT, HIDDEN)
    for name, tensor in encoder.state_dict().items():
        if name.endswith((".2.weight", ".3.weight")):
            tensor.uniform_(0.2, 1.5)
        elif name.endswith(".2.bias"):
            tensor.normal_(0, 0.5)
    with torch.no_grad():
        for _ in range(60):
            encoder(torch.from_numpy(log1p_cp10k(rng.negative_binomial(1, 0.1, (64, N_GENES)))))
    folder.mkdir(exist_ok=True)
    encoder.save_state(str(folder / "encoder.ckpt"))
    Decoder(N_GENES, N_LATENT, HIDDEN).save_state(str(folder / "decoder.ckpt"))
    sizes = {name: list(tensor.size()) for name, tensor in encoder.state_dict().items()}
    (folder / "layer_sizes.json").write_text(json.dumps(sizes))
    (folder / "hyperparameters.json").write_text(
        json.dumps({"latent_dim": N_LATENT, "hidden_dim": HIDDEN, "dropout": 0.5})
    )
    (folder / "gene_order.tsv").write_text("\n".join(genes))
    (folder / "label_ints.csv").write_text('"","0"\n0,"B cell"\n1,"T cell"\n')


def main():
    """Write model and record beside this file."""
    import anndata as ad
    import pandas as pd
    from scimilarity import CellEmbedding, align_dataset, lognorm_counts
    from scipy.sparse import csr_matrix

    rng = np.random.default_rng(0)
    model_genes = [f"GENE{i:02d}" for i in range(N_GENES)]
    write_model(HERE / "model", model_genes, rng)
    embedding = CellEmbedding(str(HERE / "model"))

    counts = rng.negative_binomial(1, 0.1, (N_CELLS, N_GENES))
    aligned = log1p_cp10k(counts)

    known = rng.permutation(model_genes)[:45]
    genes = rng.permutation([*known, *(f"OTHER{i}" for i in range(25))])
    data = ad.AnnData(
        csr_matrix(rng.negative_binomial(1, 0.1, (N_CELLS, len(genes))).astype(np.float32)),
        obs=pd.DataFrame(index=[f"cell{i}" for i in range(N_CELLS)]),
        var=pd.DataFrame(index=genes),
    )
    data.layers["counts"] = data.X.copy()
    prepared = lognorm_counts(
        align_dataset(data.copy(), embedding.gene_order, gene_overlap_threshold=30)
    )
    if list(prepared.var_names) != model_genes:
        raise RuntimeError("align_dataset did not return the model's genes in the model's order.")
    np.savez_compressed(
        HERE / "record.npz",
        aligned=aligned,
        aligned_embedding=embedding.get_embeddings(aligned),
        genes=np.array(genes, dtype=np.str_),
        counts=data.layers["counts"].toarray().astype(np.int32),
        counts_embedding=embedding.get_embeddings(csr_matrix(prepared.X)),
        versions=np.array(
            [f"{name} {version(name)}" for name in ("scimilarity", "torch", "anndata", "scanpy")]
        ),
    )


if __name__ == "__main__":
    main()
