"""Arguments and options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Sampler(StrEnum):
    """How noise becomes cells."""

    DPM = "dpm++"
    DDIM = "ddim"
    DDPM = "ddpm"


class Encoder(StrEnum):
    """Encoders that need no files."""

    AUTO = "auto"
    PCA = "pca"
    SMALL = "autoencoder"
    PUBLISHED = "autoencoder-published"


class Scale(StrEnum):
    """What a matrix holds."""

    AUTO = "auto"
    COUNTS = "counts"
    LOG1P = "log1p"
    REAL = "real"


def _not_zero(jobs: int | None) -> int | None:
    if jobs == 0:
        raise typer.BadParameter("0 threads do nothing; use 1, more, or -1 for all cores.")
    return jobs


CellsIn = Annotated[Path, typer.Argument(metavar="CELLS", help="Real cells: .h5ad or .zarr.")]
ModelIn = Annotated[Path, typer.Argument(metavar="MODEL", help="Folder of a fitted model.")]
CellsOut = Annotated[Path, typer.Argument(metavar="OUT", help="File to write: .h5ad or .zarr.")]

Layer = Annotated[
    str | None,
    typer.Option(help="Layer to read; 'X', or 'raw' for .raw. [default: X]"),
]
ModelLayer = Annotated[
    str | None,
    typer.Option(help="Layer to read. [default: the one that the model was fitted on]"),
]
Expression = Annotated[Scale, typer.Option(help="What the matrix holds: found out, or told.")]
Latent = Annotated[
    str,
    typer.Option(
        metavar="INT|auto", help="Dimensions of the latent; auto: what suits the encoder."
    ),
]
DecoderSteps = Annotated[
    str,
    typer.Option(
        metavar="INT|auto", help="Training steps of the decoder; auto: by the number of cells."
    ),
]
DenoiserSteps = Annotated[int, typer.Option(min=0, help="Training steps of the denoiser.")]
ClassifierSteps = Annotated[
    int,
    typer.Option(min=0, help="Training steps of each condition; 0: the closed form alone."),
]
SamplerName = Annotated[
    Sampler | None, typer.Option(help="How noise becomes cells. [default: dpm++]")
]
Steps = Annotated[
    int | None,
    typer.Option("--n-steps", min=5, help="Noise levels to visit. [default: 20; ddpm: all 1,000]"),
]
Guidance = Annotated[
    list[str],
    typer.Option(
        "--scale",
        metavar="NUMBER|NAME=NUMBER",
        help="Weight of the conditions, or of one of them; more makes cells more typical of a "
        "class. May be repeated. [default: 1.25]",
    ),
]
Interval = Annotated[
    tuple[float, float] | None,
    typer.Option(
        metavar="LOW HIGH", help="Noise levels between which conditions act. [default: all]"
    ),
]
Temperature = Annotated[
    float | None,
    typer.Option(
        min=0.01,
        help="Noise that cells are made of: 1 as real cells vary, less closer to their class's "
        "typical cell. [default: sample 1, oversample 0.7]",
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(min=0, max=2**32 - 1, help="Makes the run repeatable. [default: drawn, and told]"),
]
Jobs = Annotated[
    int | None,
    typer.Option(callback=_not_zero, help="Threads; -1 for all cores. [default: 1]"),
]
Device = Annotated[
    str,
    typer.Option(metavar="cpu|cuda|auto", help="What computes; auto: a GPU where there is one."),
]
Stream = Annotated[
    bool | None,
    typer.Option(
        "--stream/--no-stream",
        help="Read and write block by block. [default: where cells × genes would take 1 GB]",
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Dask cluster that draws the cells, such as tcp://host:8786 ([dask]); OUT is a .zarr.",
    ),
]
Devices = Annotated[
    int,
    typer.Option(
        min=1,
        help="GPUs of this machine, or processes where there are none, that train together "
        "([fabric]).",
    ),
]
Nodes = Annotated[
    int, typer.Option(min=1, help="Machines that train together; start the command on each.")
]
Accelerator = Annotated[
    str | None,
    typer.Option(
        metavar="cpu|cuda|auto", help="What to train on. [default: the CPU; auto with --devices]"
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Replace what is there.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but warnings and errors.")]


def latent_size(text: str) -> int | str:
    """Return a number of dimensions, or "auto".

    Raises
    ------
    ValueError
        If it is neither.
    """
    return _number_or_auto(text, "--n-latent", 1)


def steps(text: str) -> int | str:
    """Return a number of training steps, or "auto".

    Raises
    ------
    ValueError
        If it is neither.
    """
    return _number_or_auto(text, "--decoder-steps", 0)


def _number_or_auto(text: str, option: str, least: int) -> int | str:
    if text == "auto":
        return text
    if not (text.isdecimal() and int(text) >= least):
        raise ValueError(f"{option} takes 'auto' or a number from {least}, got '{text}'.")
    return int(text)


def scales(texts: list[str], conditions: list[str], default: float) -> dict[str, float]:
    """Weight of each condition, from ``--scale 1.5 --scale cell_type=2``; `default` without.

    Raises
    ------
    ValueError
        If a text is no weight, names no condition that is asked for, or says it twice.
    """
    common: list[float] = []
    named: dict[str, float] = {}
    for text in texts:
        name, _, number = text.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            raise ValueError(
                f"--scale takes a number, or NAME=NUMBER for one condition, got '{text}'."
            ) from None
        if name and name not in conditions:
            raise ValueError(
                f"--scale names '{name}', but the conditions asked for are "
                f"{', '.join(conditions) or 'none'}."
            )
        if name in named or (not name and common):
            raise ValueError(f"--scale is given twice for {name or 'all conditions'}.")
        if name:
            named[name] = value
        else:
            common.append(value)
    if common and not conditions:
        raise ValueError("--scale weighs conditions, but none is asked for; use --where.")
    return {name: named.get(name, *(common or [default])) for name in conditions}


def sampling(sampler: Sampler | None, n_steps: int | None) -> dict[str, object]:
    """Parameters of the model that these options change; ddpm visits all levels of the ladder."""
    changed: dict[str, object] = {}
    if sampler is not None:
        changed = {"sampler": sampler.value, "n_steps": 1000 if sampler is Sampler.DDPM else 20}
    if n_steps is not None:
        changed["n_steps"] = n_steps
    return changed
