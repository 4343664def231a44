"""What a published SCimilarity folder must hold, and the tensors and genes that come out of it."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

FILES = ("encoder.ckpt", "gene_order.tsv", "layer_sizes.json", "hyperparameters.json")
"""Files that are read; the published folder has more."""


def read_folder(path: Path) -> tuple[list[str], dict[str, Tensor]]:
    """Read genes and encoder weights; no code in the folder is executed.

    Parameters
    ----------
    path : Path
        The folder, with the files named in `FILES`.

    Returns
    -------
    genes : list of str
        The model's genes, in the order of its inputs.
    tensors : dict of str to Tensor
        Weights as `checked_weights` returns them.

    Raises
    ------
    FileNotFoundError
        If the folder or files of it are absent.
    ValueError
        If a file cannot be read, or two of them contradict each other.
    """
    absent = [name for name in FILES if not (path / name).is_file()]
    if absent:
        what = f"lacks {', '.join(absent)}" if path.is_dir() else "is not a folder"
        raise FileNotFoundError(
            f"A SCimilarity model folder holds {', '.join(FILES)}, but '{path}' {what}. Pass the "
            f"folder as it is unpacked from the published archive."
        )
    genes = _read_genes(path / "gene_order.tsv")
    tensors = checked_weights(_read_tensors(path / "encoder.ckpt"), len(genes), f"'{path}'")
    _require_layer_sizes(_read_json(path / "layer_sizes.json"), tensors, path)
    _require_hyperparameters(_read_json(path / "hyperparameters.json"), tensors, path)
    return genes, tensors


def layer_sizes(tensors: Mapping[str, Tensor]) -> list[int]:
    """Return the outputs of each linear layer, first to last; the last is the embedding."""
    linear = {
        int(found[1]): len(tensor)
        for name, tensor in tensors.items()
        if (found := re.fullmatch(r"network\.(\d+)(\.1)?\.weight", name))
    }
    return [linear[i] for i in sorted(linear)]


def checked_weights(tensors: Mapping[str, Tensor], n_genes: int, where: str) -> dict[str, Tensor]:
    """Keep the float32 tensors that embedding needs, after checking names and shapes.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        ``network.<i>.1.*`` (linear), ``.2.*`` (batch norm) and ``.3.*`` (PReLU) of hidden layers,
        then ``network.<depth>.*`` (linear).
    n_genes : int
        Inputs that the first layer must have.
    where : str
        Where they come from, for messages.

    Returns
    -------
    dict of str to Tensor

    Raises
    ------
    ValueError
        If a tensor is missing, of another shape, unknown, or not finite.
    """
    expected = _expected_shapes(n_genes, layer_sizes(tensors))
    counters = {name for name in tensors if name.endswith(".num_batches_tracked")}
    wrong = [f"lacks {name}" for name in expected if name not in tensors]
    wrong += [f"has an unknown {name}" for name in set(tensors) - set(expected) - counters]
    wrong += [
        f"has {name} of shape {tuple(tensors[name].shape)} instead of {shape}"
        for name, shape in expected.items()
        if name in tensors and tuple(tensors[name].shape) != shape
    ]
    if wrong:
        raise ValueError(
            f"The encoder of {where} must have {n_genes} genes and linear, batch norm and PReLU "
            f"layers, but it {'; '.join(sorted(wrong)[:4])}. Genes and weights must come from one "
            f"SCimilarity model."
        )
    kept = {name: tensors[name].detach().to("cpu", torch.float32).contiguous() for name in expected}
    for name, tensor in kept.items():
        if not torch.isfinite(tensor).all():
            raise ValueError(f"{name} of {where} must be finite; get an undamaged copy.")
    return kept


def _expected_shapes(n_genes: int, sizes: list[int]) -> dict[str, tuple[int, ...]]:
    inputs = [n_genes, *sizes[:-1]]
    shapes: dict[str, tuple[int, ...]] = {}
    for i, size in enumerate(sizes[:-1]):
        shapes[f"network.{i}.1.weight"] = (size, inputs[i])
        shapes[f"network.{i}.1.bias"] = (size,)
        for name in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"network.{i}.2.{name}"] = (size,)
        shapes[f"network.{i}.3.weight"] = (1,)
    depth = max(len(sizes) - 1, 0)
    out = sizes[-1] if sizes else 0
    shapes[f"network.{depth}.weight"] = (out, inputs[-1])
    shapes[f"network.{depth}.bias"] = (out,)
    return shapes


def _read_genes(file: Path) -> list[str]:
    try:
        genes = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    except UnicodeDecodeError as error:
        raise ValueError(f"'{file}' must be text, one gene a line: {error}.") from error
    while genes and not genes[-1]:
        genes.pop()
    repeated = (
        {gene for gene in genes if genes.count(gene) > 1} if len(set(genes)) < len(genes) else ()
    )
    if not genes or "" in genes or repeated:
        what = f"repeats {', '.join(sorted(repeated)[:5])}" if repeated else "has an empty line"
        raise ValueError(
            f"'{file}' must name one gene a line, each once, but it "
            f"{what if genes else 'is empty'}. Get an undamaged copy."
        )
    return genes


def _read_tensors(file: Path) -> Mapping[str, Tensor]:
    stored = io.BytesIO(file.read_bytes())  # an OSError past here speaks of the content
    try:
        content = torch.load(stored, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, LookupError, ValueError, UnpicklingError) as error:
        raise ValueError(
            f"'{file}' must be a checkpoint of tensors and nothing else, but it is damaged or "
            f"holds other objects ({type(error).__name__}). Get an undamaged copy."
        ) from error
    state = content.get("state_dict") if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ValueError(
            f"'{file}' must hold tensors under 'state_dict', but it does not. Pass the encoder of "
            f"a SCimilarity model."
        )
    return state


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:  # of JSON and of UTF-8
        raise ValueError(f"'{file}' must be JSON, but it is damaged: {error}.") from error
    if not isinstance(content, dict):
        raise ValueError(f"'{file}' must be a JSON object, got {type(content).__name__}.")
    return content


def _require_layer_sizes(
    stated: Mapping[str, Any], tensors: Mapping[str, Tensor], path: Path
) -> None:
    """Compare the two-dimensional weights, from which the published tool builds its network."""
    held = {name: list(tensor.shape) for name, tensor in tensors.items() if tensor.ndim == 2}
    wrong = [
        f"{name} is {stated.get(name, 'absent')} in layer_sizes.json and {shape} in encoder.ckpt"
        for name, shape in held.items()
        if stated.get(name) != shape
    ]
    if wrong:
        raise ValueError(_contradiction(path, wrong[0]))


def _require_hyperparameters(
    stated: Mapping[str, Any], tensors: Mapping[str, Tensor], path: Path
) -> None:
    *hidden, n_latent = layer_sizes(tensors)
    for name, held in (("hidden_dim", hidden), ("latent_dim", n_latent)):
        if stated.get(name, held) != held:
            found = f"{name} is {stated[name]} in hyperparameters.json and {held} in encoder.ckpt"
            raise ValueError(_contradiction(path, found))


def _contradiction(path: Path, found: str) -> str:
    return (
        f"The files of a SCimilarity model folder must describe one network, but in '{path}' "
        f"{found}. Take all files from one published archive."
    )
