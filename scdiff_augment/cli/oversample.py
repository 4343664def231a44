"""oversample: a file of cells, and synthetic ones of its rare classes."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from . import options
from .cells import Cells, read_cells, require_file
from .names import listed, member, pairs
from .output import replacing, write_cells
from .terminal import Terminal

EXAMPLES = """Examples:

\b
# every class as large as the largest
scdiff-augment oversample cells.h5ad more.h5ad --label-key cell_type

\b
# only the smallest class
scdiff-augment oversample cells.h5ad more.zarr --label-key cell_type \\
    --strategy minority --seed 0

\b
# up to these numbers, real cells included
scdiff-augment oversample cells.h5ad more.h5ad --label-key cell_type \\
    --layer counts --strategy "B cells=60" --strategy "NK cells=50"
"""

STRATEGIES = ("auto", "minority", "not minority", "not majority", "all")
"""Strategies with a name."""


def oversample(
    cells: options.CellsIn,
    out: options.CellsOut,
    label_key: Annotated[str, typer.Option(help="Column of obs with the classes to balance.")],
    strategy: Annotated[
        list[str],
        typer.Option(
            metavar="NAME|CLASS=N",
            help=f"{', '.join(STRATEGIES)}, or the number that a class shall have in the end; "
            f"this one may be repeated.",
        ),
    ] = ["auto"],  # noqa: B006  typer copies it
    layer: options.Layer = None,
    scale: Annotated[
        float, typer.Option(min=0, help="Weight of the class; 1 reproduces it, more sharpens it.")
    ] = 1.0,
    expression: options.Expression = options.Scale.AUTO,
    n_latent: options.Latent = "auto",
    decoder_steps: options.DecoderSteps = 400,
    denoiser_steps: options.DenoiserSteps = 300,
    classifier_steps: options.ClassifierSteps = 0,
    sampler: options.SamplerName = None,
    n_steps: options.Steps = None,
    seed: options.Seed = None,
    jobs: options.Jobs = None,
    force: options.Force = False,
    quiet: options.Quiet = False,
) -> None:
    """Append synthetic cells of rare classes to a file of cells.

    OUT has the real cells first, then the new ones, which obs marks as is_synthetic. X holds what
    was read. Other layers, embeddings and graphs are not defined for new cells and left out.
    """
    terminal = Terminal(quiet)
    require_file(cells)
    size = options.latent_size(n_latent)
    with replacing(out, force=force) as place:
        terminal.say(f"reading {cells}")
        real = read_cells(cells, layer, terminal)
        wanted = _strategy(strategy, real, label_key)
        from scdiff_augment import DiffusionOversampler, oversample_adata

        oversampler = DiffusionOversampler(
            sampling_strategy=wanted,
            guidance_scale=scale,
            expression=expression.value,
            n_latent=size,
            decoder_steps=decoder_steps,
            denoiser_steps=denoiser_steps,
            classifier_steps=classifier_steps,
            random_state=terminal.seed(seed),
            n_jobs=jobs,
            verbose=terminal.verbose,
        )
        oversampler.set_params(**options.sampling(sampler, n_steps, oversampler.n_timesteps))
        terminal.say(f"learning {real.place}: {len(real):,} cells × {real.adata.n_vars:,} genes")
        more = oversample_adata(real.adata, label_key, layer=real.layer, sampler=oversampler)
        write_cells(more, place, out)
    added = more.obs[label_key].iloc[len(real) :].value_counts()
    counted = listed(f"{label} +{n}" for label, n in added.items() if n)
    terminal.done(f"wrote {out}: {more.n_obs:,} cells × {more.n_vars:,} genes; {counted}")


def _strategy(texts: list[str], cells: Cells, label_key: str) -> Any:
    """Read a named strategy, or classes and their final numbers.

    Raises
    ------
    ValueError
        If it is neither, a class is unknown, or a number is below what there is.
    """
    labels = cells.labels(label_key).tolist()
    if len(texts) == 1 and texts[0] in STRATEGIES:
        return texts[0]
    if any("=" not in text for text in texts):
        raise ValueError(
            f"--strategy takes one of {', '.join(STRATEGIES)}, or CLASS=N, got {', '.join(texts)}."
        )
    wanted = {}
    for text, number in pairs(texts, "--strategy").items():
        label = member(text, sorted(set(labels), key=str), f"obs['{label_key}']", "class")
        there = labels.count(label)
        if not number.isdecimal() or int(number) < there:
            raise ValueError(
                f"--strategy '{text}={number}': there are {there} such cells, and cells are only "
                f"added. Give the number in the end, at least {there}."
            )
        wanted[label] = int(number)
    return wanted
