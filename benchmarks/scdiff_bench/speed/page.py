"""The page of `speed`: findings, figures and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
from matplotlib.figure import Figure
from scdiff_bench.generator_studies.page import sentence
from scdiff_bench.generator_studies.parts import Picture, Table
from scdiff_bench.pages.figures import inline_svg, save_figure
from scdiff_bench.pages.study_page import environment
from scdiff_bench.results_version import ResultsVersion, results_version, versions
from scdiff_bench.running.store import write_text
from scdiff_bench.speed.findings import TITLES, Rows, beyond_memory, exponents, findings, grid_of
from scdiff_bench.speed.measure import version_of

NOTES = (
    "Each line was measured in a process of its own. Seconds are wall time: other work on"
    " the machine makes them longer, never shorter.",
    "GFLOP/s and GB/s are what this machine reached in the same process: a product of two "
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
    results = ResultsVersion.oldest(map(version_of, rows.values())) if rows else results_version()
    page = (
        environment()
        .get_template("generator_study.html.j2")
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
            results=results,
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
    write_text(folder / "table.md", "\n".join([*lines, "", results.sentence, ""]))
    write_text(folder / "index.html", page)
    return folder / "index.html"


def tables(rows: Rows) -> list[Table]:
    """Return all that was measured."""
    found = []
    seconds = {"fit_s": 2, "condition_s": 2, "latents_s": 2, "sample_and_decode_s": 2}
    steps = grid_of(rows, "parts")
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
    whole = grid_of(rows, "resample")
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
                "Dense matrices; MMD to as many held-out real cells of the same types.",
            )
        )  # fmt: skip
    devices = grid_of(rows, "on_device")
    if len(devices):
        devices["device"] = [task[4] for task in devices["task"]]
        seconds = {"fit_s": 2, "condition_s": 2, "latents_s": 2, "sample_and_decode_s": 2}
        digits = {**seconds, "cells_per_s": 0, "fit_resample_s": 1, "mmd": 4, "device_gb": 2}
        keys = ["cells", "genes", "device", "precision"]
        found.append(
            _table(
                "On a GPU, and on the CPU beside it",
                devices.reindex(columns=[*keys, *digits, "peak_gb"]), keys,
                {**digits, "peak_gb": 2},
                "Precision of matrix products while cells are drawn, at the defaults of "
                "LatentDiffusion; into the host's memory as CSR: 100,000 cells on a GPU, 10,000 on "
                "a CPU. MMD of 1,000 of them to held-out cells.",
            )
        )  # fmt: skip
    slopes = exponents(rows)
    if len(slopes):
        digits = {"exponent": 2, "last step": 2}
        found.append(_table("Exponents of growth", slopes, ["in"], digits, ""))
    return found


def pictures(rows: Rows) -> list[Picture]:
    """Return the figure of the sampler's seconds over cells, a line for each number of genes."""
    grid = grid_of(rows, "resample")
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
    heads |= {
        "device_gb": "device's peak GB",
        "peak_gb": "peak GB",
        "gflops": "GFLOP/s",
        "gb_s": "GB/s",
        "n_new": "new cells",
    }
    heads |= {"fit_resample_cpu_s": "CPU s", "mmd": "MMD"}
    heads |= {"sample_and_decode_s": "sample and decode s", "cells_per_s": "cells a second"}
    return Table(title, shown, keys, heads, digits, caption)
