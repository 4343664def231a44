"""The table of `evaluate` as it is shown: a verdict, then one line a metric."""

from __future__ import annotations

from html import escape
from typing import Any

import pandas as pd

from scdiff_augment.metrics.scoring import ALL

from .verdict import judged, verdict_of


class Evaluation(pd.DataFrame):
    """A table of metrics that is shown by its verdict and one line a metric.

    A data frame in all else; what is selected from it is a plain one, and shown in full. So is
    ``pandas.DataFrame(table)``.
    """

    @property
    def _constructor(self) -> Any:
        return pd.DataFrame

    def verdict(self) -> tuple[str, str, str]:
        """Say what is as real cells are, what is not, and whether training cells were copied.

        A metric is as real cells are if it lies no farther from its ideal than the farthest real
        reference, by a margin at most: the range of that over the repeats, or, where that is
        less, what two draws of real cells differed by (`scdiff_augment.metrics.summary.verdict`).

        Returns
        -------
        tuple of three str
            A line each.
        """
        return verdict_of(judged(self))

    def compact(self) -> pd.DataFrame:
        """Return one row a metric of all cells.

        Returns
        -------
        DataFrame
            Indexed by the metric, with columns "synthetic", "real cells", "limit", the value at
            which the verdict changes, "as real" ("yes", "no" or "-") and, where there are
            classes, "classes", in how many of them it is.
        """
        table = judged(self)
        overall = table[(table["class"] == ALL) & table["synthetic"].notna()].set_index("figure")
        words = overall["as_real"].map({True: "yes", False: "no"}, na_action="ignore")
        shown = pd.DataFrame(
            {
                "synthetic": overall["synthetic"],
                "real cells": overall["null"],
                "limit": overall["limit"],
                "as real": words.astype(object).where(overall["as_real"].notna(), "-"),
            }
        )
        rest = table[(table["class"] != ALL) & table["as_real"].notna()]
        if len(rest):
            counted = rest.groupby("figure")["as_real"].agg(["sum", "count"])
            text = counted["sum"].astype(str) + " of " + counted["count"].astype(str)
            shown["classes"] = text.reindex(shown.index).fillna("-")
        shown.index.name = "metric"
        return shown

    def __repr__(self) -> str:
        if not {"class", "figure", "synthetic", "null"} <= set(self.columns):
            return repr(pd.DataFrame(self))
        table = self.compact().to_string(float_format="{:.4g}".format, na_rep="-")
        return "\n".join([*self.verdict(), "", table])

    __str__ = __repr__

    def _repr_html_(self) -> str:
        lines = "<br>".join(map(escape, self.verdict()))
        html = self.compact().to_html(float_format="{:.4g}".format, na_rep="-")
        return f"<p>{lines}</p>{html}"
