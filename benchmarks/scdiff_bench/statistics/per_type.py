"""F1 of each type under each strategy."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd


def f1_per_type(
    classes: pd.DataFrame, classifier: str, strategies: Sequence[str]
) -> pd.DataFrame | None:
    """Return the F1 of each type, averaged over folds.

    Parameters
    ----------
    classes : DataFrame
        Rows of ``classes.parquet``: one per fold, strategy, classifier and type.
    classifier : str
        Which classifier's.
    strategies : sequence of str
        Which strategies, in the order of the columns.

    Returns
    -------
    DataFrame of shape (n_types, n_strategies) or None
        Types by their mean number of test cells, the rarest first; NaN where a strategy has no
        result. None if the classifier has none at all.
    """
    if classes.empty:
        return None
    mine = classes[classes["classifier"] == classifier]
    wide = mine.pivot_table("f1", "type", "strategy")
    if wide.empty:
        return None
    support = classes.groupby("type")["n_test"].mean().sort_values(kind="stable")
    return wide.loc[
        [t for t in support.index if t in wide.index], [s for s in strategies if s in wide]
    ]
