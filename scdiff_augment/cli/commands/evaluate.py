"""evaluate: compare synthetic cells with real ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scdiff_augment.cli import options
from scdiff_augment.cli.cell_files import read_cells, require_file
from scdiff_augment.cli.evaluation_inputs import (
    matched_values,
    report_seen_cells,
    shared_classes,
    split_reference,
)
from scdiff_augment.cli.output import replacing
from scdiff_augment.cli.terminal import Terminal
from scdiff_augment.expression.marks import KEY

if TYPE_CHECKING:
    from scdiff_augment.metrics import Evaluation

EXAMPLES = """Examples:

\b
# compare with half of the real cells; the other half gives the real reference
scdiff-augment evaluate heldout.h5ad synthetic.h5ad

\b
# by class, and with a search for copies of training cells
scdiff-augment evaluate heldout.h5ad synthetic.h5ad --label-key cell_type \\
    --training cells.h5ad --out metrics.csv

\b
# all figures of each class; one split only, which is faster
scdiff-augment evaluate heldout.h5ad synthetic.h5ad --label-key cell_type --full --repeats 1
"""

TABLES = (".csv", ".json")
"""Suffixes that the name of a table may have."""


def evaluate(
    real: Annotated[
        Path, typer.Argument(metavar="REAL", help="Real cells, preferably held out from training.")
    ],
    synthetic: Annotated[Path, typer.Argument(metavar="SYNTHETIC", help="Synthetic cells.")],
    null: Annotated[
        Path | None,
        typer.Option(
            metavar="CELLS",
            help="Further held-out real cells, scored in the place of the synthetic ones: the "
            "value to expect of perfect cells. [default: half of REAL]",
        ),
    ] = None,
    training: Annotated[
        Path | None,
        typer.Option(
            metavar="CELLS", help="The model's training cells, to search for copies of them."
        ),
    ] = None,
    label_key: Annotated[
        str | None, typer.Option(help="Column of obs with classes, to evaluate each of them too.")
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(help="Layer of REAL. [default: 'counts' if there is one, else X]"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="TABLE", help="Also write the table to this file: .csv or .json."),
    ] = None,
    repeats: Annotated[
        int,
        typer.Option(
            min=1,
            help="Number of random splits of the real cells; more than one gives the range of the "
            "real reference, by which the verdict is given.",
        ),
    ] = 3,
    max_cells: Annotated[
        int, typer.Option(min=5, help="Limit on the cells compared of each file and class.")
    ] = 5000,
    trees: Annotated[int, typer.Option(min=1, help="Trees of each random forest.")] = 200,
    full: Annotated[
        bool, typer.Option("--full", help="Print all figures too, a table for each class.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Random seed.")] = 0,
    jobs: options.Jobs = None,
    force: options.Force = False,
    quiet: options.Quiet = False,
) -> None:
    """Compare synthetic cells with real ones, and each metric with its real reference.

    Prints a verdict (what is as real cells are, what is not, whether training cells were copied),
    then one line a metric. Column 'real cells' holds its real reference: the value of held-out real
    cells scored in the place of the synthetic ones, i.e. the value to expect of perfect cells. A
    metric is as real cells are if it lies no farther from its ideal than the farthest reference, by
    a margin at most: the range of that over the splits or, where that is less, what two draws of
    real cells differed by. 'limit' is the value at which the verdict changes. In the tables of
    --full and --out, column 'figure' names the metric, and 'null' is its real reference.

    Files may hold both kinds of cells, like those of oversample: only the real cells of REAL and
    the synthetic cells of SYNTHETIC are used. All are compared in the genes of SYNTHETIC, on the
    scale of REAL.
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
        _print(_scored(given, label_key, layer, settings, terminal), full)
        return
    with replacing(out, terminal, force=force, suffixes=TABLES) as place:
        table = _scored(given, label_key, layer, settings, terminal)
        if out.suffix == ".csv":
            from scdiff_augment.annotation.spreadsheets import for_spreadsheets

            for_spreadsheets(table).to_csv(place, index=False)
        else:
            table.to_json(place, orient="records", indent=1)
    _print(table, full)
    terminal.done(f"wrote {out}: {len(table)} rows")


def _scored(
    paths: dict[str, Path],
    label_key: str | None,
    layer: str | None,
    settings: dict[str, Any],
    terminal: Terminal,
) -> Evaluation:
    """Read the files, make them comparable, and evaluate them."""
    terminal.doing(f"reading {', '.join(map(str, paths.values()))}")
    cells = {}
    for name, path in paths.items():
        found = read_cells(path, layer if name == "real" else None, terminal)
        cells[name] = found.marked(name == "synthetic", terminal)
    labels = {}
    if label_key is not None:
        cells["real"] = shared_classes(cells, label_key, terminal)
        labels = {name: found.labels(label_key).astype(str) for name, found in cells.items()}
    elif made_for := cells["synthetic"].adata.uns.get(KEY, {}).get("label_key"):
        terminal.say(
            f"note: synthetic cells were made by class of '{made_for}'; --label-key {made_for} "
            f"evaluates each class"
        )
    values = matched_values(cells, chosen=layer is not None)
    genes = cells["synthetic"].adata.var_names.to_numpy(dtype=str)
    if "training" in values:
        report_seen_cells(values, genes, terminal)
    if "null" not in cells:
        split_reference(values, labels, settings["random_state"])
    sizes = ", ".join(f"{len(X):,} {name}" for name, X in values.items())
    with terminal.working(f"comparing cells ({sizes}) in {len(genes):,} genes"):
        from scdiff_augment.metrics import evaluate as score

        given: dict[str, Any] = {
            name if key == "values" else "labels" if name == "real" else f"{name}_labels": found
            for key, sets in (("values", values), ("labels", labels))
            for name, found in sets.items()
        }
        return score(**given, **settings)


def _print(table: Evaluation, full: bool) -> None:
    """Print the verdict and a compact table; with `full`, then one block per class."""
    typer.echo(str(table))
    if not full:
        return
    ranged = (table["null_low"] < table["null_high"]).any()
    ends = ["null_low", "null_high"]
    shown = table.drop(columns=["class", "n", *([] if ranged else ends)])
    if ranged:
        shown.loc[~(table["null_low"] < table["null_high"]), ends] = float("nan")
    for label, rows in table.groupby("class", sort=False):
        computed = shown.loc[rows.index].dropna(subset="synthetic")
        typer.echo(f"\n{label}, {rows['n'].iloc[0]:,} real and as many synthetic")
        if computed.empty:
            typer.echo("too few cells for any metric")
            continue
        typer.echo(computed.to_string(index=False, float_format="{:.4g}".format, na_rep="-"))
