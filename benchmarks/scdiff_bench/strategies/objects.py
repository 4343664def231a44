"""Objects that a config names by plain values: encoders, judges and saved generators."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scdiff_bench.messages import choose, nearest
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

ENCODERS = ("autoencoder", "scimilarity")
JUDGES = ("logistic_regression", "knn")


def with_objects(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters of the generator with encoder and judge built.

    Parameters
    ----------
    params : mapping
        ``encoder`` may be a name, or a mapping of one name to its parameters:
        ``{autoencoder: {label_weight: 0.1}}`` or ``{scimilarity: {path: FOLDER}}``; ``judge`` may
        be a name; ``generator`` may be the folder of a saved one.

    Returns
    -------
    dict
        The same, for `DiffusionOversampler` or `LatentDiffusion`.

    Raises
    ------
    ValueError
        If a name or one of its parameters is unknown; it names the nearest.
    """
    built = dict(params)
    if isinstance(built.get("encoder"), Mapping):
        built["encoder"] = _encoder(built["encoder"])
    if isinstance(built.get("judge"), str):
        built["judge"] = _judge(built["judge"])
    if isinstance(built.get("generator"), str):
        from scdiff_augment import LatentDiffusion

        built["generator"] = LatentDiffusion.load(Path(built["generator"]).expanduser())
    return built


def _encoder(spec: Mapping[str, Any]) -> Any:
    from scdiff_augment import AutoEncoder, SCimilarityEncoder

    if len(spec) != 1:
        raise ValueError(f"encoder must name one kind with its parameters, got {sorted(spec)}.")
    ((name, params),) = spec.items()
    params = dict(params or {})
    if choose("encoder", name, ENCODERS) == "scimilarity":
        return SCimilarityEncoder(Path(str(params.pop("path", ""))).expanduser(), **params)
    known = list(AutoEncoder().get_params())
    for key in params:
        if key not in known:
            raise ValueError(f"The autoencoder has no parameter {key!r}. {nearest(key, known)}")
    return AutoEncoder(**params)


def _judge(name: str) -> Any:
    if choose("judge", name, JUDGES) == "knn":
        return make_pipeline(PCA(20, random_state=0), KNeighborsClassifier(5))
    return LogisticRegression(C=0.03, max_iter=1000)
