"""Tables of the study of fidelity."""

from __future__ import annotations

import pandas as pd
from scdiff_bench.generator_studies.fidelity.study import REAL
from scdiff_bench.generator_studies.fidelity.targets import ALL, RARE, RATIO, TARGETS, standing
from scdiff_bench.generator_studies.parts import Table, means
from scdiff_bench.pages.words import DASH, spread

TITLES = {
    "scc": "SCC",
    "pcc": "PCC",
    "mmd": "MMD",
    "ilisi": "iLISI",
    "forest_auc_pca": "forest AUC, PCA",
    "forest_auc_genes": "forest AUC, genes",
    "knn_auc": "kNN AUC",
    "celltypist_accuracy": "CellTypist accuracy",
}
REFERENCE = ("scc", "pcc", "mmd", "ilisi", "forest_auc_pca", "celltypist_accuracy")
NOTEBOOK, REVIEW = "the authors' notebook", "a review page"
PUBLISHED = (
    ("headline", {"scc": 0.984, "mmd": 0.018, "celltypist_accuracy": 0.93}, REVIEW),
    ("Tabula Muris", {"scc": 0.9958, "pcc": 0.9996, "mmd": 0.0197, "ilisi": 0.898}, NOTEBOOK),
    (
        "OpenProblems RNA",
        {"scc": 0.9940, "pcc": 0.9991, "mmd": 0.0322, "ilisi": 0.797, "forest_auc_pca": 0.802},
        NOTEBOOK,
    ),
    ("OpenProblems RNA, 11,500 cells", {"forest_auc_pca": 0.887}, NOTEBOOK),
    ("Lung PF", {"forest_auc_pca": 0.665}, NOTEBOOK),
    ("organs, mean", {"celltypist_accuracy": 0.932}, NOTEBOOK),
    ("organs, worst (Heart)", {"celltypist_accuracy": 0.661}, NOTEBOOK),
    ("organs, real test cells", {"celltypist_accuracy": 0.982}, NOTEBOOK),
)
DIGITS = {"scc": 4, "pcc": 4, "mmd": 4, "zero_fraction_difference": 4}


def attempts(found: pd.DataFrame) -> list[Table]:
    """Show one line for each variant, with all targets and its cost, by data set."""
    stand = standing(found)
    heads = {"variant": "variant", "note": "what it tests", "met": "targets met"}
    shown = []
    for dataset, part in found.groupby("dataset", sort=False):
        here = stand[stand["dataset"] == dataset]
        lines = [
            {"variant": "target", **{t.title: t.wanted for t in TARGETS}},
            *(
                {"variant": f"{REAL}{name}", **_nulls(here, column)}
                for name, column in (("", "null"), (", from", "low"), (", to", "high"))
            ),
        ]
        for variant, own in part.groupby("variant", sort=False):
            line = {"variant": variant, "note": own["note"].iloc[0]}
            mine = here[here["variant"] == variant].set_index("target")
            for place, row in mine.iterrows():
                line[TARGETS[place].title] = _standing_text(place, row)
            line["met"] = f"{int(mine['met'].sum())} of {len(mine)}"
            seconds = own.loc[own["conditions"] == "none", "seconds"]
            line["seconds"] = spread(seconds.mean(), float("nan"), 1)
            lines.append(line)
        columns = ["variant", "note", *(t.title for t in TARGETS), "met", "seconds"]
        frame = pd.DataFrame(lines).reindex(columns=columns).fillna("")
        shown.append(
            Table(
                f"Attempts: {dataset}",
                frame,
                ["variant"],
                heads,
                caption="Means over repeats; ✓ where the target is met. Real cells in the place of "
                "synthetic ones: mean, and the 95 % interval of a single repeat. Rare "
                "types: how many of all types and repeats lie within their interval. Seconds: "
                "CPU time to train without labels and to sample the cells.",
                prose=["note"],
            )
        )
    return shown


def targets(found: pd.DataFrame) -> list[Table]:
    """Show for each target how data sets and variants stand to it."""
    stand = standing(found)
    shown = []
    for place, target in enumerate(TARGETS):
        part = stand[stand["target"] == place].drop(columns="target")
        if part.empty:
            continue
        if target.conditions != RARE:
            part = part.drop(columns=["good", "cases"])
        part.insert(6, "wanted", target.wanted)
        shown.append(
            Table(
                f"Target: {target.title} {target.wanted}",
                part.reset_index(drop=True),
                ["dataset", "variant"],
                {
                    "value": "synthetic", "null": REAL, "low": "interval from", "high": "to",
                    "good": "within", "cases": "types and repeats", "wanted": "target",
                },
                dict.fromkeys(("value", "null", "low", "high"), target.digits),
            )
        )  # fmt: skip
    return shown


def reference(rows: pd.DataFrame) -> list[Table]:
    """Show the published metrics, on held-out cells and then as they were published."""
    shown = []
    for conditions, title, caption in (
        (
            ("none", "label"),
            "Beside the published system: on held-out cells",
            "The comparison to quote. CellTypist is trained on real cells that neither the "
            "generator has seen nor the metric is computed on, and classifies cells sampled by "
            "label.",
        ),
        (
            ("published", "published"),
            "For reference only: against the training cells, as published",
            "The published metrics compare synthetic cells with the cells that the model was "
            "trained on. Recomputed here in the same way: SCC to forest AUC against "
            "training cells, and a CellTypist model of the training cells. Data sets, "
            "numbers of cells and numbers of trees differ from the published ones, so only orders "
            "of magnitude compare. The row of real cells has held-out cells in the place of "
            "synthetic ones.",
        ),
    ):
        wanted = dict.fromkeys(REFERENCE, conditions[0])
        wanted["celltypist_accuracy"] = conditions[1]
        part = rows[(rows["class"] == ALL) & (rows["conditions"] == rows["figure"].map(wanted))]
        frame = part.pivot_table("value", ["dataset", "variant"], "figure", sort=False)
        sizes = part[part["figure"] == "scc"].groupby(["dataset", "variant"])["n"].first()
        frame = frame.reindex(columns=REFERENCE).join(sizes.rename("cells")).reset_index()
        frame["cells"] = frame["cells"].astype("Int64")
        frame["source"] = "this page"
        if conditions[0] == "published":
            known = [
                {"dataset": name, "variant": "scDiffusion, published", **values, "source": source}
                for name, values, source in PUBLISHED
            ]
            frame = pd.concat([frame, pd.DataFrame(known)], ignore_index=True)
            frame["cells"] = frame["cells"].astype("Int64")
        shown.append(
            Table(title, frame, ["dataset", "variant"], TITLES, DIGITS, caption, prose=["source"])
        )
    return shown


def others(found: pd.DataFrame) -> list[Table]:
    """Show every metric over all cells that has no target."""
    aimed = {(t.figure, t.conditions) for t in TARGETS}
    whole = found[(found["class"] == ALL) & found["conditions"].isin(["none", "label"])]
    markers = whole["figure"].str.startswith("marker")
    whole = whole[(whole["conditions"] == "none") | markers]
    shown = []
    for (name, conditions), part in whole.groupby(["figure", "conditions"], sort=False):
        if (name, conditions) in aimed:
            continue
        frame = means(part, ["dataset", "variant"], ["value", "null", "low", "high"])
        shown.append(
            Table(
                TITLES.get(name, name.replace("_", " ")),
                frame.drop(columns=["low_sd", "high_sd"]),
                ["dataset", "variant"],
                {
                    "value": "synthetic", "null": REAL, "low": "interval from", "high": "to",
                    "runs": "repeats",
                },
                dict.fromkeys(("value", "null", "low", "high"), 4),
            )
        )  # fmt: skip
    return shown


def _nulls(here: pd.DataFrame, column: str) -> dict[str, str]:
    """Write the reference of each target, or an end of its interval."""
    first = here.drop_duplicates("target").set_index("target")
    return {
        TARGETS[place].title: DASH
        if TARGETS[place].conditions == RARE
        else spread(row[column], float("nan"), TARGETS[place].digits)
        for place, row in first.iterrows()
    }


def _standing_text(place: int, row: pd.Series) -> str:
    target = TARGETS[place]
    if target.conditions == RARE:
        text = f"{int(row['good'])} of {int(row['cases'])}"
    else:
        text = spread(row["value"], float("nan"), target.digits)
        if target.figure == RATIO and not row["met"]:
            text += " below" if row["value"] < row["low"] else " above"
    return f"{text} ✓" if row["met"] else text
