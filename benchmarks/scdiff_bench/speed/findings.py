"""What was wanted of speed and memory, beside what `speed` measured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scdiff_bench.generator_studies.parts import Finding

Rows = Mapping[str, Mapping[str, Any]]

PUBLISHED = 9.2
"""Cells per second of the published implementation, two cores, 1,000 guided steps: at best."""

GPU = 200_000
"""Cells per second wanted of a GPU."""

TITLES = {
    "diffusion": "DiffusionOversampler",
    "random_oversampler": "RandomOverSampler",
    "smote": "SMOTE",
    "scvi": "scVI",
    "ddpm": "our own 1,000 steps of DDPM",
    "latent_diffusion": "LatentDiffusion",
    "latent_diffusion_groups": "LatentDiffusion, groups given",
}


def findings(rows: Rows) -> list[Finding]:
    """Return what was wanted beside what was measured."""
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
                f"({row['training_cpu_s']:.1f} CPU seconds).",
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
    """Return what `scdiff_bench.speed.beyond_memory` left beside the rows, if anything."""
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
        f"{row['gflops']:.0f} that the machine reaches; the chain of latents takes "
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


def exponents(rows: Rows) -> pd.DataFrame:
    """Return the powers with which seconds grow: over all sizes, and between the largest two."""
    found = []
    grid = grid_of(rows, "resample")
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


def grid_of(rows: Rows, kind: str) -> pd.DataFrame:
    """Return the rows of one task over cells and genes."""
    found = [
        {"cells": row["task"][1], "genes": row["task"][2], **row}
        for row in rows.values()
        if row["task"][0] == kind
    ]
    if not found:
        return pd.DataFrame()
    return pd.DataFrame(found).sort_values(["device", "cells", "genes"], ignore_index=True)
