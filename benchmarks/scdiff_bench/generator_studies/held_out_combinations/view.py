"""What the study of held-out combinations shows."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scdiff_bench.generator_studies.held_out_combinations.study import ARMS, STRENGTH, TYPE
from scdiff_bench.generator_studies.parts import Arrays, Finding, Picture, Table, means
from scdiff_bench.pages.figures import DIFFUSION, GAUSSIAN, INK, QUIET
from scdiff_bench.pages.words import signed, spread

MEASURES = {"mmd": "MMD", "r2": "R²"}
"""Metrics, with the sign that makes more better."""
SIGN = {"mmd": -1, "r2": 1}
BASELINES = ["control", "smooth", "counts", "expression"]
"""Baselines; where the strongest differs between MMD and R², each counts."""
NEEDED = 0.8
COLUMNS = ["mmd", "r2", "r2_welch"]
TITLES = {
    "arm": "method",
    "mmd": "MMD",
    "r2": "R²",
    "r2_welch": "R², Welch genes",
    TYPE: "cell type",
    "runs": "repeats",
}
NOTES = [
    "Each final model was fitted without any cell of one type under the target condition; codec, "
    "denoiser and both conditions never saw them. They were scored once, with the generator's "
    "defaults and nothing tuned on them.",
    "The method was chosen on other models, those of the design stage below, which leave out two "
    "types at once. One method serves all types, and all five types were looked at there: the "
    "final models are blind to a type's left-out cells, the choice of method is not blind to how "
    "its cells respond. By mean MMD of the design stage kriged changes came first whichever type "
    "was left out of the mean; from noise or from control cells made no clear difference. The log "
    "beside this page has the attempts.",
    "“Latent arithmetic” adds to the real control cells' latents the mean, over the other types, "
    "of their mean response, and decodes with the same codec; “smooth” takes expected counts, "
    "“counts drawn” draws them. “Expression arithmetic” does it on log1p values, cut at 0.",
    "“Generator” is sample({cell_type, condition}) after add_condition(condition, within=cell "
    "types), from noise. “Gradients alone” is the same call without within. “From control cells” "
    f"starts from real control cells at strength {STRENGTH:g}. The last method moves real control "
    "cells by the generator's change, without diffusion: what lies between it and the generator "
    "is what diffusion itself adds.",
    "MMD is that of scDiffusion's authors (50 joint principal components, five kernels, diagonal "
    "included). R² is the coefficient of determination of mean log1p expression over the genes "
    "whose mean changes most between real control and real target cells of the type; “Welch "
    "genes” are those of largest Welch t, by which the design stage was evaluated.",
    "The real left-out cells are split into halves ten times; one half is the reference, the "
    "other gives the row “real cells”. Every method has as many cells as a half, because MMD "
    "grows as "
    "sizes shrink. Both baselines and generator are compared with the same halves.",
    "Repeats differ in the generator's random numbers, not in the cells: their spread says nothing "
    "about other donors or other data sets. Two donors are in both conditions of every type.",
]


def _final(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["stage"] == "final"]


def by_type(rows: pd.DataFrame) -> pd.DataFrame:
    """Set the generator against the strongest baseline of each measure, a line per type."""
    final = _final(rows)
    found = []
    for t, part in final.groupby(TYPE, sort=False):
        mean = part.groupby("arm")[list(MEASURES)].mean()
        line: dict[str, Any] = {TYPE: t}
        wins = []
        for key, sign in SIGN.items():
            best = str((sign * mean.loc[BASELINES, key]).idxmax())
            line |= {key: mean.loc["generator", key], f"{key}_bar": mean.loc[best, key]}
            line |= {f"{key}_best": ARMS[best], f"{key}_null": mean.loc["null", key]}
            wins.append(sign * (mean.loc["generator", key] - mean.loc[best, key]) > 0)
        line["better"] = all(wins)
        line["draws_won"] = sum(_won(draw) for _, draw in part.groupby("draw"))
        line["draws"] = part["draw"].nunique()
        found.append(line)
    return pd.DataFrame(found)


def _won(draw: pd.DataFrame) -> bool:
    """Whether the generator was ahead of every baseline in both measures."""
    values = draw.set_index("arm")
    return all(
        (sign * (values.loc["generator", key] - values.loc[BASELINES, key]) > 0).all()
        for key, sign in SIGN.items()
    )


def verdict(rows: pd.DataFrame) -> list[Finding]:
    """In how many types the generator is ahead, where it is not, and what does it."""
    if _final(rows).empty:
        return [Finding("No findings", "No final model was fitted.", "", "warning")]
    lines = by_type(rows)
    needed = int(np.ceil(NEEDED * len(lines)))
    won = int(lines["better"].sum())
    found = [
        Finding(
            "Generator against control cells and arithmetic",
            f"Better in both MMD and R² in {won} of {len(lines)} types"
            + "".join(
                f"; {_line(line, False)}" for line in lines.to_dict("records") if line["better"]
            )
            + ".",
            f"better than every baseline in both, in at least {needed} of {len(lines)}.",
            "met" if won >= needed else "missed",
        )
    ]
    missed = [_line(line, True) for line in lines.to_dict("records") if not line["better"]]
    if missed:
        found.append(Finding("Where it is not ahead", "; ".join(missed) + ".", "", "warning"))
    mean = _final(rows).groupby("arm")[list(MEASURES)].mean()
    found += [
        Finding(title, f"Generator against {ARMS[arm]}, mean of types: {_against(mean, arm)}.")
        for title, arm in (
            ("What diffusion itself adds", "carried"),
            ("What within= adds", "gradients"),
            ("What is left to gain", "null"),
        )
    ]
    return found


def _line(line: Mapping[str, Any], named: bool) -> str:
    """Return one type's metrics in words; `named` says which baselines are meant."""
    parts = [
        f"{title} {_number(line[key])} against {_number(line[f'{key}_bar'])}"
        + (f" ({line[f'{key}_best']})" if named else "")
        for key, title in MEASURES.items()
    ]
    won = f"ahead in {line['draws_won']} of {line['draws']} repeats"
    return f"{line[TYPE]}: {', '.join([*parts, won])}"


def _number(value: float) -> str:
    return spread(value, float("nan"))


def _against(mean: pd.DataFrame, arm: str) -> str:
    """Return both measures of the generator beside those of another method."""
    return ", ".join(
        f"{MEASURES[k]} {_number(mean.loc['generator', k])} against {_number(mean.loc[arm, k])} "
        f"({signed(mean.loc['generator', k] - mean.loc[arm, k])})"
        for k in MEASURES
    )


def tables(rows: pd.DataFrame) -> list[Table]:
    """Every method for every type, and the design stage."""
    found = []
    final = _final(rows)
    if len(final):
        lines = by_type(rows).drop(columns=["mmd_null", "r2_null", "draws"])
        titles = {
            TYPE: "left out",
            "mmd_bar": "best baseline's MMD",
            "mmd_best": "which",
            "r2_bar": "best baseline's R²",
            "r2_best": "which ",
            "better": "better in both",
            "draws_won": "repeats won",
        }
        caption = "Means over repeats. The best baseline is chosen for MMD and for R² separately."
        found.append(Table("Type by type", lines, [TYPE], TITLES | titles, {}, caption))
        found.append(_methods("Every method", final, "Means ± standard deviation over repeats."))
        sources = final.loc[final["arm"] == "generator", [TYPE, "source"]].drop_duplicates(TYPE)
        caption = "Weights of the types whose change is carried over, first repeat."
        titles = {TYPE: "left out", "source": "where its change comes from"}
        found.append(Table("Carried from", sources, [TYPE, "source"], titles, {}, caption))
    design = rows[rows["stage"] == "design"]
    if len(design):
        caption = (
            "Two types left out together, means over pairs and repeats, ± standard deviation: "
            "harder than "
            "the final task, since the nearest relative may be away too."
        )
        found.append(_methods("Design stage", design, caption))
    return found


def _methods(title: str, rows: pd.DataFrame, caption: str) -> Table:
    frame = means(rows, [TYPE, "arm"], COLUMNS)
    everything = means(rows, ["arm"], COLUMNS).assign(**{TYPE: "all types"})
    everything[[f"{c}_sd" for c in COLUMNS]] = np.nan
    frame = pd.concat([frame, everything[frame.columns]], ignore_index=True)
    frame["arm"] = frame["arm"].map(ARMS)
    return Table(title, frame, [TYPE, "arm"], TITLES, {}, caption)


def pictures(rows: pd.DataFrame, arrays: Mapping[str, Arrays]) -> list[Picture]:
    """Draw changes of the genes, and the cells in two principal components."""
    final = _final(rows)
    first = final[final["draw"] == 0].drop_duplicates("unit_name")
    shown = {str(t): arrays[u] for t, u in zip(first[TYPE], first["unit_name"], strict=True)}
    if not shown:
        return []
    n_rows = -(-len(shown) // 2)
    size = (6.0, 2.7 * n_rows)
    return [
        Picture(
            "changes",
            "Change of mean log1p expression from control cells for the genes that change most, "
            "real left-out cells across, generated cells up; on the diagonal both agree, at 0 "
            "the generated "
            "cells are as control cells. First repeat.",
            size,
            partial(_changes, shown=shown),
        ),
        Picture(
            "cells",
            "Each left-out combination in two principal components of all real cells: real "
            "left-out cells, which no model saw, those that the generator made, and control "
            "cells of the type. Grey: all real cells. First repeat.",
            size,
            partial(_cells, shown=shown),
            raster=True,
        ),
    ]


def _changes(figure: Figure, shown: Mapping[str, Arrays]) -> None:
    axes = figure.subplots(-(-len(shown) // 2), 2, squeeze=False).ravel()
    for ax, (t, values) in zip(axes, shown.items(), strict=False):
        real = values["change_real"]
        ax.axhline(0, color=QUIET, linewidth=0.8)
        ax.axline((0, 0), slope=1, color=INK, linewidth=0.8, linestyle="--")
        for key, colour, name in (
            ("change_arithmetic", GAUSSIAN, "latent arithmetic"),
            ("change_generator", DIFFUSION, "generator"),
        ):
            ax.scatter(real, values[key], s=11, color=colour, linewidths=0, label=name)
        ax.set_title(t, loc="left", fontsize=10, fontweight="bold")
        ax.set_xlabel("real change", fontsize=9)
        ax.set_ylabel("made change", fontsize=9)
    _finish(figure, axes, len(shown))


def _cells(figure: Figure, shown: Mapping[str, Arrays]) -> None:
    axes = figure.subplots(-(-len(shown) // 2), 2, squeeze=False).ravel()
    for ax, (t, values) in zip(axes, shown.items(), strict=False):
        ax.scatter(*values["pca_all"].T, s=2, color=QUIET, alpha=0.25, linewidths=0)
        for key, colour, name in (
            ("pca_control", GAUSSIAN, "control, real"),
            ("pca_real", INK, "left out, real"),
            ("pca_generator", DIFFUSION, "left out, generated"),
        ):
            ax.scatter(*values[key].T, s=6, color=colour, alpha=0.7, linewidths=0, label=name)
        ax.set_title(t, loc="left", fontsize=10, fontweight="bold")
        ax.set_xticks([])
        ax.set_yticks([])
    _finish(figure, axes, len(shown))


def _finish(figure: Figure, axes: np.ndarray, n: int) -> None:
    """Put the legend where a panel is free, or under the panels."""
    for ax in axes[:n]:
        ax.spines[["top", "right"]].set_visible(False)
    handles, names = axes[0].get_legend_handles_labels()
    options = {"frameon": False, "fontsize": 9, "markerscale": 2}
    for ax in axes[n:]:
        ax.axis("off")
        ax.legend(handles, names, loc="center", **options)
    if n == len(axes):
        figure.legend(handles, names, loc="outside lower center", ncols=3, **options)
