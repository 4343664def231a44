"""add-condition: teach a fitted model one more condition."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scdiff_augment.cli import options
from scdiff_augment.cli.cell_files import Cells, require_file
from scdiff_augment.cli.model_folders import (
    READ,
    cells_for,
    load,
    require_model,
    save,
    summary,
    values_for,
)
from scdiff_augment.cli.name_lookup import require_name
from scdiff_augment.cli.output import replacing
from scdiff_augment.cli.terminal import Terminal

from .sample import classes_known

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scdiff_augment.generator import LatentDiffusion

EXAMPLES = """Examples:

\b
# teach a fitted model a second condition; what it has learnt before stays the same
scdiff-augment add-condition model cells.h5ad --label-key condition

\b
# so that cell types can be sampled as stimulated that were only seen unstimulated
scdiff-augment add-condition model cells.h5ad --label-key condition \\
    --within cell_type --name treatment
"""


def add_condition(
    model: options.ModelIn,
    cells: options.CellsIn,
    label_key: Annotated[str, typer.Option(help="Column of obs with the classes.")],
    name: Annotated[
        str | None, typer.Option(help="Name of the condition. [default: the column's name]")
    ] = None,
    weight_key: Annotated[
        str | None,
        typer.Option(
            help="Column of obs whose rare classes get more weight. [default: that of fit]"
        ),
    ] = None,
    within: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|NAME=COLUMN",
            help="A condition that the model knows, and its column of obs if that has another "
            "name. Unseen combinations of the two can then be sampled.",
        ),
    ] = None,
    layer: options.ModelLayer = None,
    classifier_steps: Annotated[
        int | None, typer.Option(min=0, help="Training steps. [default: those of fit]")
    ] = None,
    seed: options.Seed = None,
    jobs: options.Jobs = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a condition of this name.")
    ] = False,
    quiet: options.Quiet = False,
) -> None:
    """Teach a fitted model one more condition, without changing what it has learnt before."""
    terminal = Terminal(quiet)
    name = name or label_key
    require_model(model)
    require_file(cells)
    with replacing(model, terminal, force=True, suffixes=()) as place:
        loaded = load(model, terminal.seed(seed), jobs, terminal)
        if name in loaded.conditions_ and not force:
            raise ValueError(
                f"{model} already has a condition '{name}'. Choose another --name, or replace it "
                f"with --force."
            )
        real = cells_for(loaded, cells, layer, terminal)
        labels = real.labels(label_key)
        weight_key = weight_key or loaded.history_.get(READ, {}).get("weight_key")
        weight = None
        if weight_key is not None:
            from scdiff_augment.annotation.labels import balanced_weights

            weight = balanced_weights(real.labels(weight_key))
        steps = loaded.classifier_steps
        loaded.set_params(classifier_steps=steps if classifier_steps is None else classifier_steps)
        terminal.doing(f"learning {name} from {len(real):,} cells")
        loaded.add_condition(
            name,
            labels,
            values_for(loaded, real),
            sample_weight=weight,
            within=None if within is None else _groups(loaded, within, real, model),
        )
        for note in loaded.history_[f"carried:{name}"]:
            terminal.say(f"note: {note}")
        save(loaded.set_params(classifier_steps=steps), place)
    terminal.done(f"wrote {model}: {summary(loaded)}")


def _groups(model: LatentDiffusion, within: str, cells: Cells, path: Path) -> dict[str, NDArray]:
    """Class of each cell in a condition that the model knows."""
    name, _, column = within.partition("=")
    known = [str(label) for label in classes_known(model, name, path)]
    labels = cells.labels(column or name)
    for label in sorted(set(map(str, labels))):
        require_name(label, known, f"condition '{name}' of {path}", "class")
    return {name: labels}
