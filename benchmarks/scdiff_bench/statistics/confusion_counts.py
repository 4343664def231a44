"""Calls counted against true types, in a file that stays small."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

WORDS = ("dataset", "rare_set", "strategy", "classifier", "donor")
PLACE = ["dataset", "rare_set", "n", "fold_index", "classifier", "strategy"]


def write_tallies(tallies: pd.DataFrame, path: Path) -> None:
    """Write tallies as parquet, no larger than their use asks for.

    Scores of calls need three counts per type: ``right``, ``called`` and ``truth``. These stand
    there for every donor. The first line of each row of the study also has ``confusion``, added up
    over donors (true types x called types, flat), and the reliability curve: ``cells`` and
    ``right_cells`` in each bin, and the mean ``confidence`` there. The folds' names are left out;
    they stand in the rows, under the same ``fold_index``.

    Parameters
    ----------
    tallies : DataFrame
        One line per row and donor.
    path : Path
        The file.
    """
    # Neighbours that are alike compress best: one donor's calls, arm after arm.
    order = ["dataset", "rare_set", "n", "fold_index", "classifier", "donor"]
    tallies = tallies.sort_values(order, kind="stable").reset_index(drop=True)
    counts = [_square(c) for c in tallies["confusion"]]
    first = ~tallies.duplicated(PLACE)
    where = tallies.groupby(PLACE, sort=False, dropna=False).ngroup()
    whole: dict[Any, Any] = {}
    for row, count in zip(where, counts, strict=True):
        whole[row] = whole[row] + count if row in whole else count
    bins = tallies.groupby(where)["bins"].first().to_dict()
    lists = {
        "right": [c.diagonal() for c in counts],
        "called": [c.sum(axis=0) for c in counts],
        "truth": [c.sum(axis=1) for c in counts],
        "confusion": [whole[r].ravel() if f else None for r, f in zip(where, first, strict=True)],
        **_curve([bins[r] if f else None for r, f in zip(where, first, strict=True)]),
    }
    arrays = {
        name: pa.array(tallies[name].astype(str).tolist()).dictionary_encode() for name in WORDS
    }
    arrays["n"] = pa.array([None if pd.isna(n) else int(n) for n in tallies["n"]], pa.int32())
    arrays["fold_index"] = pa.array(tallies["fold_index"].tolist(), pa.int32())
    arrays["types"] = pa.array(["\n".join(t) for t in tallies["types"]]).dictionary_encode()
    for name, values in lists.items():
        kind = pa.float32() if name == "confidence" else pa.int32()
        arrays[name] = pa.array(values, pa.list_(kind))
    pq.write_table(pa.table(arrays), path, compression="zstd", compression_level=19)


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
