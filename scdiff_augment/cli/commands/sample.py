"""sample: draw new cells from a model."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scdiff_augment.cli import options
from scdiff_augment.cli.cell_files import require_file
from scdiff_augment.cli.large_files import n_entries, resumable, resumed_seed, writes_in_chunks
from scdiff_augment.cli.model_folders import cells_for, load, require_model, values_for
from scdiff_augment.cli.name_lookup import listed, matching_value, parse_pairs, require_name
from scdiff_augment.cli.output import MODEL, replacing, write_cells
from scdiff_augment.cli.parallel import cluster
from scdiff_augment.cli.terminal import Terminal

if TYPE_CHECKING:
    from pandas import DataFrame

    from scdiff_augment.generator import LatentDiffusion

EXAMPLES = """Examples:

\b
# 500 cells, in the proportions of the training set
scdiff-augment sample model new.h5ad --n 500

\b
# cells of one class; of a combination, with stronger guidance by one condition
scdiff-augment sample model b.h5ad --n 100 --where cell_type="B cells"
scdiff-augment sample model b_stim.h5ad --n 100 \\
    --where cell_type="B cells" --where condition=stim --scale cell_type=2

\b
# 50 cells of each class
scdiff-augment sample model each.zarr --n 50 --each cell_type

\b
# start from real cells of another condition, noised half of the way
scdiff-augment sample model moved.h5ad --start cells.h5ad \\
    --start-where condition=ctrl --strength 0.5 --where condition=stim

\b
# a million cells, sampled by the workers of a Dask cluster
scdiff-augment sample model atlas.zarr --n 1000000 --scheduler tcp://host:8786
"""


def sample(
    model: options.ModelIn,
    out: options.CellsOut,
    n: Annotated[
        int | None,
        typer.Option("--n", "-n", min=1, help="Number of cells; with --each, of each class."),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=CLASS", help="Condition and class of the cells. May be repeated."
        ),
    ] = None,
    each: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Draw --n cells of each class of this condition."),
    ] = None,
    scale: options.Guidance = [],  # noqa: B006  typer copies it
    temperature: options.Temperature = None,
    interval: options.Interval = None,
    start: Annotated[
        Path | None, typer.Option(metavar="CELLS", help="Real cells to start from: .h5ad or .zarr.")
    ] = None,
    start_where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=VALUE",
            help="Start only from cells with this value in a column of obs. May be repeated.",
        ),
    ] = None,
    strength: Annotated[
        float | None,
        typer.Option(
            help="Fraction of the sampling steps to run from the cells of --start, above 0 and "
            "below 1; smaller values stay closer to them. [default: 0.5]"
        ),
    ] = None,
    layer: options.ModelLayer = None,
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
    """Draw new cells, of given classes or in the proportions of the training set.

    OUT has log1p values in X and counts in layer 'counts' (if the model was fitted on counts), the
    conditions in obs, and the provenance of the cells in uns. Large zarr stores are written in
    chunks: after an interruption the same command resumes where it stopped.
    """
    terminal = Terminal(quiet)
    require_model(model)
    if start is None:
        _refuse_without_start(start_where, strength, layer)
        if n is None:
            raise ValueError(
                "the number of cells is missing. Add --n, or real cells to start from with --start."
            )
    else:
        require_file(start)
        strength = 0.5 if strength is None else strength
        if not 0 < strength < 1:
            raise ValueError(
                f"--strength must be above 0 and below 1, got {strength:g}. The default is 0.5."
            )
        if each is not None:
            raise ValueError("--each cannot be combined with --start. Use --where with --start.")
    asked = parse_pairs(where or [], "--where")
    entries = _entries(model, n, each, start)
    chunked = writes_in_chunks(out, entries, stream, scheduler)
    with ExitStack() as stack:
        if chunked:
            stack.enter_context(resumable(out, terminal))
            seed = resumed_seed(out, seed, terminal)
        else:
            place = stack.enter_context(replacing(out, terminal, force=force))
            seed = terminal.seed(seed)
        loaded = load(model, seed, jobs, terminal)
        wanted = {name: class_of(loaded, name, text, model) for name, text in asked.items()}
        if each is not None:
            assert n is not None
            wanted |= _of_each(loaded, each, n, asked, model)
        weights = options.parse_scales(scale, list(wanted))
        loaded.set_params(**options.sampler_parameters(sampler, n_steps), device=device)
        more: dict[str, Any] = {"guidance_interval": interval}
        if temperature is not None:
            more["temperature"] = temperature
        if start is not None:
            begin = cells_for(loaded, start, layer, terminal)
            begin = begin.where(parse_pairs(start_where or [], "--start-where"))
            begin = begin.draw(n, loaded.random_state, terminal)
            more |= {"start": values_for(loaded, begin), "strength": strength}
        terminal.doing("sampling", show=False)
        n_cells = None if each is not None or start is not None else n
        more["guidance_scale"] = weights
        if chunked:
            client = stack.enter_context(cluster(scheduler))
            loaded.sample_adata(wanted, n_cells, out=out, client=client, overwrite=force, **more)
            obs = _read_obs(out)
        else:
            new = loaded.sample_adata(wanted, n_cells, **more)
            terminal.doing(f"writing {out}", show=False)
            write_cells(new, place, out)
            obs = new.obs
    n_genes = loaded.n_features_in_
    terminal.done(f"wrote {out}: {len(obs):,} cells × {n_genes:,} genes{_counted(obs, wanted)}")


def class_of(model: LatentDiffusion, name: str, text: str, path: Path) -> Any:
    """Return the class of a condition whose text this is, as the model knows it.

    Raises
    ------
    ValueError
        If condition or class is unknown.
    """
    return matching_value(text, classes_known(model, name, path), f"condition '{name}'", "class")


def classes_known(model: LatentDiffusion, name: str, path: Path) -> list[Any]:
    """Return the classes of a condition.

    Raises
    ------
    ValueError
        If the model has no such condition.
    """
    if not model.conditions_:
        raise ValueError(
            f"{path} has no conditions yet. Teach it one: scdiff-augment add-condition {path} "
            f"CELLS --label-key {name}"
        )
    require_name(name, list(model.conditions_), str(path), "condition")
    return model.conditions_[name].tolist()


def _refuse_without_start(
    start_where: list[str] | None, strength: float | None, layer: str | None
) -> None:
    options_of = {"--start-where": start_where, "--strength": strength, "--layer": layer}
    given = [name for name, value in options_of.items() if value is not None]
    if given:
        raise ValueError(
            f"{given[0]} concerns the cells of --start, which is missing. Add --start, or leave "
            f"{given[0]} out."
        )


def _of_each(
    model: LatentDiffusion, name: str, n: int, asked: dict[str, str], path: Path
) -> dict[str, Any]:
    """Return each class of a condition, n times.

    Raises
    ------
    ValueError
        If the condition is unknown, or --where names it as well.
    """
    import numpy as np

    if name in asked:
        raise ValueError(
            f"--each {name} draws all classes, but --where {name}=... only one. Leave one of them "
            f"out."
        )
    classes_known(model, name, path)
    return {name: np.repeat(model.conditions_[name], n)}


def _entries(model: Path, n: int | None, each: str | None, start: Path | None) -> int:
    """Cells × genes requested, from the model's description, without loading the model."""
    about = json.loads((model / MODEL).read_text(encoding="utf-8"))
    n_classes = [len(c["classes"]["values"]) for c in about["conditions"] if c["name"] == each]
    if start is not None and n is None:
        return n_entries(start, None)
    return (n or 0) * about["n_features_in"] * (n_classes[0] if n_classes else 1)


def _read_obs(store: Path) -> DataFrame:
    """Read the obs of a zarr store."""
    import anndata as ad
    import zarr

    return ad.io.read_elem(zarr.open_group(str(store), mode="r")["obs"])


def _counted(obs: DataFrame, wanted: dict[str, Any]) -> str:
    """Numbers of cells of each class or combination of classes."""
    if not wanted:
        return ""
    rows = Counter(zip(*(obs[name].astype(str) for name in wanted), strict=True))
    return "; " + listed(f"{' × '.join(row)} {count}" for row, count in rows.items())
