"""The findings of a study in sentences: where it helps, where not, by how much."""

from __future__ import annotations

import numpy as np
from scdiff_bench.classifiers.catalogue import CLASSIFIERS
from scdiff_bench.evaluation.scores import SCORES
from scdiff_bench.pages.words import label, signed
from scdiff_bench.statistics.comparisons import Contrast
from scdiff_bench.statistics.contrasts import Block
from scdiff_bench.statistics.summary import Summary


def sentences(summary: Summary) -> list[str]:
    """Return one sentence per generative method, plain ones before those with tuned thresholds.

    Parameters
    ----------
    summary : Summary
        The study.

    Returns
    -------
    list of str
        Negative results beside positive ones.
    """
    if summary.generative and not summary.config.baselines:
        return [
            "The study has no baseline, so nothing says whether a generative method was worth it."
        ]
    lines = []
    sign = 1 if SCORES[summary.config.main_score].higher_is_better else -1
    for strategy in summary.generative:
        found = [(b, c) for b, _, c in summary.against_baseline() if c.strategy == strategy]
        if not found:
            lines.append(
                f"{label(strategy)}: not compared; no fold was finished by every strategy."
            )
            continue
        means = [c.difference.mean for _, c in found]
        better = [(b, c) for b, c in found if c.better is True]
        worse = [(b, c) for b, c in found if c.better is False]
        text = (
            f"{label(strategy)} against the best baseline: clearly better in {len(better)}, "
            f"clearly worse in {len(worse)} and not clearly different in "
            f"{len(found) - len(better) - len(worse)} of {len(found)} comparisons; "
            f"mean difference {signed(float(np.mean(means)))}"
        )
        closed = [c.gap_recovered for _, c in found if not np.isnan(c.gap_recovered)]
        if closed:
            text += f", median fraction of the gap to the oracle recovered {np.median(closed):.2f}"
        most = max(found, key=lambda f: sign * f[1].difference.mean)
        least = min(found, key=lambda f: sign * f[1].difference.mean)
        if len(found) > 1:
            text += f". Best: {_case(summary, *most)}. Worst: {_case(summary, *least)}"
        lines.append(text + ".")
    return lines or ["No generative method took part."]


def _case(summary: Summary, block: Block, contrast: Contrast) -> str:
    where = f", {block.title}" if len(summary.blocks) > 1 else ""
    interval = contrast.difference
    known = f"[{signed(interval.low)}, {signed(interval.high)}]"
    ends = "(no interval)" if np.isnan(interval.low) else known
    return f"{CLASSIFIERS[contrast.classifier].title}{where}, {signed(interval.mean)} {ends}"
