"""Tables of the study of fidelity by class: memorisation, and all metrics."""

from __future__ import annotations

import pandas as pd
from scdiff_bench.generator_studies.fidelity.study import REAL
from scdiff_bench.generator_studies.fidelity.tables import TITLES
from scdiff_bench.generator_studies.fidelity.targets import ALL, RARE, RATIO
from scdiff_bench.generator_studies.parts import Table, means


def memory(found: pd.DataFrame) -> list[Table]:
    """Show how near cells are to training cells, by type and number of training cells."""
    ratios = found[(found["figure"] == RATIO) & (found["class"] != ALL) & found["null"].notna()]
    inside = ratios["value"].between(ratios["low"], ratios["high"])
    below = ratios["value"] < ratios["low"]
    counted = ratios.assign(within=inside.astype(float), below=below.astype(float))
    keys = ["dataset", "variant", "conditions", "class"]
    copies = found[found["figure"].isin(["exact_duplicates", "near_duplicates"])]
    wide = copies.pivot_table("value", keys, "figure", sort=False).reset_index()
    rare = counted[counted["conditions"].str.startswith(RARE)]
    whole = counted[
        (counted["conditions"] == "label") & (counted["variant"] == found["variant"].iloc[0])
    ]
    shown = []
    for title, part, caption in (
        (
            "Memorisation: rare types",
            rare,
            "The smallest types with enough held-out cells, cut to a few training cells in models "
            "of their own.",
        ),
        ("Memorisation: all types of the first variant", whole, "Cells drawn by label."),
    ):
        if part.empty:
            continue
        frame = means(part, keys, ["value", "null", "low", "high", "n_train", "n"])
        frame = frame.drop(columns=[c for c in frame if c.endswith("_sd")])
        sums = part.groupby(keys, sort=False)[["within", "below"]].sum().astype(int)
        frame = frame.join(sums, on=keys).merge(wide, how="left", on=keys)
        for count in ("n_train", "n"):
            frame[count] = frame[count].round().astype(int)
        frame["all_within"] = frame["within"] == frame["runs"]
        shown.append(
            Table(
                title,
                frame.drop(columns="conditions"),
                ["dataset", "variant", "class"],
                {
                    "value": "ratio", "null": REAL, "low": "interval from", "high": "to",
                    "n_train": "training cells", "n": "cells", "within": "repeats within",
                    "below": "repeats below", "runs": "repeats",
                },
                caption=f"{caption} Ratio of the distance to the nearest training cell of the "
                "type over that to the nearest of as many held-out ones, median over cells. "
                "Interval: 95 % interval of the ratio for as many other real cells. "
                "Below it, cells are nearer to the training cells than other real cells are. Near "
                "duplicates: about .01 for real cells.",
            )
        )  # fmt: skip
    return shown


def figures(found: pd.DataFrame) -> list[Table]:
    """Show all metrics of each class, for the first variant."""
    named = found[
        (found["conditions"] == "label")
        & (found["class"] != ALL)
        & (found["variant"] == found["variant"].iloc[0])
    ]
    shown = []
    for dataset, part in named.groupby("dataset", sort=False):
        sides = [
            part.pivot_table(side, "class", "figure", sort=False).assign(cells=name)
            for side, name in (("value", "synthetic"), ("null", REAL))
        ]
        frame = pd.concat(sides).sort_index(kind="stable").reset_index()
        order = ["class", "cells", *(f for f in part["figure"].unique() if f in frame)]
        shown.append(
            Table(
                f"By class: {dataset}",
                frame[order],
                ["class", "cells"],
                TITLES,
                caption="The first variant; metrics that need more cells than a class has are "
                "left out.",
            )
        )
    return shown
