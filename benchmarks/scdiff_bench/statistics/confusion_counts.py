"""Calls counted against true types, in a file that stays small."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

WORDS = ("dataset", "rare_set", "strategy", "classifier", "donor")
COUNTS = ("right", "called", "truth")
PLACE = ["dataset", "rare_set", "n", "fold_index", "classifier", "strategy"]


def write_confusion_counts(confusion_counts: pd.DataFrame, path: Path) -> None:
    """Write confusion counts as parquet, no larger than their use asks for.

    Scores of calls need three counts per type: ``right``, ``called`` and ``truth``. These stand
    there for every donor. The first line of each row of the study also has ``confusion``, added up
    over donors (true types x called types, flat), and the reliability curve: ``cells`` and
    ``right_cells`` in each bin, and the mean ``confidence`` there. The folds' names are left out;
    they stand in the rows, under the same ``fold_index``.

    Parameters
    ----------
    confusion_counts : DataFrame
        One line per row and donor.
    path : Path
        The file.
    """
    # Neighbours that are alike compress best: one donor's calls, strategy after strategy.
    order = ["dataset", "rare_set", "n", "fold_index", "classifier", "donor"]
    confusion_counts = confusion_counts.sort_values(order, kind="stable").reset_index(drop=True)
    confusion_counts = with_counts(confusion_counts)
    counts = [_square(c) for c in confusion_counts["confusion"]]
    first = ~confusion_counts.duplicated(PLACE)
    where = confusion_counts.groupby(PLACE, sort=False, dropna=False).ngroup()
    whole: dict[Any, Any] = {}
    for row, count in zip(where, counts, strict=True):
        whole[row] = whole[row] + count if row in whole else count
    bins = confusion_counts.groupby(where)["bins"].first().to_dict()
    lists = {
        **{name: confusion_counts[name].tolist() for name in COUNTS},
        "confusion": [whole[r].ravel() if f else None for r, f in zip(where, first, strict=True)],
        **_curve([bins[r] if f else None for r, f in zip(where, first, strict=True)]),
    }
    arrays = {
        name: pa.array(confusion_counts[name].astype(str).tolist()).dictionary_encode()
        for name in WORDS
    }
    arrays["n"] = pa.array(
        [None if pd.isna(n) else int(n) for n in confusion_counts["n"]], pa.int32()
    )
    arrays["fold_index"] = pa.array(confusion_counts["fold_index"].tolist(), pa.int32())
    arrays["types"] = pa.array(
        ["\n".join(t) for t in confusion_counts["types"]]
    ).dictionary_encode()
    for name, values in lists.items():
        kind = pa.float32() if name == "confidence" else pa.int32()
        arrays[name] = pa.array(values, pa.list_(kind))
    pq.write_table(pa.table(arrays), path, compression="zstd", compression_level=19)


def read_confusion_counts(path: Path) -> pd.DataFrame:
    """Read confusion counts that `write_confusion_counts` wrote.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    DataFrame
        One line per row of the study and donor: ``right``, ``called`` and ``truth`` count cells by
        type; ``bins`` of the reliability curve stand in the first line of each row.
    """
    found = pq.read_table(path).to_pandas()
    found = found.astype({name: str for name in WORDS} | {"n": "Int64"})
    found["types"] = [text.split("\n") for text in found["types"].astype(str)]
    curve = zip(found["cells"], found["confidence"], found["right_cells"], strict=True)
    found["bins"] = [None if cells is None else _bins(cells, *rest) for cells, *rest in curve]
    return found.drop(columns=["cells", "confidence", "right_cells"])


def _bins(cells: Any, confidence: Any, right: Any) -> list[list[float]]:
    """Return cells, mean confidence and share right; NaN where a bin is empty."""
    empty = np.where(cells > 0, 1.0, np.nan)
    share = right / np.maximum(cells, 1)
    found: list[list[float]] = np.column_stack([cells, confidence * empty, share * empty]).tolist()
    return found


def with_counts(confusion_counts: pd.DataFrame) -> pd.DataFrame:
    """Return confusion counts with the counts of each type: right calls, all calls and test cells.

    Parameters
    ----------
    confusion_counts : DataFrame
        With the whole ``confusion``, as units give them, or with these counts already.

    Returns
    -------
    DataFrame
        With columns ``right``, ``called`` and ``truth``.
    """
    if set(COUNTS) <= set(confusion_counts):
        return confusion_counts
    counts = [_square(c) for c in confusion_counts["confusion"]]
    right = [c.diagonal() for c in counts]
    called, truth = ([c.sum(axis=axis) for c in counts] for axis in (0, 1))
    each = dict(zip(COUNTS, (right, called, truth), strict=True))
    return confusion_counts.assign(
        **{k: pd.Series(v, confusion_counts.index, dtype=object) for k, v in each.items()}
    )


def _square(confusion: Any) -> Any:
    flat = np.asarray(confusion, dtype=np.int64)
    side = int(np.sqrt(len(flat)))
    return flat.reshape(side, side)


def _curve(bins: list[Any]) -> dict[str, list[Any]]:
    """Return cells, right ones and mean confidence of the bins; zeros where a bin is empty."""
    found: dict[str, list[Any]] = {"cells": [], "right_cells": [], "confidence": []}
    for each in bins:
        if each is None:
            for values in found.values():
                values.append(None)
            continue
        cells, confidence, share = np.nan_to_num(np.array([list(b) for b in each], dtype=float)).T
        found["cells"].append(cells.astype(int))
        found["right_cells"].append(np.rint(cells * share).astype(int))
        found["confidence"].append(confidence.round(4))
    return found
