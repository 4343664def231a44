"""evaluate: how real synthetic cells are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scdiff_augment.cli import options
from scdiff_augment.cli.cells import read_cells, require_file
from scdiff_augment.cli.comparable import halve, same_classes, tell_seen, values_of
from scdiff_augment.cli.output import replacing
from scdiff_augment.cli.terminal import Terminal

if TYPE_CHECKING:
    import pandas as pd

EXAMPLES = """Examples:

\b
# against half of the real cells; the other half shows what real cells would get
scdiff-augment evaluate heldout.h5ad synthetic.h5ad

\b
# by class, with a look for copies of cells that the model has seen
scdiff-augment evaluate heldout.h5ad synthetic.h5ad --label-key cell_type \\
    --training cells.h5ad --out figures.csv
"""

TABLES = (".csv", ".json")
"""How the name of a table may end."""

PROVENANCE = "scdiff_augment"
"""Where uns says how cells were made, as `scdiff_augment.annotation.new_cells.KEY`."""


def evaluate(
    real: Annotated[
        Path, typer.Argument(metavar="REAL", help="Real cells, best such as the model did not see.")
    ],
    synthetic: Annotated[Path, typer.Argument(metavar="SYNTHETIC", help="Synthetic cells.")],
    null: Annotated[
        Path | None,
        typer.Option(
            metavar="CELLS",
            help="More real cells, to be scored like synthetic ones. [default: half of REAL]",
        ),
    ] = None,
    training: Annotated[
        Path | None,
        typer.Option(metavar="CELLS", help="The cells that the model saw, to look for copies."),
    ] = None,
    label_key: Annotated[
        str | None, typer.Option(help="Column of obs with classes, for figures of each.")
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(help="Layer of REAL. [default: 'counts' where there is one, else X]"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="TABLE", help="Write the table here too: .csv or .json."),
    ] = None,
    repeats: Annotated[
        int, typer.Option(min=1, help="Part REAL anew so many times, for the range of the null.")
    ] = 1,
    max_cells: Annotated[
        int, typer.Option(min=5, help="Compare at most so many cells of each file and class.")
    ] = 5000,
    trees: Annotated[int, typer.Option(min=1, help="Trees of each forest.")] = 500,
    seed: Annotated[int, typer.Option(min=0, help="For what is drawn at random.")] = 0,
    jobs: options.Jobs = None,
    force: options.Force = False,
    quiet: options.Quiet = False,
) -> None:
    """Score synthetic cells against real ones, each figure beside that of real cells.

    Of files that hold both, like those of oversample, REAL gives its real cells and SYNTHETIC its
    synthetic ones. All are compared in the genes of SYNTHETIC, on the scale of REAL.
    """
    terminal = Terminal(quiet)
    paths = {"real": real, "synthetic": synthetic, "null": null, "training": training}
    given = {name: path for name, path in paths.items() if path is not None}
    for path in given.values():
        require_file(path)
    settings = {
        "n_repeats": repeats,
        "max_cells": max_cells,
        "n_estimators": trees,
        "random_state": seed,
        "n_jobs": jobs,
    }
    if out is None:
        _print(_scored(given, label_key, layer, settings, terminal))
        return
    with replacing(out, force=force, suffixes=TABLES) as place:
        table = _scored(given, label_key, layer, settings, terminal)
        if out.suffix == ".csv":
            table.to_csv(place, index=False)
        else:
            table.to_json(place, orient="records", indent=1)
    _print(table)
    terminal.done(f"wrote {out}: {len(table)} figures")


def _scored(
    paths: dict[str, Path],
    label_key: str | None,
    layer: str | None,
    settings: dict[str, Any],
    terminal: Terminal,
) -> pd.DataFrame:
    """Read, bring to one scale, and score."""
    terminal.say(f"reading {', '.join(map(str, paths.values()))}")
    cells = {}
    for name, path in paths.items():
        found = read_cells(path, layer if name == "real" else None, terminal)
        cells[name] = found.marked(name == "synthetic", terminal)
    labels = {}
    if label_key is not None:
        cells["real"] = same_classes(cells, label_key, terminal)
        labels = {name: found.labels(label_key).astype(str) for name, found in cells.items()}
    elif made_for := cells["synthetic"].adata.uns.get(PROVENANCE, {}).get("label_key"):
        terminal.say(f"note: synthetic cells were made by '{made_for}'; --label-key compares those")
    values = values_of(cells, chosen=layer is not None)
    genes = cells["synthetic"].adata.var_names.to_numpy(dtype=str)
    if "training" in values:
        tell_seen(values, genes, terminal)
    if "null" not in cells:
        halve(values, labels, settings["random_state"])
    sizes = ", ".join(f"{len(X):,} {name}" for name, X in values.items())
    with terminal.working(f"comparing cells ({sizes}) in {len(genes):,} genes"):
        from scdiff_augment.metrics import evaluate as score

        given: dict[str, Any] = {
            name if key == "values" else "labels" if name == "real" else f"{name}_labels": found
            for key, sets in (("values", values), ("labels", labels))
            for name, found in sets.items()
        }
        return score(**given, **settings)


def _print(table: pd.DataFrame) -> None:
    """Show a block for each class; what could not be told is left out."""
    ranged = (table["null_low"] < table["null_high"]).any()
    ends = ["null_low", "null_high"]
    shown = table.drop(columns=["class", "n", *([] if ranged else ends)])
    if ranged:
        shown.loc[~(table["null_low"] < table["null_high"]), ends] = float("nan")
    for label, rows in table.groupby("class", sort=False):
        told = shown.loc[rows.index].dropna(subset="synthetic")
        typer.echo(f"{label}, {rows['n'].iloc[0]:,} real and as many synthetic")
        if told.empty:
            typer.echo("too few for any figure\n")
            continue
        text = told.to_string(index=False, float_format="{:.4g}".format, na_rep="-")
        typer.echo(f"{text}\n")
