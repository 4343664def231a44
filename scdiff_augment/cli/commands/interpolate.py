"""interpolate: move real cells from one class towards another."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scdiff_augment.cli import options
from scdiff_augment.cli.cell_files import Cells, require_file
from scdiff_augment.cli.model_folders import cells_for, load, require_model, values_for
from scdiff_augment.cli.output import replacing, write_cells
from scdiff_augment.cli.terminal import Terminal

from .sample import class_of

if TYPE_CHECKING:
    from anndata import AnnData

    from scdiff_augment.generator import LatentDiffusion

EXAMPLES = """Examples:

\b
# every NK cell of the file, towards B cells at eleven weights
scdiff-augment interpolate model cells.h5ad path.h5ad --condition cell_type \\
    --from "NK cells" --to "B cells"

\b
# five cells at given weights, each keeping its individual features
scdiff-augment interpolate model cells.h5ad path.zarr --condition condition \\
    --from ctrl --to stim --weights 0,0.5,0.9 --n 5 --noise inverted --seed 0
"""

WEIGHT = "weight"
"""Column of obs with the weight of the target class."""


class Noise(StrEnum):
    """Noise that interpolation starts from."""

    DRAWN = "drawn"
    INVERTED = "inverted"


def interpolate(
    model: options.ModelIn,
    start: Annotated[Path, typer.Argument(metavar="START", help="Real cells: .h5ad or .zarr.")],
    out: options.CellsOut,
    condition: Annotated[
        str,
        typer.Option(
            help="Condition of both classes. If obs of START has a column of this name, only its "
            "cells of the --from class are used, else all cells."
        ),
    ],
    source: Annotated[str, typer.Option("--from", metavar="CLASS", help="Class to start from.")],
    target: Annotated[str, typer.Option("--to", metavar="CLASS", help="Target class.")],
    label_key: Annotated[
        str | None,
        typer.Option(help="Column of obs with the classes, if not named like the condition."),
    ] = None,
    weights: Annotated[
        str,
        typer.Option(
            metavar="N|W,W,...",
            help="Number of equally spaced weights from 0 to 1, or the weights themselves.",
        ),
    ] = "11",
    sigma: Annotated[
        float,
        typer.Option(
            help="Noise level to start from, in standard deviations of the latents: about the "
            "distance between the classes or more. With less, cells stay near the first class."
        ),
    ] = 8.0,
    scale: Annotated[
        float,
        typer.Option(
            min=0,
            help="Guidance scale: small values let cells drift from the classes, large ones make "
            "them change abruptly.",
        ),
    ] = 1.5,
    noise: Annotated[
        Noise,
        typer.Option(
            help="Drawn at random, or found by DDIM inversion, which keeps a cell's individual "
            "features."
        ),
    ] = Noise.DRAWN,
    n: Annotated[
        int | None,
        typer.Option("--n", "-n", min=1, help="Number of random start cells. [default: all]"),
    ] = None,
    layer: options.ModelLayer = None,
    sampler: options.SamplerName = None,
    n_steps: options.Steps = None,
    seed: options.Seed = None,
    jobs: options.Jobs = None,
    force: options.Force = False,
    quiet: options.Quiet = False,
) -> None:
    """Interpolate real cells from one class towards another.

    OUT has one cell per weight and start cell; the columns weight and synthetic_source of obs say
    which.
    """
    terminal = Terminal(quiet)
    require_model(model)
    require_file(start)
    wanted = _weights(weights)
    if not sigma > 0:
        raise ValueError(f"--sigma must be above 0, got {sigma:g}. The default is 8.")
    with replacing(out, terminal, force=force) as place:
        loaded = load(model, terminal.seed(seed), jobs, terminal)
        ends = [class_of(loaded, condition, text, model) for text in (source, target)]
        loaded.set_params(**options.sampler_parameters(sampler, n_steps))
        real = cells_for(loaded, start, layer, terminal)
        real = _start(real, condition, label_key, source, terminal)
        real = real.draw(n, loaded.random_state, terminal)
        terminal.doing(f"interpolating {len(real):,} cells at {len(wanted)} weights")
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
    """Parse a number of equally spaced weights, or a list of weights.

    Raises
    ------
    ValueError
        If it is neither, or a weight is not between 0 and 1.
    """
    try:
        if "," not in text and "." not in text and int(text) > 1:
            return [i / (int(text) - 1) for i in range(int(text))]
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = [-1.0]
    if not all(0 <= value <= 1 for value in values):
        raise ValueError(
            f"--weights takes a number of weights of at least 2, or weights between 0 and 1 such "
            f"as 0,0.5,1; got '{text}'."
        )
    return values


def _start(
    cells: Cells, condition: str, label_key: str | None, source: str, terminal: Terminal
) -> Cells:
    """Return the cells of the source class, or all cells if obs has no classes."""
    if label_key is None and condition not in cells.adata.obs:
        terminal.say(
            f"note: obs of {cells.path} has no column '{condition}': all its cells are used"
        )
        return cells
    return cells.where({label_key or condition: source})


def _adata(
    model: LatentDiffusion,
    drawn: Any,
    weights: list[float],
    start: Cells,
    options_: dict[str, Any],
) -> AnnData:
    """Make an AnnData with one cell per weight and start cell."""
    import numpy as np

    from scdiff_augment.annotation.new_cells import new_adata, provenance_of

    values = np.asarray(drawn).reshape(-1, model.n_features_in_)
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
            model.history_,
        ),
    )
    adata.obs[WEIGHT] = np.repeat(np.asarray(weights), len(start))
    return adata
