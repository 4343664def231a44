"""What a run ends with on the command line."""

from __future__ import annotations

import pandas as pd
from scdiff_bench.config.study import Config
from scdiff_bench.evaluation.scores import SCORES
from scdiff_bench.pages.verdict import explanation, setting, winner
from scdiff_bench.pages.words import label, signed
from scdiff_bench.statistics import contrasts as statistics
from scdiff_bench.statistics.pipelines import verdicts


def summary(config: Config, rows: pd.DataFrame) -> str:
    """Return the means of the main score, and what each strategy costs.

    Parameters
    ----------
    config : Config
        The study.
    rows : DataFrame
        Its results.

    Returns
    -------
    str
        Two tables for each data set, set of rare types and number of training cells.
    """
    name, lines = config.main_score, []
    for block in statistics.blocks(rows):
        part = block.rows
        means = statistics.summarise(part, [name]).pivot(
            index="strategy", columns="classifier", values=name
        )
        means = means.reindex(index=list(config.compared), columns=list(config.classifiers))
        where = f"{part['fold'].nunique()} folds ({block.title})"
        lines += [f"\n{SCORES[name].title}, mean over {where}"]
        lines += [_text(means.map(lambda v: "-" if pd.isna(v) else f"{v:.3f}"))]
        cost = statistics.costs(part).set_index("strategy")
        if cost.empty:  # every strategy failed
            continue
        shown = pd.DataFrame(
            {
                "new cells": cost["cells_made"].map("{:.0f}".format),
                "seconds": _pair(cost["seconds"], cost["seconds_max"], 2),
                "CPU seconds": _pair(cost["cpu_seconds"], cost["cpu_seconds_max"], 2),
                "peak memory, MB": _pair(cost["peak_mb"], cost["peak_mb_max"], 0),
                "added, MB": _pair(cost["added_mb"], cost["added_mb_max"], 0),
            }
        )
        lines += [
            "\nCost of resampling a training set on one thread, median / largest over folds",
            _text(shown),
        ]
    return "\n".join([*lines, ""])


def winners(config: Config, rows: pd.DataFrame) -> list[str]:
    """Return the best pipeline of each data set and n, with what augmentation is worth there.

    Parameters
    ----------
    config : Config
        The study.
    rows : DataFrame
        Its results.

    Returns
    -------
    list of str
        One line each.
    """
    found = verdicts(config, rows)
    lines = []
    for verdict in found:
        where = setting(verdict, len(found) > 1)
        if verdict.pending:
            lines.append(
                f"No verdict yet{f' ({where})' if where else ''}: "
                f"{explanation(verdict, config.main_score)}"
            )
            continue
        lead = ""
        if verdict.augmented and verdict.plain:
            ends = signed(verdict.lead.low), signed(verdict.lead.high)
            lead = f"; lead of augmentation {signed(verdict.lead.mean)} [{', '.join(ends)}]"
        lines.append(
            f"Winner: {winner(verdict, config.main_score)}{lead}" + (f" ({where})" if where else "")
        )
    return lines


def _pair(median: pd.Series, largest: pd.Series, digits: int) -> pd.Series:
    return median.map(f"{{:.{digits}f}}".format) + " / " + largest.map(f"{{:.{digits}f}}".format)


def _text(table: pd.DataFrame) -> str:
    table = table.rename(index=label, columns=label).rename_axis(index=None, columns=None)
    return table.to_string()
