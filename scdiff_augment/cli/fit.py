"""fit: from cells to a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options
from .cells import Cells, read_cells, require_file
from .models import READ, class_weights, described, save
from .names import hint, listed
from .output import replacing
from .terminal import Terminal

if TYPE_CHECKING:
    from scdiff_augment.generator import LatentDiffusion

EXAMPLES = """Examples:

\b
# a model that knows cell types
scdiff-augment fit cells.h5ad model --label-key cell_type

\b
# two conditions, from a layer of counts, rare types seen more often
scdiff-augment fit cells.h5ad model --layer counts --seed 0 \\
    --label-key cell_type --label-key condition --weight-key cell_type
"""

ENCODERS = [encoder.value for encoder in options.Encoder]
"""Encoders with a name; anything else is a folder."""


def fit(
    cells: options.CellsIn,
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Folder to write.")],
    label_key: Annotated[
        list[str] | None,
        typer.Option(help="Column of obs to learn as a condition. May be repeated."),
    ] = None,
    weight_key: Annotated[
        str | None,
        typer.Option(help="Column of obs whose rare classes are seen more often in training."),
    ] = None,
    group_key: Annotated[
        str | None,
        typer.Option(
            help="Column of obs: the denoiser starts at a Gaussian for each of its "
            "classes. [default: clusters]"
        ),
    ] = None,
    layer: options.Layer = None,
    expression: options.Expression = options.Scale.AUTO,
    encoder: Annotated[
        str,
        typer.Option(
            metavar="NAME|PATH",
            help=f"{', '.join(ENCODERS)}, or the folder of a SCimilarity model.",
        ),
    ] = "pca",
    n_latent: options.Latent = "auto",
    decoder_steps: options.DecoderSteps = 400,
    denoiser_steps: options.DenoiserSteps = 300,
    classifier_steps: options.ClassifierSteps = 0,
    seed: options.Seed = None,
    jobs: options.Jobs = None,
    force: options.Force = False,
    quiet: options.Quiet = False,
) -> None:
    """Learn a model from cells. Labels are optional, and can be added later."""
    terminal = Terminal(quiet)
    require_file(cells)
    size = options.latent_size(n_latent)
    with replacing(model, force=force, suffixes=()) as place:
        terminal.say(f"reading {cells}")
        real = read_cells(cells, layer, terminal)
        labels = {key: real.labels(key) for key in label_key or []}
        weight = None if weight_key is None else class_weights(real.labels(weight_key))
        groups = None if group_key is None else real.labels(group_key)
        from scdiff_augment.generator import LatentDiffusion

        fitted = LatentDiffusion(
            expression=expression.value,
            encoder=_encoder(encoder, size),
            n_latent=size if encoder == "pca" else "auto",
            decoder_steps=decoder_steps,
            denoiser_steps=denoiser_steps,
            classifier_steps=classifier_steps,
            random_state=terminal.seed(seed),
            n_jobs=jobs,
            verbose=terminal.verbose,
        )
        terminal.say(f"learning {real.place}: {len(real):,} cells × {real.adata.n_vars:,} genes")
        fitted.fit(real.frame(), groups=groups, sample_weight=weight)
        for key, classes in labels.items():
            fitted.add_condition(key, classes)
        fitted.history_[READ] = {"layer": real.layer, "weight_key": weight_key}
        _tell_kind(fitted, real, expression, terminal)
        save(fitted, place)
    terminal.done(f"wrote {model}: {described(fitted)}")


def _encoder(name: str, n_latent: int | str) -> Any:
    """Find the encoder of this name, or read it from this folder."""
    if name == "pca" or (name in ENCODERS and n_latent == "auto"):
        return name
    if name in ENCODERS:
        from scdiff_augment.encoders import AutoEncoder

        published = name == options.Encoder.PUBLISHED
        return (AutoEncoder.published if published else AutoEncoder)(n_latent=int(n_latent))
    if not Path(name).is_dir():
        raise ValueError(
            f"--encoder takes {listed(ENCODERS)} or the folder of a SCimilarity model, but "
            f"'{name}' is none of them.{hint(name, ENCODERS)}"
        )
    if n_latent != "auto":
        raise ValueError("--n-latent can't change the size of a SCimilarity model; leave it out.")
    from scdiff_augment.scimilarity import SCimilarityEncoder

    return SCimilarityEncoder(name)


def _tell_kind(
    model: LatentDiffusion, cells: Cells, expression: options.Scale, terminal: Terminal
) -> None:
    """Say what was adapted, and where values were not taken for counts though nobody said so."""
    for note in model.history_["notes"]:
        terminal.say(f"note: {note}")
    if model.history_["expression"] == "real" and expression is options.Scale.AUTO:
        others = [*cells.adata.layers, *([] if cells.adata.raw is None else ["raw"])]
        terminal.say(
            f"note: {cells.place} holds neither counts nor log1p of normalised counts, so cells "
            f"come with Gaussian noise. Counts are better. Other layers: {listed(others)}"
        )
