"""The obs of an augmented AnnData: real cells as they were, then synthetic ones."""

from __future__ import annotations

import numpy as np
import pandas as pd

from scdiff_augment.expression.marks import MARK, SOURCE

from .new_cells import names

PEOPLE = ("donor", "sample", "batch")
"""Columns of obs that say where a real cell came from: a synthetic one came from none."""


def labels_of(obs: pd.DataFrame, label_key: str) -> pd.Series:
    """Return the column of obs that gives a class to every cell.

    Raises
    ------
    KeyError
        If there is no such column.
    ValueError
        If values are missing, or the column that marks synthetic cells holds something else.
    """
    if label_key not in obs:
        raise KeyError(f"obs has no column '{label_key}'; it has {list(obs.columns)}.")
    if label_key == MARK:
        raise ValueError(f"'{MARK}' marks synthetic cells; rename that column of obs.")
    if MARK in obs and obs[MARK].dtype.kind != "b":
        raise ValueError(
            f"obs['{MARK}'] is of {obs[MARK].dtype}, but that column marks synthetic cells and "
            f"holds booleans. Rename it."
        )
    labels = obs[label_key]
    if labels.isna().any():
        raise ValueError(
            f"obs['{label_key}'] is missing for {int(labels.isna().sum())} of {len(labels)} cells. "
            f"Drop them (adata[adata.obs['{label_key}'].notna()]) or give them a label."
        )
    if isinstance(labels.dtype, pd.CategoricalDtype):
        labels = labels.astype(labels.cat.categories.dtype)
    return labels


def extended_obs(
    obs: pd.DataFrame,
    label_key: str,
    new_labels: pd.Series,
    new_columns: dict[str, np.ndarray],
    sources: list[str | None],
) -> pd.DataFrame:
    """Real cells as they were, then synthetic ones, in types that a file can hold."""
    real = obs.copy()
    for column in obs.columns.drop(label_key):
        if obs[column].dtype.kind == "b":
            real[column] = obs[column].astype("boolean")
        elif obs[column].dtype.kind in "iu":
            real[column] = obs[column].astype("Int64")
    taken = names(new_labels.tolist(), set(obs.index))
    new = pd.DataFrame({label_key: new_labels.to_numpy()}, index=pd.Index(taken))
    both = real.reindex([*obs.index, *taken]) if obs.index.is_unique else pd.concat([real, new])
    for column, values in {label_key: new_labels.to_numpy(), **new_columns}.items():
        both[column] = _continued(obs[column], values, both.index)
    marked = obs[MARK].to_numpy(dtype=bool) if MARK in obs else np.zeros(len(obs), dtype=bool)
    both[MARK] = np.concatenate([marked, np.ones(len(new), dtype=bool)])
    before = list(obs[SOURCE]) if SOURCE in obs else [None] * len(obs)
    both[SOURCE] = pd.Categorical([*before, *sources])
    return both


def _continued(column: pd.Series, values: np.ndarray, index: pd.Index) -> pd.Series:
    """Extend a column by new values, in its type where that can hold them."""
    joined = pd.Series(np.concatenate([column.to_numpy(dtype=object), values]), index=index)
    if isinstance(column.dtype, pd.CategoricalDtype):
        known = column.cat.categories
        extra = [v for v in pd.unique(values) if v not in known]
        if any(isinstance(v, str) for v in extra) and not all(isinstance(v, str) for v in known):
            return joined.where(joined.isna(), joined.map(str)).astype("category")  # as files want
        return joined.astype(column.cat.add_categories(extra).dtype)
    fits = set(values.tolist()) <= set(column.tolist())
    return joined.astype(column.dtype) if fits else joined.astype(str).astype("category")
