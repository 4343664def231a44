"""oversample: append synthetic cells of rare classes to a file of cells."""

from __future__ import annotations

from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from scdiff_augment.cli import options
from scdiff_augment.cli.cell_files import Cells, require_file
from scdiff_augment.cli.large_files import (
    n_entries,
    open_cells,
    resumable,
    resumed_seed,
    writes_in_chunks,
)
from scdiff_augment.cli.model_folders import load, require_model
from scdiff_augment.cli.name_lookup import listed, matching_value, parse_pairs
from scdiff_augment.cli.output import replacing, write_cells
from scdiff_augment.cli.parallel import cluster
from scdiff_augment.cli.reference_inputs import Reference, target_batch
from scdiff_augment.cli.terminal import Terminal

EXAMPLES = """Examples:

\b
# every class as large as the largest
scdiff-augment oversample cells.h5ad more.h5ad --label-key cell_type

\b
# only the smallest class, with new cells distributed over donors like real ones
scdiff-augment oversample cells.h5ad more.zarr --label-key cell_type \\
    --strategy minority --donor-key donor --seed 0

\b
# only classes of fewer cells than half of the median class, up to that number
scdiff-augment oversample cells.h5ad more.h5ad --label-key cell_type --only-rare 0.5

\b
# up to these numbers of cells, real ones included
scdiff-augment oversample cells.h5ad more.h5ad --label-key cell_type \\
    --layer counts --strategy "B cells=60" --strategy "NK cells=50"

\b
# with a model fitted on other cells, starting from the real cells of each class
scdiff-augment oversample heldout.h5ad more.h5ad --label-key cell_type \\
    --model model --strength 0.5

\b
# cells of one study, also of types that only other studies have
scdiff-augment oversample cells.h5ad more.h5ad --label-key cell_type \\
    --batch-key study --into mine

\b
# the same, with the other cells in a file of their own and other names of types
scdiff-augment oversample mine.h5ad more.h5ad --label-key cell_type \\
    --reference atlas.h5ad --label-map names.csv
"""

STRATEGIES = ("auto", "minority", "not minority", "not majority", "all")
"""Names of sampling strategies, as in imbalanced-learn."""


class Overlap(StrEnum):
    """What to do if a model was fitted on cells that it is to augment."""

    WARN = "warn"
    RAISE = "raise"
    IGNORE = "ignore"


def oversample(
    cells: options.CellsIn,
    out: options.CellsOut,
    label_key: Annotated[str, typer.Option(help="Column of obs with the classes to balance.")],
    strategy: Annotated[
        list[str],
        typer.Option(
            metavar="NAME|CLASS=N",
            help=f"{', '.join(STRATEGIES)} as in imbalanced-learn, or the final number of cells of "
            f"a class; the latter may be repeated.",
        ),
    ] = ["auto"],  # noqa: B006  typer copies it
    only_rare: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE|N",
            help="Instead of --strategy: top up only classes below this share of the median class "
            "(0.5, 1.0), or below N cells (200), to that level. Classifiers then train several "
            "times faster than with auto, and know rare classes less well.",
        ),
    ] = None,
    layer: options.Layer = None,
    donor_key: Annotated[
        str | None,
        typer.Option(help="Column of obs: distribute new cells over donors like real ones."),
    ] = None,
    batch_key: Annotated[str | None, typer.Option(help="The same, for batches.")] = None,
    into: Annotated[
        str | None,
        typer.Option(
            help="Make cells for this batch (or donor) alone: classes are counted in it, and those "
            "that it lacks are borrowed from the others. [default with --reference: mine]"
        ),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(
            help="Further real cells to borrow from; genes are matched by name. Its column "
            "--batch-key, if it has one, tells its batches apart. OUT has them after CELLS."
        ),
    ] = None,
    reference_label_key: Annotated[
        str | None,
        typer.Option(help="Column of obs with the classes of --reference. [default: --label-key]"),
    ] = None,
    label_map: Annotated[
        Path | None,
        typer.Option(
            help="Table (.csv, .tsv) with the columns reference and own: what classes of "
            "--reference are called in CELLS."
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            help="Folder of a fitted model, which then only learns the classes from CELLS. "
            "[default: train one on CELLS]"
        ),
    ] = None,
    on_overlap: Annotated[
        Overlap, typer.Option(help="What to do if --model was fitted on some of CELLS.")
    ] = Overlap.WARN,
    strength: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="Below 1: start from real cells of the class; smaller values stay closer to them.",
        ),
    ] = 1.0,
    scale: Annotated[
        float,
        typer.Option(
            min=0,
            help="Guidance scale: 1 reproduces a class, larger values make its cells more typical.",
        ),
    ] = 1.0,
    temperature: options.Temperature = None,
    interval: options.Interval = None,
    expression: Annotated[
        options.Scale | None,
        typer.Option(help="What the matrix holds. [default: auto]"),
    ] = None,
    encoder: Annotated[
        options.Encoder | None,
        typer.Option(help="Encoder from cells to latents. [default: auto]"),
    ] = None,
    n_latent: options.Latent = "auto",
    decoder_steps: options.DecoderSteps = "auto",
    denoiser_steps: Annotated[
        int | None, typer.Option(min=0, help="Training steps of the denoiser. [default: 300]")
    ] = None,
    classifier_steps: Annotated[
        int | None,
        typer.Option(
            min=0, help="Training steps of the classifier; 0: only its closed form. [default: 0]"
        ),
    ] = None,
    sampler: options.SamplerName = None,
    n_steps: options.Steps = None,
    seed: options.Seed = None,
    jobs: options.Jobs = None,
    device: options.Device = "cpu",
    stream: options.Stream = None,
    scheduler: options.Scheduler = None,
    force: options.Force = False,
    quiet: options.Quiet = False,
) -> None:
    """Append synthetic cells of rare classes to a file of cells.

    OUT has the real cells first, unchanged, then the new ones, marked by the column is_synthetic of
    obs. X holds the layer that was read. Other layers, embeddings and graphs are left out, since
    new cells have none.
    """
    terminal = Terminal(quiet)
    require_file(cells)
    rare = None if only_rare is None else _only_rare(only_rare, strategy)
    training = {
        "encoder": encoder and encoder.value,
        "n_latent": options.parse_n_latent(n_latent) if n_latent != "auto" else None,
        "decoder_steps": options.parse_steps(decoder_steps) if decoder_steps != "auto" else None,
        "denoiser_steps": denoiser_steps,
        "classifier_steps": classifier_steps,
    }
    training = {name: value for name, value in training.items() if value is not None}
    if model is not None:
        require_model(model)
        if training:
            option = "--" + next(iter(training)).replace("_", "-")
            raise ValueError(
                f"{option} concerns training, but --model is already trained. Leave one of them "
                f"out."
            )
    others = Reference(reference, reference_label_key, label_map)
    others.check()
    chunked = writes_in_chunks(out, n_entries(cells, layer), stream, scheduler)
    if chunked and reference is not None:
        raise ValueError(
            "--reference cannot be combined with writing in chunks (--stream, --scheduler, or a "
            "large file) yet. Use --no-stream without --scheduler, or write one file of both: "
            "join_reference in Python."
        )
    if chunked and model is not None:
        raise ValueError(
            "--model cannot be combined with writing in chunks (--stream, --scheduler, or a large "
            "file) yet. Use --no-stream without --scheduler to hold all cells in memory, or leave "
            "--model out to train one on CELLS."
        )
    with ExitStack() as stack:
        if chunked:
            stack.enter_context(resumable(out, terminal))
            seed = resumed_seed(out, seed, terminal)
        else:
            place = stack.enter_context(replacing(out, terminal, force=force))
            seed = terminal.seed(seed)
        terminal.doing(f"reading {cells}")
        real = open_cells(cells, layer, chunked, terminal)
        if reference is not None:
            real, batch_key, into = others.joined(real, label_key, batch_key, into, terminal)
        for key in (donor_key, batch_key):
            if key is not None:
                real.labels(key)
        target = target_batch(into, batch_key, donor_key, real)
        counted = None if target is None else real.labels(str(batch_key or donor_key)) == target
        wanted = _strategy(strategy, real, label_key, counted) if rare is None else rare
        from scdiff_augment import DiffusionOversampler, oversample_adata

        chain = options.sampler_parameters(sampler, n_steps)
        if temperature is not None:
            chain["temperature"] = temperature
        generator = None
        if model is not None:
            generator = load(model, seed, jobs, terminal)
        kind = "auto" if expression is None else expression.value
        oversampler = DiffusionOversampler(
            sampling_strategy=wanted,
            generator=generator,
            on_overlap=on_overlap.value,
            strength=strength,
            guidance_scale=scale,
            guidance_interval=interval,
            into=target,
            expression=kind,
            random_state=seed,
            device=device,
            n_jobs=jobs,
            verbose=terminal.verbose,
        )
        oversampler.set_params(**training, **chain)
        terminal.doing(
            f"learning from {real.place}: {len(real):,} cells × {real.adata.n_vars:,} genes, "
            f"{real.holds(kind)}"
        )
        what: dict[str, Any] = {
            "label_key": label_key,
            "layer": real.layer,
            "donor_key": donor_key,
            "batch_key": batch_key,
            "sampler": oversampler,
        }
        if chunked:
            client = stack.enter_context(cluster(scheduler))
            oversample_adata(cells, **what, out=out, client=client, overwrite=force)
        else:
            more = oversample_adata(real.adata, **what)
            terminal.doing(f"writing {out}", show=False)
            write_cells(more, place, out)
        for note in getattr(oversampler, "history_", {}).get("notes", []):
            terminal.say(f"note: {note}")
    added = {label: n for label, n in oversampler.sampling_strategy_.items() if n}
    counted = listed(f"{label} {n}" for label, n in sorted(added.items(), key=lambda i: -i[1]))
    n_cells = len(real) + sum(added.values())
    terminal.done(f"wrote {out}: {n_cells:,} cells × {real.adata.n_vars:,} genes; added: {counted}")


def _only_rare(text: str, strategy: list[str]) -> Any:
    """Parse a share of the median class (with a decimal point), or a number of cells.

    Raises
    ------
    ValueError
        If it is neither, or --strategy is given as well.
    """
    from scdiff_augment.oversampling.rare_types import RareTypes

    if strategy != ["auto"]:
        raise ValueError(
            f"--only-rare cannot be combined with --strategy {strategy[0]}. Leave one of them out."
        )
    try:
        return RareTypes(int(text) if text.isdecimal() else float(text))
    except ValueError as error:
        raise ValueError(
            f"--only-rare takes a share of the median class, above 0 and at most 1 and with a "
            f"decimal point, such as 0.5, or a number of cells, such as 200; got '{text}'."
        ) from error


def _strategy(texts: list[str], cells: Cells, label_key: str, counted: Any = None) -> Any:
    """Parse the name of a strategy, or classes and their final numbers of (`counted`) cells.

    Raises
    ------
    ValueError
        If it is neither, a class is unknown, or a number is below that of its real cells.
    """
    every = cells.labels(label_key)
    labels = (every if counted is None else every[counted]).tolist()
    if len(texts) == 1 and texts[0] in STRATEGIES:
        return texts[0]
    if any("=" not in text for text in texts):
        raise ValueError(
            f"--strategy takes one of {', '.join(STRATEGIES)}, or CLASS=N, got {', '.join(texts)}."
        )
    wanted, known = {}, sorted(set(every.tolist()), key=str)
    for text, number in parse_pairs(texts, "--strategy", last=True).items():
        label = matching_value(text, known, f"obs['{label_key}']", "class")
        there = labels.count(label)
        if not number.isdecimal() or int(number) < there:
            raise ValueError(
                f"--strategy '{text}={number}': there are {there} such cells already, and "
                f"oversampling removes none. Give the final number, at least {there}."
            )
        wanted[label] = int(number)
    return wanted
