"""The page of `speed`: what was wanted, what was measured, and where the time goes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from benchmarks.figures import inline_svg, save_figure
from benchmarks.generation.page import sentence
from benchmarks.generation.parts import Finding, Picture, Table
from benchmarks.page import environment
from benchmarks.store import write_text
from benchmarks.versions import versions

Rows = Mapping[str, Mapping[str, Any]]

PUBLISHED = 9.2
"""Cells per second of the published implementation, two cores, 1,000 guided steps: at best."""

GPU = 200_000
"""Cells per second wanted of a GPU."""

NOTES = (
    "Each line was measured in a process of its own. Seconds are those of the clock: a machine that"
    " does something else beside makes them longer, never shorter.",
    "GFLOP/s and GB/s are what this processor reached in the same process: a product of two "
    "1,536 × 1,536 matrices, and a copy of 256 MB, read and written.",
    "Peak memory is that of the whole process: Python, libraries, the real cells, all new ones, "
    "and both together in the end.",
    "Where the time goes, function by function: profile_fit.txt and profile_sample.txt beside "
    "this page.",
)


def write_page(rows: Rows, folder: Path) -> Path:
    """Write ``index.html``, ``table.md`` and the figures.

    Parameters
    ----------
    rows : mapping of str to mapping
        From `speed`, by task.
    folder : Path
        Where to.

    Returns
    -------
    Path
        The page.
    """
    good = {name: row for name, row in rows.items() if "error" not in row}
    failures = [(name, row["error"]) for name, row in rows.items() if "error" in row]
    found, shown = findings(good) + beyond_memory(folder), []
    (folder / "figures").mkdir(exist_ok=True)
    for picture in pictures(good):
        save_figure(picture.size, picture.paint, folder / "figures" / picture.name)
        inline = inline_svg(picture.size, picture.paint, picture.name)
        shown.append((inline, picture.caption))
    config = SimpleNamespace(
        title="Seconds and memory",
        description="Counts of ten cell types, from 1,000 × 1,000 to 100,000 × 20,000; what fit, "
        "condition, sampling and decoding take, the whole sampler, and others beside it.",
    )
    threads = sorted({row["threads"] for row in rows.values()})
    page = (
        environment()
        .get_template("generation/page.html.j2")
        .render(
            config=config,
            params={"threads": ", ".join(map(str, threads))},
            datasets=[],
            findings=found,
            tables=tables(good),
            pictures=shown,
            notes=NOTES,
            warned=[],
            failures=failures,
            seconds=None,
            versions=versions(),
            total=len(rows),
            counted="measurements",
            n_failed=len(failures),
        )
    )
    lines = [f"# {config.title}", "", *(f"- {sentence(f)}" for f in found)]
    for table in tables(good):
        lines += ["", f"## {table.title}", "", f"| {' | '.join(table.heads)} |"]
        lines.append(f"|{'|'.join(['---'] * len(table.heads))}|")
        lines += [f"| {' | '.join(cells)} |" for cells in table.lines()]
        lines += ["", table.caption] if table.caption else []
    write_text(folder / "table.md", "\n".join([*lines, ""]))
    write_text(folder / "index.html", page)
    return folder / "index.html"


def findings(rows: Rows) -> list[Finding]:
    """Return what was wanted beside what was measured.

    Parameters
    ----------
    rows : mapping
        Those that did not fail.

    Returns
    -------
    list of Finding
        One for each target whose measurement is there.
    """
    found = []
    if row := rows.get("parts_10000x2000"):
        speed = row["cells_per_s"]
        found.append(
            Finding(
                "Guided sampling and count decoding",
                f"{speed:,.0f} cells of 2,000 genes a second on {row['threads']} cores, "
                f"{speed / PUBLISHED:,.0f} times the published implementation's best. "
                f"{_limits(row)}",
                "at least 10,000 cells a second.",
                "met" if speed >= 10_000 else "missed",
            )
        )
    if row := rows.get("training_2530x1287"):
        seconds = row["training_s"]
        found.append(
            Finding(
                "Training",
                f"{seconds:.1f} s for 2,530 cells × 1,287 genes, with the classes "
                f"({row['training_cpu_s']:.1f} processor seconds).",
                "at most 6 s.",
                "met" if seconds <= 6 else "missed",
            )
        )
    if row := rows.get("resample_100000x2000"):
        seconds, peak = row["fit_resample_s"], row["peak_gb"]
        found.append(
            Finding(
                "A large data set",
                f"{row['n_new']:,} new cells for 100,000 × 2,000 genes in {seconds:.0f} s, "
                f"peak memory {peak:.2f} GB.",
                "at most 120 s and 4 GB.",
                "met" if seconds <= 120 and peak <= 4 else "missed",
            )
        )
    slopes = exponents(rows)
    if len(slopes):
        worst = max(slopes["exponent"].max(), slopes["last step"].max())
        told = "; ".join(
            f"{row['in']} {row['exponent']:.2f} (last step {row['last step']:.2f})"
            for _, row in slopes.iterrows()
        )
        found.append(
            Finding(
                "Growth",
                f"Seconds grow with these powers: {told}.",
                "no exponent above 1.1.",
                "met" if worst <= 1.1 else "missed",
            )
        )
    found += _beside(rows)
    gpu = [row for row in rows.values() if "cells_per_s" in row and row["device"] != "cpu"]
    if gpu:
        best = max(row["cells_per_s"] for row in gpu)
        found.append(
            Finding(
                "GPU",
                f"{best:,.0f} cells a second into the host's memory as CSR.",
                f"at least {GPU:,} cells a second.",
                "met" if best >= GPU else "missed",
            )
        )
    else:
        found.append(
            Finding(
                "GPU",
                "None was at hand. Tests run the accelerators' code on the CPU; its speed is "
                "not known.",
                f"at least {GPU:,} cells a second.",
                "warning",
            )
        )
    return found


def beyond_memory(folder: Path) -> list[Finding]:
    """Return what `benchmarks.beyond_memory` left beside the rows, if anything.

    Parameters
    ----------
    folder : Path
        Of the page.

    Returns
    -------
    list of Finding
        One, or none.
    """
    file = folder / "beyond_memory.json"
    if not file.is_file():
        return []
    run = json.loads(file.read_text(encoding="utf-8"))
    steps = pd.DataFrame(run["rows"])
    peak = float(steps.filter(regex="peak_gb$").max().max())
    repeated = int(steps["repeated"].max())
    told = "; ".join(
        f"{row['step']} {row['seconds'] + np.nan_to_num(row.get('killed_seconds', 0)):.0f} s"
        for row in run["rows"]
    )
    return [
        Finding(
            "Beyond memory",
            f"{run['cells']:,} cells × {run['genes']:,} genes from store to store on a "
            f"busy machine: {told}. Sampling and oversampling were killed half-way and started "
            f"again: every cell is there once ({repeated} repeated). Highest peak {peak:.2f} GB.",
            "at most 3 GB, nothing lost or repeated.",
            "met" if peak <= 3 and repeated == 0 else "missed",
        )
    ]


def _limits(row: Mapping[str, Any]) -> str:
    """How far from the machine's own limits."""
    if "sample_gflop" not in row:
        return ""
    reached = row["sample_gflop"] / row["sample_and_decode_s"]
    latents = row["latents_s"] / row["sample_and_decode_s"]
    passed = 8 * 10_000 * 2_000 / row["gb_s"] / 1e9
    copies = (row["sample_and_decode_s"] - row["latents_s"]) / passed
    return (
        f"Matrix products are {row['sample_gflop']:.0f} GFLOP of it, {reached:.0f} GFLOP/s of the "
        f"{row['gflops']:.0f} that the processor reaches; the chain of latents takes "
        f"{latents:.0%} of the time, decoding and drawing counts the rest: as long as {copies:.0f} "
        f"copies of the new cells × genes in memory, at {row['gb_s']:.0f} GB/s."
    )


def _beside(rows: Rows) -> list[Finding]:
    """Seconds as ratios to the other samplers, on the same cells."""
    ours = rows.get("other_diffusion")
    others = {
        name: row
        for name in ("random_oversampler", "smote", "scvi", "ddpm")
        if (row := rows.get(f"other_{name}"))
    }
    if ours is None or not others:
        return []
    parts = [
        f"{_ratio(ours['fit_resample_s'] / row['fit_resample_s'])} the seconds of {TITLES[name]} "
        f"(MMD {row['mmd']:.4f})"
        for name, row in others.items()
    ]
    whole, error = ours["fit_resample_s"], ours["mmd"]
    found = [
        Finding(
            "Beside others",
            f"{ours['n_new']:,} new cells took {whole:.1f} s with training (MMD to held-out cells "
            f"{error:.4f}): {'; '.join(parts)}.",
        )
    ]
    if (ddpm := others.get("ddpm")) and "drawing_s" in ours and "drawing_s" in ddpm:
        few, many = ours["drawing_s"], ddpm["drawing_s"]
        found.append(
            Finding(
                "Steps",
                f"Drawing alone took {few:.2f} s by 20 steps of DPM-Solver++ and {many:.2f} s by "
                f"1,000 of DDPM, {_ratio(many / few)} as long, at an MMD of {error:.4f} and "
                f"{ddpm['mmd']:.4f}.",
            )
        )
    return found


def _ratio(value: float) -> str:
    return f"{value:.0f} times" if value >= 10 else f"{value:.2g} times"


TITLES = {
    "diffusion": "DiffusionOversampler",
    "random_oversampler": "RandomOverSampler",
    "smote": "SMOTE",
    "scvi": "scVI",
    "ddpm": "our own 1,000 steps of DDPM",
}


def exponents(rows: Rows) -> pd.DataFrame:
    """Return the powers with which seconds grow: over all sizes, and between the largest two.

    Parameters
    ----------
    rows : mapping
        Those that did not fail.

    Returns
    -------
    DataFrame
        What grows, and the exponents.
    """
    found = []
    grid = _grid(rows, "resample")
    grid = grid[grid["device"] == "cpu"] if len(grid) else grid
    series: dict[str, list[tuple[float, float]]] = {}
    if len(grid):
        genes, cells = sorted(grid["genes"].unique()), sorted(grid["cells"].unique())
        at = genes[len(genes) // 2]
        for n, s in grid[grid["genes"] == at][["cells", "fit_resample_s"]].to_numpy():
            series.setdefault(f"cells (with as many new ones, {at:,} genes)", []).append((n, s))
        at = cells[-1]
        for g, s in grid[grid["cells"] == at][["genes", "fit_resample_s"]].to_numpy():
            series.setdefault(f"genes ({at:,} cells)", []).append((g, s))
    for row in rows.values():
        if row["task"][0] == "drawing" and row["device"] == "cpu":
            series.setdefault("new cells (2,000 genes)", []).append(
                (row["task"][1], row["drawing_s"])
            )
    for name, points in series.items():
        x, seconds = np.log(np.array(sorted(points), dtype=float)).T
        if len(x) >= 2:
            slope = np.polyfit(x, seconds, 1)[0]
            last = (seconds[-1] - seconds[-2]) / (x[-1] - x[-2])
            found.append({"in": name, "exponent": slope, "last step": last})
    return pd.DataFrame(found, columns=["in", "exponent", "last step"])


def tables(rows: Rows) -> list[Table]:
    """Return all that was measured.

    Parameters
    ----------
    rows : mapping
        Those that did not fail.

    Returns
    -------
    list of Table
        Steps, sampler, others, exponents.
    """
    found = []
    seconds = {"fit_s": 2, "condition_s": 2, "latents_s": 2, "sample_and_decode_s": 2}
    steps = _grid(rows, "parts")
    if len(steps):
        columns = ["cells", "genes", "device", *seconds, "cells_per_s", "peak_gb", "gflops", "gb_s"]
        found.append(
            _table(
                "Step by step", steps[columns], ["cells", "genes", "device"],
                {**seconds, "cells_per_s": 0, "peak_gb": 2, "gflops": 0, "gb_s": 0},
                "Training cells × genes; latents, and latents with their counts as CSR, of 10,000 "
                "new cells.",
            )
        )  # fmt: skip
    whole = _grid(rows, "resample")
    if len(whole):
        columns = ["cells", "genes", "device", "n_new", "fit_resample_s", "fit_resample_cpu_s"]
        found.append(
            _table(
                "The whole sampler", whole[[*columns, "peak_gb"]], ["cells", "genes", "device"],
                {"n_new": 0, "fit_resample_s": 1, "fit_resample_cpu_s": 1, "peak_gb": 2},
                "DiffusionOversampler.fit_resample on a sparse matrix: training and new cells.",
            )
        )  # fmt: skip
    others = [
        {"sampler": TITLES[name.removeprefix("other_")], **row}
        for name, row in rows.items()
        if name.startswith("other_")
    ]
    if others:
        columns = ["sampler", "n_new", "fit_resample_s", "fit_resample_cpu_s", "drawing_s", "mmd"]
        columns.append("peak_gb")
        size = next(r["task"][2:] for n, r in rows.items() if n.startswith("other_"))
        found.append(
            _table(
                f"Beside others, {size[0]:,} cells × {size[1]:,} genes",
                pd.DataFrame(others).reindex(columns=columns), ["sampler"],
                {"n_new": 0, "fit_resample_s": 2, "fit_resample_cpu_s": 2, "drawing_s": 2,
                 "mmd": 4, "peak_gb": 2},
                "Dense matrices; MMD to as many real cells of the same types that nobody saw.",
            )
        )  # fmt: skip
    slopes = exponents(rows)
    if len(slopes):
        digits = {"exponent": 2, "last step": 2}
        found.append(_table("Exponents of growth", slopes, ["in"], digits, ""))
    return found


def pictures(rows: Rows) -> list[Picture]:
    """Return the figure of the sampler's seconds over cells, a line for each number of genes.

    Parameters
    ----------
    rows : mapping
        Those that did not fail.

    Returns
    -------
    list of Picture
        Empty where there is nothing to draw.
    """
    grid = _grid(rows, "resample")
    grid = grid[grid["device"] == "cpu"] if len(grid) else grid
    sizes = grid.groupby("genes").size() if len(grid) else pd.Series(dtype=int)
    lines = sizes[sizes > 1].index
    if not len(lines):
        return []

    def paint(figure: Figure) -> None:
        for ax, column, title in zip(
            figure.subplots(1, 2), ("fit_resample_s", "peak_gb"), ("Seconds", "Peak memory, GB"),
            strict=True,
        ):  # fmt: skip
            for genes in lines:
                part = grid[grid["genes"] == genes].sort_values("cells")
                ax.plot(part["cells"], part[column], marker="o", label=f"{genes:,} genes")
            ax.set(xscale="log", yscale="log", xlabel="Real cells; as many new ones", title=title)
            ax.grid(alpha=0.25)
        figure.axes[0].legend(frameon=False, fontsize="x-small", loc="lower right")

    caption = "fit_resample from the sparse matrix to the larger one; both axes in powers of ten."
    return [Picture("growth", caption, (6.0, 3.0), paint)]


def _grid(rows: Rows, kind: str) -> pd.DataFrame:
    found = [
        {"cells": row["task"][1], "genes": row["task"][2], **row}
        for row in rows.values()
        if row["task"][0] == kind
    ]
    if not found:
        return pd.DataFrame()
    return pd.DataFrame(found).sort_values(["device", "cells", "genes"], ignore_index=True)


def _table(
    title: str,
    frame: pd.DataFrame,
    keys: Sequence[str],
    digits: Mapping[str, int],
    caption: str,
) -> Table:
    shown = frame.copy()
    for key in keys:
        if shown[key].dtype.kind in "iu":
            shown[key] = [f"{value:,}" for value in shown[key]]
    heads = {c: c.replace("_s", " s").replace("cells_per s", "cells a second") for c in digits}
    heads |= {"peak_gb": "peak GB", "gflops": "GFLOP/s", "gb_s": "GB/s", "n_new": "new cells"}
    heads |= {"fit_resample_cpu_s": "processor s", "mmd": "MMD"}
    heads |= {"sample_and_decode_s": "sample and decode s", "cells_per_s": "cells a second"}
    return Table(title, shown, keys, heads, digits, caption)
