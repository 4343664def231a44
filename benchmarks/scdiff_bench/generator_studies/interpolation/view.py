"""What the study of gradient interpolation shows."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import pandas as pd
from scdiff_bench.generator_studies.interpolation.path_metrics import (
    NEAREST,
    draw_path,
    draw_pseudotime,
    draw_types,
)
from scdiff_bench.generator_studies.interpolation.paths import (
    ENDS,
    GENE_LINE,
    GRADIENT,
    GRADIENT_INVERTED,
    LATENT_LINE,
    LATENT_LINE_RANDOM,
    OTHER_HALF,
    OTHER_HALF_CODEC,
)
from scdiff_bench.generator_studies.parts import Arrays, Finding, Picture, Table, means
from scdiff_bench.pages.words import signed

ORDERED = 0.95
BOTH = (GRADIENT, GRADIENT_INVERTED)
LINES = (LATENT_LINE, LATENT_LINE_RANDOM, GENE_LINE)
PUBLISHED = (
    "Published for D3 to D4.5 of another data set, with cells of both ends and between in "
    "training: .078 to .139 where real ends lie at .071 and .140, that is 10 % to 99 % of the way."
)
TITLES = {
    "spearman_means": "Spearman, means",
    "spearman_cells": "Spearman, cells",
    "way_start": "way at weight 0",
    "way_end": "way at weight 1",
    "left_out_middle": "middle nearest to left-out",
    "reached_middle": "left-out reached, middle",
    "reached_path": "left-out reached, path",
    "closest": "closest to left-out mean",
    "memory": "memory of the start",
    "guidance_scale": "scale",
    "model_name": "latent",
    "runs": "models",
}
SCORES = ["spearman_means", "spearman_cells", "way_start", "way_end", "largest_step"]
SCORES += ["left_out_middle", "reached_middle", "reached_path", "closest", "memory"]
NOTES = [
    "Pseudotime is scanpy's diffusion pseudotime (30 components, 30 neighbours, Gaussian kernel) "
    "on all real cells of the data set, the left-out ones among them; the generator never sees "
    "it. A new cell has the mean pseudotime of its 5 nearest real cells, and the type of the "
    "nearest.",
    "The real cells that a path starts from, and those that lines end at, are not among these: "
    "near its ends a line's cell is nearest to the cell it was made from, wherever that lies.",
    "Gradients: chains start at real cells of the source, at sigma; “drawn” adds random noise, "
    "“inverted” finds the noise from which DDIM leads back to the cell. Lines: the same cells, "
    "each led to a real cell of the target (the pairing with the least total squared distance, or "
    "random), in the model's latent with its decoder, or between log1p values.",
    "A left-out cell is reached if a new cell lies within the distance to its fifth nearest real "
    "neighbour. The left-out cells are halved: one half is to be reached, the other stands in for "
    "a perfect generator. Every method has as many cells as that half, drawn from the middle "
    "weights; “path” takes all cells of all weights instead.",
    "That other half is compared with real cells without itself, so that only half of the left-out "
    "cells can be nearest to it; its share nearest to left-out cells is if anything too low.",
    "Spearman over the weights' means asks for order alone: most straight lines, and paths that "
    "hardly leave the source, pass it. Way, types and neighbourhoods tell them apart.",
    "A cell of the gene-space line is a mean of two cells and carries less counting noise than "
    "any cell, which brings it nearer to everything; the other methods draw counts.",
    "Way: mean pseudotime, with 0 the mean of the real source cells and 1 that of the target's. "
    "Largest step: between neighbouring weights, on the same scale; evenly spaced weights along "
    "an even way give .1.",
    "Closest: least distance of the path's mean, over the weights, to the mean of the left-out "
    "cells, over the distance of source and target. Memory: Spearman correlation of the "
    "starts' pseudotime with that of the cells at weight 0.",
    "Sigma, scale and latent were chosen on the validation transitions, where other types are "
    "left out; the left-out cells of the test are scored with these settings only.",
]


def tables(rows: pd.DataFrame) -> list[Table]:
    """Paths and controls of the test, its weights, and the validation."""
    test = rows[rows["role"] == "test"]
    found = []
    if len(test):
        wanted = [*BOTH, *LINES, OTHER_HALF, OTHER_HALF_CODEC, ENDS]
        scored = test[test["what"].isin(["path", "control"]) & test["method"].isin(wanted)]
        paths = means(scored, ["method"], SCORES)
        caption = "Means ± standard deviation over models with seeds and starts of their own."
        found.append(Table("Paths and real cells", paths, ["method"], TITLES, caption=caption))
        steps = test[(test["what"] == "weight") & test["method"].isin(BOTH)]
        columns = ["pseudotime", *NEAREST]
        by_weight = means(steps, ["method", "weight"], columns)
        by_weight["weight"] = [f"{w:.1f}" for w in by_weight["weight"]]
        titles = {name: f"nearest: {text}" for name, (text, _) in NEAREST.items()}
        found.append(Table("Along the path", by_weight, ["method", "weight"], titles | TITLES))
    checked = rows[(rows["role"] == "validation") & (rows["what"] == "path")].copy()
    if len(checked):
        checked["left_out"] = checked["source"] + " to " + checked["target"]
        for column in ("sigma", "guidance_scale"):
            checked[column] = [f"{v:g}" if v == v else "–" for v in checked[column]]
        keys = ["left_out", "model_name", "method", "sigma", "guidance_scale"]
        columns = ["spearman_means", "spearman_cells", "way_end", "largest_step"]
        columns += ["left_out_middle", "reached_middle"]
        shown = means(checked, keys, columns).sort_values(keys[:3], kind="stable")
        titles = TITLES | {"left_out": "transition"}
        caption = "Other transitions, other types left out; what the settings were chosen on."
        found.append(Table("Validation", shown, keys, titles, caption=caption))
    return found


def verdict(rows: pd.DataFrame) -> list[Finding]:
    """Order, distance covered, steps, types passed and neighbourhoods reached."""
    test = rows[rows["role"] == "test"]
    if test.empty:
        return [Finding("No test", "Only validation transitions were run.")]
    paths = test[test["what"] == "path"]
    gradient = paths[paths["method"] == GRADIENT]
    mean = test[test["what"] != "weight"].groupby("method").mean(numeric_only=True)
    own, carried = mean.loc[GRADIENT], mean.loc[GRADIENT_INVERTED]
    real = {k: mean.loc[f"real {k}", "pseudotime"] for k in ("source", "target")}
    lowest = paths[paths["method"].isin(BOTH)]["spearman_means"].min()
    return [
        Finding(
            "Order",
            f"Spearman of weight and mean pseudotime {own['spearman_means']:.3f} with drawn noise, "
            f"{carried['spearman_means']:.3f} with inverted, lowest of {len(gradient)} models each "
            f"{lowest:.3f}; of weight and every cell's pseudotime {own['spearman_cells']:.3f} and "
            f"{carried['spearman_cells']:.3f} (lines: {_listed(mean, 'spearman_cells')}).",
            f"at least {ORDERED} in every model, over the weights' means.",
            "met" if lowest >= ORDERED else "missed",
        ),
        _compared(
            paths,
            mean,
            "left_out_middle",
            "Types in the middle",
            "of the cells at the middle weights are nearest to a left-out cell",
        ),
        _compared(
            paths,
            mean,
            "reached_middle",
            "Neighbourhoods of left-out cells",
            "of the left-out cells are reached from the middle weights",
        ),
        Finding(
            "Way",
            f"Mean pseudotime {own['pseudotime_start']:.3f} at weight 0 and "
            f"{own['pseudotime_end']:.3f} at weight 1 with drawn noise, real "
            f"{real['source']:.3f} and {real['target']:.3f}: {own['way_start']:.0%} to "
            f"{own['way_end']:.0%} of the way; inverted {carried['way_start']:.0%} to "
            f"{carried['way_end']:.0%}. {PUBLISHED}",
        ),
        Finding(
            "Steps",
            f"The largest step between neighbouring weights is {own['largest_step']:.2f} of the "
            f"way with drawn noise, {carried['largest_step']:.2f} with inverted (lines: "
            f"{_listed(mean, 'largest_step')}).",
        ),
        Finding(
            "Memory of the start",
            f"Spearman of the starts' pseudotime and that of their cells at weight 0: "
            f"{own['memory']:.2f} with drawn noise, {carried['memory']:.2f} with inverted "
            f"(lines: {_listed(mean, 'memory')}).",
        ),
    ]


def pictures(rows: pd.DataFrame, arrays: Mapping[str, Arrays]) -> list[Picture]:
    """Pseudotime against weight, types against weight, and the path among real cells."""
    test = rows[rows["role"] == "test"]
    if test.empty:
        return []
    steps = test[test["what"] == "weight"]
    real = test[test["what"] == "control"].groupby("method")["pseudotime"].mean()
    found = [
        Picture(
            "pseudotime",
            "Mean pseudotime at each weight, over all models; the band holds the middle 80 % of "
            "the cells made from drawn noise. Dotted: means of real cells.",
            (6.0, 3.8),
            partial(draw_pseudotime, steps=steps, real=real),
        ),
        Picture(
            "types",
            "Type of the real cell nearest to each new cell.",
            (6.0, 2.9),
            partial(draw_types, steps=steps),
        ),
    ]
    drawn = [a for name, a in arrays.items() if name.startswith("test")]
    if drawn:
        found.append(
            Picture(
                "path",
                "Real cells of both ends and of the left-out type in their first two principal "
                "components (others in pale grey), and the cells that the first model made from "
                "drawn noise, by weight. The line joins the means of the weights.",
                (6.0, 5.0),
                partial(draw_path, arrays=drawn[0], row=test.iloc[0]),
                raster=True,
            )
        )
    return found


def _compared(
    paths: pd.DataFrame, mean: pd.DataFrame, column: str, title: str, what: str
) -> Finding:
    """Hold both gradients against the best line, model by model."""
    wide = paths.pivot_table(index="unit_name", columns="method", values=column)
    best = wide[list(LINES)].mean().idxmax()
    shares = " and ".join(f"{wide[m].mean():.1%} ({m.split()[1]} noise)" for m in BOTH)
    above = ", ".join(
        f"{signed(wide[m].mean() - wide[best].mean())}, above it in "
        f"{int((wide[m] > wide[best]).sum())} of {len(wide)} models"
        for m in BOTH
    )
    null = f"real left-out cells in their place {mean.loc[OTHER_HALF, column]:.1%}, "
    null += f"the same through the codec {mean.loc[OTHER_HALF_CODEC, column]:.1%}"
    if column == "reached_middle":
        null += f", as many real cells of both ends {mean.loc[ENDS, column]:.1%}"
    return Finding(
        title,
        f"{shares} {what}; {null}. Lines: {_listed(mean, column)}; against the best of them: "
        f"{above}.",
        "more than every straight line, with either noise.",
        "met" if all(wide[m].mean() > wide[best].mean() for m in BOTH) else "missed",
    )


def _listed(mean: pd.DataFrame, column: str) -> str:
    short = {m: m.removeprefix("straight line in ") for m in LINES}
    return ", ".join(f"{short[m]} {mean.loc[m, column]:.3f}" for m in LINES)
