"""A fitted model as a folder of safetensors and JSON; never pickle.

``model.json`` names the file of tensors and holds its hash, so a model is complete from the moment
that ``model.json`` is put in place, in one step.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from sklearn.base import clone

from scdiff_augment.codec.autoencoder import AutoEncoder
from scdiff_augment.codec.choice import CODECS, Codec
from scdiff_augment.codec.count_codec import CountCodec
from scdiff_augment.compute.layers import within
from scdiff_augment.conditions.conditions import Conditions, LearntCondition
from scdiff_augment.diffusion.denoiser import Denoiser
from scdiff_augment.expression.hashes import digest
from scdiff_augment.expression.scales import FROM_START, Scale

from .results_version import versions

FORMAT = 7
"""Raised whenever an older version could not read what this one writes."""

OLDEST = 4
"""Oldest format that is read, and what is written where a model needs no more: see `needed`."""

OF_SCALES = 6
"""Names scales that format 4 has no name for; format 7 keeps which genes an encoder reads."""

DESCRIPTION = "model.json"


@dataclass(frozen=True)
class SavedModel:
    """What a folder keeps of a fitted model.

    Attributes
    ----------
    parameters : dict
        Of `LatentDiffusion`; those of a machine or a run are not kept.
    codec : Codec
    denoiser : Denoiser
    conditions : Conditions
    scale : Scale
    sigma_max : float
    n_features_in : int
    genes : ndarray of str or None
    frame : bool
        Whether new cells come as data frames.
    training_hashes : ndarray of uint64, shape (n_cells,)
    history : dict
    """

    parameters: dict[str, Any]
    codec: Codec
    denoiser: Denoiser
    conditions: Conditions
    scale: Scale
    sigma_max: float
    n_features_in: int
    genes: NDArray | None
    frame: bool
    training_hashes: NDArray[np.uint64]
    history: dict[str, Any]


def write(model: SavedModel, path: Path, *, overwrite: bool) -> None:
    """Write a fitted model; see `LatentDiffusion.save`."""
    _require_free(path, overwrite)
    codec_meta, codec_tensors = model.codec.to_state()
    denoiser_meta, denoiser_tensors = model.denoiser.to_state()
    tensors = {f"codec.{k}": v for k, v in codec_tensors.items()}
    tensors |= {f"denoiser.{k}": v for k, v in denoiser_tensors.items()}
    conditions = []
    for i, (name, learnt) in enumerate(model.conditions.learnt.items()):
        meta, parts = learnt.to_state()
        tensors |= {f"condition{i}.{k}": v for k, v in parts.items()}
        tensors[f"genes{i}"] = learnt.gene_effects
        conditions.append({"name": name, "classes": _labels(learnt.classes), "meta": meta})
    tensors["training_hashes"] = torch.from_numpy(model.training_hashes.view(np.int64))
    parameters = dict(model.parameters)
    del parameters["random_state"], parameters["device"]  # a machine's own
    if not isinstance(parameters["encoder"], str):
        parameters["encoder"] = None
    description: dict[str, Any] = {
        "format": needed(model),
        "versions": versions(),
        "parameters": parameters,
        "n_features_in": model.n_features_in,
        "genes": None if model.genes is None else model.genes.tolist(),
        "frame": model.frame,
        **model.scale.to_state(),
        "sigma_max": model.sigma_max,
        "codec": {"class": type(model.codec).__name__, **codec_meta},
        "denoiser": denoiser_meta,
        "conditions": conditions,
        "guidance": [
            {name: scales.tolist() for name, scales in found.items()}
            for found in model.conditions.guidance.values()
        ],
        "history": model.history,
        "training_hash": digest(model.training_hashes),
    }
    path.mkdir(parents=True, exist_ok=True)
    before = {*path.glob("tensors-*"), *path.glob(".partial-*")}
    partial = path / f".partial-{os.getpid()}"
    save_file({k: v.contiguous().clone() for k, v in tensors.items()}, partial)
    description["sha256"] = _file_hash(partial)
    final = path / f"tensors-{description['sha256'][:16]}.safetensors"
    os.replace(partial, final)
    description["tensors"] = final.name
    description["checksum"] = _checksum(description)
    partial.write_text(json.dumps(description, indent=1, default=_plain), encoding="utf-8")
    os.replace(partial, path / DESCRIPTION)
    for file in before - {final}:
        file.unlink(missing_ok=True)  # a partial file of this process became the new one


def needed(model: SavedModel) -> int:
    """Return the oldest format that holds all of a model."""
    if isinstance(model.codec, CountCodec) and model.codec.core_ is not None:
        return FORMAT
    return OLDEST if model.scale.kind in FROM_START else OF_SCALES


def read(path: Path) -> SavedModel:
    """Read a model that `write` wrote; see `LatentDiffusion.load`."""
    description = _description(path)
    file = path / description["tensors"]
    if not file.is_file():
        raise FileNotFoundError(f"{path} is incomplete: {file.name} is missing. Save it again.")
    if _file_hash(file) != description["sha256"]:
        raise ValueError(
            f"{file} was cut off or altered since it was saved: its hash is not the one that "
            f"{DESCRIPTION} names. Copy the folder again, or save the model again."
        )
    tensors = load_file(file)
    codec_meta = description["codec"]
    codec = CODECS[codec_meta.pop("class")].from_state(codec_meta, within(tensors, "codec."))
    parameters = description["parameters"]
    if parameters["encoder"] is None:
        given = codec.encoder_  # what learnt in `fit` would learn again; what was fitted stays
        parameters["encoder"] = clone(given) if isinstance(given, AutoEncoder) else given
    conditions = Conditions()
    for i, condition in enumerate(description["conditions"]):
        conditions.learnt[condition["name"]] = LearntCondition.from_state(
            _as_labels(condition["classes"]),
            condition["meta"],
            within(tensors, f"condition{i}."),
            tensors[f"genes{i}"],
        )
    for scales in description.get("guidance", []):  # models of before had one scale for all
        conditions.guidance[frozenset(scales)] = {k: torch.tensor(v) for k, v in scales.items()}
    genes = description["genes"]
    return SavedModel(
        parameters,
        codec,
        Denoiser.from_state(description["denoiser"], within(tensors, "denoiser.")),
        conditions,
        Scale.from_state(description),
        description["sigma_max"],
        description["n_features_in"],
        None if genes is None else np.array(genes, dtype=str),
        description.get("frame", False),  # models of before did not know
        tensors["training_hashes"].numpy().view(np.uint64),
        description["history"],
    )


def _description(path: Path) -> dict[str, Any]:
    """Read the JSON part and check it."""
    file = path / DESCRIPTION
    if not file.is_file():
        what = "is no saved model: it has no" if path.is_dir() else "does not exist: no"
        raise FileNotFoundError(f"{path} {what} {DESCRIPTION}. LatentDiffusion.save writes one.")
    try:
        description = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(
            f"{file} was cut off or altered: it is no JSON ({error}). Save it again."
        ) from error
    if not isinstance(description, dict) or "format" not in description:
        raise ValueError(f"{file} was not written by LatentDiffusion.save: it names no format.")
    if type(description["format"]) is not int:
        raise ValueError(
            f"{file} was altered since it was saved: its format is {description['format']!r}, "
            f"which is no whole number. Save it again."
        )
    if description["format"] < OLDEST:
        raise ValueError(
            f"{path} has format {description['format']}, which scdiff-augment "
            f"{version('scdiff-augment')} no longer reads: models hold more since. Fit it and save "
            f"it again."
        )
    if description["format"] > FORMAT:
        raise ValueError(
            f"{path} has format {description['format']}, written by scdiff-augment "
            f"{description['versions']['scdiff-augment']}; this is "
            f"{version('scdiff-augment')}, which reads up to format {FORMAT}. Update the package."
        )
    if description.pop("checksum", None) != _checksum(description):
        raise ValueError(
            f"{file} was altered since it was saved: its checksum does not fit. Save it again."
        )
    return description


def _require_free(path: Path, overwrite: bool) -> None:
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if path.is_dir() and (path / DESCRIPTION).is_file():
        if not overwrite:
            raise FileExistsError(
                f"{path} holds a saved model. Choose another folder, or pass overwrite=True."
            )
        return
    leftovers = path.is_dir() and all(
        file.name.startswith((".partial-", "tensors-")) for file in path.iterdir()
    )
    if not leftovers:  # of a save that was interrupted
        raise FileExistsError(
            f"{path} exists and is no saved model, so it is never replaced. Choose another folder."
        )


def _checksum(description: dict[str, Any]) -> str:
    rest = {k: v for k, v in description.items() if k != "checksum"}
    text = json.dumps(json.loads(json.dumps(rest, default=_plain)), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _file_hash(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _plain(value: Any) -> Any:
    """NumPy scalars and arrays as JSON knows them."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} can't be written as JSON.")


def _labels(classes: NDArray) -> dict[str, Any]:
    return {"dtype": classes.dtype.str, "values": classes.tolist()}


def _as_labels(stored: dict[str, Any]) -> NDArray:
    return np.array(stored["values"], dtype=np.dtype(stored["dtype"]))
