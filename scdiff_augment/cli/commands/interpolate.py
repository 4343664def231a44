"""interpolate: real cells on their way from one class to another."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scdiff_augment.cli import options
from scdiff_augment.cli.cells import Cells, require_file
from scdiff_augment.cli.models import cells_for, load, require_model, values_for
from scdiff_augment.cli.output import replacing, write_cells
from scdiff_augment.cli.terminal import Terminal

from .sample import class_of

if TYPE_CHECKING:
    from anndata import AnnData

    from scdiff_augment.generator import LatentDiffusion

EXAMPLES = """Examples:

\b
# every NK cell of the file, in eleven steps towards B cells
scdiff-augment interpolate model cells.h5ad path.h5ad --condition cell_type \\
    --from "NK cells" --to "B cells"

\b
# five cells at other weights, each keeping what it has of its own
scdiff-augment interpolate model cells.h5ad path.zarr --condition condition \\
    --from ctrl --to stim --weights 0,0.5,0.9 --n 5 --noise inverted --seed 0
"""

WEIGHT = "weight"
"""Column of obs with the weight of the class where the path ends."""


class Noise(StrEnum):
    """What cells start with."""

    DRAWN = "drawn"
    INVERTED = "inverted"


def interpolate(
    model: options.ModelIn,
    start: Annotated[Path, typer.Argument(metavar="START", help="Real cells: .h5ad or .zarr.")],
    out: options.CellsOut,
    condition: Annotated[
        str,
        typer.Option(
            help="Condition of both classes. Where obs of START has a column of this name, the "
            "path begins at the cells of its first class, otherwise at all."
        ),
    ],
    source: Annotated[str, typer.Option("--from", metavar="CLASS", help="Where the path begins.")],
    target: Annotated[str, typer.Option("--to", metavar="CLASS", help="Where it ends.")],
    label_key: Annotated[
        str | None,
        typer.Option(help="Column of obs in place of the one that is named like the condition."),
    ] = None,
    weights: Annotated[
        str,
        typer.Option(
            metavar="N|W,W,...", help="How many weights from 0 to 1, or the weights themselves."
        ),
    ] = "11",
    sigma: Annotated[
        float,
        typer.Option(
            help="Noise that cells start with, in units of the latents' standard deviation: about "
            "the distance between the classes, or more. With less, cells stay near the first."
        ),
    ] = 8.0,
    scale: Annotated[
        float,
        typer.Option(min=0, help="Weight of the condition: less strays, more changes in a step."),
    ] = 1.5,
    noise: Annotated[
        Noise,
        typer.Option(help="Drawn at random, or inverted: what a cell has of its own goes along."),
    ] = Noise.DRAWN,
    n: Annotated[
        int | None,
        typer.Option("--n", "-n", min=1, help="Cells to begin at, at random. [default: all]"),
    ] = None,
    layer: options.ModelLayer = None,
    sampler: options.SamplerName = None,
    n_steps: options.Steps = None,
    seed: options.Seed = None,
    jobs: options.Jobs = None,
    force: options.Force = False,
    quiet: options.Quiet = False,
) -> None:
    """Lead real cells from one class towards another.

    OUT has a cell for each weight and each cell of the start; obs says which, as weight and
    synthetic_source.
    """
    terminal = Terminal(quiet)
    require_model(model)
    require_file(start)
    wanted = _weights(weights)
    if not sigma > 0:
        raise ValueError(f"--sigma must be above 0, got {sigma:g}.")
    with replacing(out, force=force) as place:
        loaded = load(model, terminal.seed(seed), jobs, terminal)
        ends = [class_of(loaded, condition, text, model) for text in (source, target)]
        loaded.set_params(**options.sampling(sampler, n_steps))
        real = cells_for(loaded, start, layer, terminal)
        real = _start(real, condition, label_key, source, terminal)
        real = real.draw(n, loaded.random_state, terminal)
        terminal.say(f"leading {len(real):,} cells along {len(wanted)} weights")
        drawn = loaded.interpolate(
            values_for(loaded, real),
            condition,
            ends[0],
            ends[1],
            wanted,
            sigma=sigma,
            guidance_scale=scale,
            noise=noise.value,
        )
        more = {"condition": condition, "source": source, "target": target, "sigma": sigma}
        more |= {"guidance_scale": scale, "noise": noise.value}
        path = _adata(loaded, drawn, wanted, real, more)
        write_cells(path, place, out)
    terminal.done(f"wrote {out}: {path.n_obs:,} cells × {path.n_vars:,} genes")


def _weights(text: str) -> list[float]:
    """Numbers from 0 to 1: so many of them, or those that are listed."""
    try:
        if "," not in text and "." not in text and int(text) > 1:
            return [i / (int(text) - 1) for i in range(int(text))]
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = [-1.0]
    if not all(0 <= value <= 1 for value in values):
        raise ValueError(
            f"--weights takes a number of weights from 2, or weights from 0 to 1 like 0,0.5,1; got "
            f"'{text}'."
        )
    return values


def _start(
    cells: Cells, condition: str, label_key: str | None, source: str, terminal: Terminal
) -> Cells:
    """Cells of the class where the path begins; all, where obs does not tell."""
    if label_key is None and condition not in cells.adata.obs:
        terminal.say(f"{cells.path} has no column '{condition}': the path begins at all its cells")
        return cells
    return cells.where({label_key or condition: source})


def _adata(
    model: LatentDiffusion,
    drawn: Any,
    weights: list[float],
    start: Cells,
    options_: dict[str, Any],
) -> AnnData:
    """One cell for each weight and each start."""
    import numpy as np

    from scdiff_augment.annotation.new_cells import new_adata, provenance_of

    values = drawn.reshape(-1, drawn.shape[-1])
    adata = new_adata(
        values if model.history_["expression"] == "counts" else None,
        values,
        {},
        genes=model.genes_,
        sources=start.adata.obs_names.tolist() * len(weights),
        provenance=provenance_of(
            model.get_params(deep=False),
            {**options_, "weights": weights},
            model.training_hashes_,
        ),
    )
    adata.obs[WEIGHT] = np.repeat(np.asarray(weights), len(start))
    return adata
