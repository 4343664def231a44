"""What the package's canary draws: a few small matrices, every way of drawing, a number of each.

Each case returns cells (n, genes) and a class for each of them. The defaults are drawn from as
users meet them; other cases train shorter, so that all of them together take seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from scipy import sparse

from scdiff_augment import AutoEncoder, DiffusionOversampler, LatentDiffusion

Drawn = tuple[np.ndarray, np.ndarray]
SIZES = {"common": 120, "middle": 60, "rare": 12}
GENES = 50
SHORT = {"decoder_steps": 40, "denoiser_steps": 60}


@cache
def counts() -> tuple[np.ndarray, np.ndarray]:
    """Negative binomial counts of three types, two of them alike, and their labels."""
    rng = np.random.default_rng(7)
    labels = np.repeat(list(SIZES), list(SIZES.values()))
    profile = rng.gamma(0.6, 1.0, (3, GENES)) + 0.02
    profile[2] = 0.6 * profile[1] + 0.4 * profile[2]
    profile /= profile.sum(axis=1, keepdims=True)
    kind = np.repeat([0, 1, 2], list(SIZES.values()))
    library = rng.lognormal(4.6, 0.35, (len(labels), 1))
    return rng.poisson(rng.gamma(4, profile[kind] * library / 4)), labels


@cache
def treated() -> np.ndarray:
    """Stimulation of each cell; the rare type was never seen with it."""
    _, labels = counts()
    return np.where((np.arange(len(labels)) % 3 == 0) & (labels != "rare"), "stim", "ctrl")


def log_values(chosen: slice = slice(None)) -> np.ndarray:
    """log1p of counts per 10,000; with a selection of genes, normalised over all of them."""
    X, _ = counts()
    scaled = X / np.maximum(X.sum(axis=1, keepdims=True), 1) * 1e4
    return np.log1p(scaled)[:, chosen].astype(np.float32)


def real_values() -> np.ndarray:
    """Log values that were centred and scaled."""
    X = log_values()
    return ((X - X.mean(axis=0)) / X.std(axis=0)).astype(np.float32)


def _added(X: Any, **parameters: Any) -> Drawn:
    _, labels = counts()
    sampler = DiffusionOversampler(random_state=0, **parameters)
    more, y = sampler.fit_resample(X, labels)
    new = more[len(labels) :]
    return (new.toarray() if sparse.issparse(new) else np.asarray(new)), y[len(labels) :]


def _conditioned(kind: str, **parameters: Any) -> LatentDiffusion:
    X = {"counts": lambda: counts()[0], "log1p": log_values, "real": real_values}[kind]()
    labels = counts()[1]
    model = LatentDiffusion(random_state=0, **parameters).fit(X).add_condition("type", labels)
    return model.add_condition("treatment", treated(), within={"type": labels})


def _sampled(kind: str = "counts", **parameters: Any) -> Drawn:
    model = _conditioned(kind, **parameters)
    wanted = np.repeat(["common", "rare"], 60)
    treatment = np.tile(["ctrl", "stim"], 60)
    cells = model.sample({"type": wanted, "treatment": treatment})
    return cells, np.char.add(np.char.add(wanted, " "), treatment)


def _started() -> Drawn:
    model = _conditioned("counts", **SHORT)
    start = counts()[0][counts()[1] == "middle"]
    return model.sample({"type": "rare"}, start=start, strength=0.5), np.repeat("rare", len(start))


def _path(noise: str) -> Drawn:
    model = _conditioned("counts", **SHORT)
    start = counts()[0][counts()[1] == "middle"]
    found = model.interpolate(start, "type", "middle", "common", [0, 0.5, 1], noise=noise)
    return found.reshape(-1, GENES), np.repeat(["0", "0.5", "1"], len(start))


def _there_and_back() -> Drawn:
    model = _conditioned("counts", **SHORT)
    z = model.from_noise(model.invert(counts()[0]))
    return np.hstack([z, model.encode(counts()[0])]), counts()[1]


def _streamed() -> Drawn:
    X, labels = counts()
    blocks = [sparse.csr_matrix(X[i : i + 50]) for i in range(0, len(X), 50)]
    model = LatentDiffusion(random_state=0, **SHORT).fit(blocks, n_reservoir=100, groups=labels)
    model.add_condition("type", labels)
    return model.sample({"type": np.repeat(["common", "rare"], 60)}), np.repeat(["c", "r"], 60)


def _pretrained() -> Drawn:
    model = LatentDiffusion(random_state=3, **SHORT).fit(counts()[0][::2])
    return _added(counts()[0], generator=model, on_overlap="ignore")


CELLS: dict[str, Callable[[], Drawn]] = {
    "sampler, counts": lambda: _added(counts()[0]),
    "sampler, sparse counts": lambda: _added(sparse.csr_matrix(counts()[0]), **SHORT),
    "sampler, counts, autoencoder": lambda: _added(
        counts()[0], encoder=AutoEncoder(n_latent=8, n_steps=80), **SHORT
    ),
    "sampler, log1p": lambda: _added(log_values(), **SHORT),
    "sampler, log1p of some genes": lambda: _added(log_values(slice(40)), **SHORT),
    "sampler, real values": lambda: _added(real_values(), **SHORT),
    "sampler, from real cells": lambda: _added(counts()[0], strength=0.5, **SHORT),
    "sampler, learnt classifier": lambda: _added(counts()[0], classifier_steps=60, **SHORT),
    "sampler, pretrained generator": _pretrained,
    "generator, counts": _sampled,
    "generator, counts, autoencoder": lambda: _sampled(
        encoder=AutoEncoder(n_latent=8, n_steps=80), **SHORT
    ),
    "generator, log1p": lambda: _sampled("log1p", **SHORT),
    "generator, real values": lambda: _sampled("real", **SHORT),
    "generator, ddpm": lambda: _sampled(sampler="ddpm", n_timesteps=50, n_steps=50, **SHORT),
    "generator, ddim": lambda: _sampled(sampler="ddim", **SHORT),
    "generator, from real cells": _started,
    "generator, stream": _streamed,
    "interpolation, drawn noise": lambda: _path("drawn"),
    "interpolation, inverted noise": lambda: _path("inverted"),
    "inversion": _there_and_back,
}
"""Name to a function that draws."""


def drawn(name: str) -> Drawn:
    """Draw a case on one thread."""
    torch.set_num_threads(1)
    return CELLS[name]()
