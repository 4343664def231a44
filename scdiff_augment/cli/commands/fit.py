"""fit: train a model on a file of cells."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scdiff_augment.annotation.layers import listed_layers
from scdiff_augment.cli import options
from scdiff_augment.cli.cell_files import Cells, require_file
from scdiff_augment.cli.large_files import open_cells
from scdiff_augment.cli.model_folders import READ, save, summary
from scdiff_augment.cli.name_lookup import listed, suggestion
from scdiff_augment.cli.output import replacing
from scdiff_augment.cli.parallel import shared_seed, training_processes
from scdiff_augment.cli.terminal import Terminal
from scdiff_augment.compute.process_rank import is_leader

if TYPE_CHECKING:
    from scdiff_augment.generator import LatentDiffusion

EXAMPLES = """Examples:

\b
# a model of cells, with cell type as a condition
scdiff-augment fit cells.h5ad model --label-key cell_type

\b
# two conditions, counts from a layer, rare types seen more often in training
scdiff-augment fit cells.h5ad model --layer counts --seed 0 \\
    --label-key cell_type --label-key condition --weight-key cell_type

\b
# on four GPUs; on two machines with four GPUs each, started on both
scdiff-augment fit atlas.h5ad model --label-key cell_type --devices 4
NODE_RANK=0 MASTER_ADDR=host0 MASTER_PORT=29500 \\
    scdiff-augment fit atlas.h5ad model --label-key cell_type --devices 4 --nodes 2 --seed 0
"""

ENCODERS = [encoder.value for encoder in options.Encoder]
"""Names of encoders; any other text is the folder of a SCimilarity model."""


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
            help="Column of obs whose classes each get a Gaussian in the mixture that the denoiser "
            "starts from. [default: clusters found in the data]"
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
    ] = "auto",
    n_latent: options.Latent = "auto",
    decoder_steps: options.DecoderSteps = "auto",
    denoiser_steps: options.DenoiserSteps = 300,
    classifier_steps: options.ClassifierSteps = 0,
    seed: options.Seed = None,
    jobs: options.Jobs = None,
    stream: options.Stream = None,
    devices: options.Devices = 1,
    nodes: options.Nodes = 1,
    accelerator: options.Accelerator = None,
    force: options.Force = False,
    quiet: options.Quiet = False,
) -> None:
    """Train a model on real cells. Conditions are optional, and can be added later.

    Large files are read in chunks: encoder and decoder are then trained on a random sample of the
    cells, everything else on all of them.
    """
    leads = is_leader()
    terminal = Terminal(quiet or not leads)
    require_file(cells)
    size = options.parse_n_latent(n_latent)
    with (
        replacing(model, terminal, force=force, suffixes=())
        if leads
        else nullcontext(model) as place
    ):
        terminal.doing(f"reading {cells}")
        real = open_cells(cells, layer, stream, terminal)
        labels = {key: real.labels(key) for key in label_key or []}
        weight = None
        if weight_key is not None:
            from scdiff_augment.annotation.labels import balanced_weights

            weight = balanced_weights(real.labels(weight_key))
        groups = None if group_key is None else real.labels(group_key)
        from scdiff_augment.annotation.new_cells import require_condition_name
        from scdiff_augment.generator import LatentDiffusion

        for key in labels:
            require_condition_name(key)
        kind = expression.value
        fitted = LatentDiffusion(
            expression=kind,
            encoder=_encoder(encoder, size),
            n_latent=size if encoder in ENCODERS else "auto",
            decoder_steps=options.parse_steps(decoder_steps),
            denoiser_steps=denoiser_steps,
            classifier_steps=classifier_steps,
            random_state=shared_seed(seed, devices, nodes, terminal),
            device=(accelerator or "cpu") if devices == nodes == 1 else "cpu",
            n_jobs=jobs,
            verbose=terminal.verbose,
        )
        terminal.doing(
            f"learning from {real.place}: {len(real):,} cells × {real.adata.n_vars:,} genes, "
            f"{real.holds(kind)}"
        )
        with training_processes(devices, nodes, accelerator):
            fitted.fit(real.frame(), groups=groups, sample_weight=weight)
            for key, classes in labels.items():
                fitted.add_condition(key, classes)
        if not leads:  # the first process writes the model
            return
        fitted.history_[READ] = {"layer": real.layer, "weight_key": weight_key}
        _print_notes(fitted, real, expression, terminal)
        terminal.doing(f"writing {model}", show=False)
        save(fitted, place)
    terminal.done(f"wrote {model}: {summary(fitted)}")


def _encoder(name: str, n_latent: int | str) -> Any:
    """Return the name of an encoder, or the encoder read from a folder of this name.

    Raises
    ------
    ValueError
        If it is neither, or `n_latent` is given for an encoder of fixed size.
    """
    if name in ENCODERS:
        return name
    if not Path(name).is_dir():
        raise ValueError(
            f"--encoder takes {listed(ENCODERS)} or the folder of a SCimilarity model, but "
            f"'{name}' is none of these.{suggestion(name, ENCODERS)}"
        )
    if n_latent != "auto":
        raise ValueError("--n-latent cannot change a SCimilarity model's dimensions. Leave it out.")
    from scdiff_augment.codec.scimilarity import SCimilarityEncoder

    return SCimilarityEncoder(name)


def _print_notes(
    model: LatentDiffusion, cells: Cells, expression: options.Scale, terminal: Terminal
) -> None:
    """Print the notes of fit, and one if values lead back to no counts."""
    for note in model.history_["notes"]:
        terminal.say(f"note: {note}")
    if model.history_["expression"] == "real" and expression is options.Scale.AUTO:
        others = listed_layers(cells.adata)
        terminal.say(
            f"note: {cells.place} holds neither counts nor values that lead back to them, so new "
            f"cells get Gaussian noise. Use counts if there are any. Other layers: {listed(others)}"
        )
