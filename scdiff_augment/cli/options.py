"""Arguments and options that several commands share, and how their texts are parsed."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Sampler(StrEnum):
    """Diffusion samplers."""

    DPM = "dpm++"
    DDIM = "ddim"
    DDPM = "ddpm"


class Encoder(StrEnum):
    """Encoders that need no files of their own."""

    AUTO = "auto"
    PCA = "pca"
    SMALL = "autoencoder"
    PUBLISHED = "autoencoder-published"


class Scale(StrEnum):
    """Scale of an expression matrix."""

    AUTO = "auto"
    COUNTS = "counts"
    NORMALIZED = "normalized"
    LOG1P = "log1p"
    LOG2 = "log2"
    LOG10 = "log10"
    LOG = "log"
    SQRT = "sqrt"
    FREEMAN_TUKEY = "freeman-tukey"
    FRACTIONAL = "fractional"
    LOG_FRACTIONAL = "log-fractional"
    REAL = "real"


def _not_zero(jobs: int | None) -> int | None:
    if jobs == 0:
        raise typer.BadParameter("0 threads cannot work. Use 1 or more, or -1 for all cores.")
    return jobs


CellsIn = Annotated[
    Path, typer.Argument(metavar="CELLS", help="Real cells: .h5ad, .zarr, or 10x's .h5 or folder.")
]
ModelIn = Annotated[Path, typer.Argument(metavar="MODEL", help="Folder of a fitted model.")]
CellsOut = Annotated[Path, typer.Argument(metavar="OUT", help="File to write: .h5ad or .zarr.")]

Layer = Annotated[
    str | None,
    typer.Option(help="Layer to read; 'raw' means .raw. [default: X]"),
]
ModelLayer = Annotated[
    str | None,
    typer.Option(help="Layer to read. [default: the one the model was fitted on]"),
]
Expression = Annotated[Scale, typer.Option(help="What the matrix holds; auto detects it.")]
Latent = Annotated[
    str,
    typer.Option(
        metavar="INT|auto",
        help="Dimensions of the latent space; auto: by the encoder and the number of cells.",
    ),
]
DecoderSteps = Annotated[
    str,
    typer.Option(
        metavar="INT|auto",
        help="Training steps of the decoder; auto: by the number of cells.",
    ),
]
DenoiserSteps = Annotated[int, typer.Option(min=0, help="Training steps of the denoiser.")]
ClassifierSteps = Annotated[
    int,
    typer.Option(
        min=0, help="Training steps of the classifier of each condition; 0: only its closed form."
    ),
]
SamplerName = Annotated[Sampler | None, typer.Option(help="Diffusion sampler. [default: dpm++]")]
Steps = Annotated[
    int | None,
    typer.Option("--n-steps", min=5, help="Sampling steps. [default: 20; ddpm: 1,000]"),
]
Guidance = Annotated[
    list[str],
    typer.Option(
        "--scale",
        metavar="NUMBER|NAME=NUMBER",
        help="Guidance scale of all conditions, or of one; larger values make cells more typical "
        "of their class. May be repeated. [default: found from the training cells]",
    ),
]
Interval = Annotated[
    tuple[float, float] | None,
    typer.Option(
        metavar="LOW HIGH",
        help="Noise levels between which guidance applies. [default: all]",
    ),
]
Temperature = Annotated[
    float | None,
    typer.Option(
        min=0.01,
        help="Standard deviation of the noise that cells are sampled from: 1 lets them vary like "
        "real cells, less keeps them closer to the typical cell of their class. [default: sample "
        "1, oversample 0.7]",
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        min=0, max=2**32 - 1, help="Random seed. [default: a random one, which is printed]"
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(
        callback=_not_zero,
        help="Threads; -1 for all cores. The cells of a seed depend on it. [default: 1]",
    ),
]
Device = Annotated[
    str,
    typer.Option(metavar="cpu|cuda|auto", help="Device to sample on; auto: a GPU if there is one."),
]
Stream = Annotated[
    bool | None,
    typer.Option(
        "--stream/--no-stream",
        help="Read and write in chunks. [default: if the matrix would take 1 GB or more]",
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Address of a Dask cluster to sample on, such as tcp://host:8786; OUT must be a .zarr "
        "store. Needs the extra [dask].",
    ),
]
Devices = Annotated[
    int,
    typer.Option(
        min=1,
        help="Number of GPUs of a machine to train on, or of processes if it has none. Needs the "
        "extra [fabric].",
    ),
]
Nodes = Annotated[
    int, typer.Option(min=1, help="Number of machines to train on; start the command on each.")
]
Accelerator = Annotated[
    str | None,
    typer.Option(
        metavar="cpu|cuda|auto",
        help="Device to train on. [default: cpu; with --devices or --nodes: auto]",
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Replace an existing output.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only warnings and errors.")]


def parse_n_latent(text: str) -> int | str:
    """Parse a number of latent dimensions, or "auto".

    Raises
    ------
    ValueError
        If it is neither.
    """
    return _number_or_auto(text, "--n-latent", 1)


def parse_steps(text: str) -> int | str:
    """Parse a number of training steps, or "auto".

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
        raise ValueError(f"{option} takes 'auto' or an integer of at least {least}, got '{text}'.")
    return int(text)


def parse_scales(texts: list[str], conditions: list[str]) -> dict[str, float]:
    """Guidance scale of each condition, from texts such as "1.5" and "cell_type=2".

    Conditions without one are left out.

    Raises
    ------
    ValueError
        If a text is not a scale, names a condition that is not requested, or repeats one.
    """
    common: list[float] = []
    named: dict[str, float] = {}
    for text in texts:
        name, _, number = text.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            raise ValueError(
                f"--scale takes NUMBER, or NAME=NUMBER for one condition, got '{text}'."
            ) from None
        if name and name not in conditions:
            raise ValueError(
                f"--scale names '{name}', but the conditions requested by --where and --each are: "
                f"{', '.join(conditions) or 'none'}."
            )
        if name in named or (not name and common):
            raise ValueError(
                f"--scale is given twice for {name or 'all conditions'}. Leave one out."
            )
        if name:
            named[name] = value
        else:
            common.append(value)
    if common and not conditions:
        raise ValueError("--scale needs conditions, but none are requested. Add --where or --each.")
    return {**dict.fromkeys(conditions, common[0]), **named} if common else named


def sampler_parameters(sampler: Sampler | None, n_steps: int | None) -> dict[str, object]:
    """Parameters of the model that these options set; ddpm defaults to all 1,000 noise levels."""
    changed: dict[str, object] = {}
    if sampler is not None:
        changed = {"sampler": sampler.value, "n_steps": 1000 if sampler is Sampler.DDPM else 20}
    if n_steps is not None:
        changed["n_steps"] = n_steps
    return changed
