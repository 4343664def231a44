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
        text = (
            f"{label(strategy)} against the best baseline: {signed(float(np.mean(means)))} "
            f"{SCORES[summary.config.main_score].title}"
        )
        if len(found) > 1:
            better = sum(c.better is True for _, c in found)
            worse = sum(c.better is False for _, c in found)
            text += f" on average. {_clear(better, worse, len(found))}"
        else:
            text += f" {_ends(found[0][1])}"
        closed = [c.gap_recovered for _, c in found if not np.isnan(c.gap_recovered)]
        if closed:
            several = "(median) " if len(closed) > 1 else ""
            text += (
                f". Fraction of the gap to the oracle recovered {several}{np.median(closed):.2f}"
            )
        most = max(found, key=lambda f: sign * f[1].difference.mean)
        least = min(found, key=lambda f: sign * f[1].difference.mean)
        if len(found) > 1:
            text += f". Best: {_case(summary, *most)}. Worst: {_case(summary, *least)}"
        lines.append(text + ".")
    return lines or ["No generative method took part."]


def _clear(better: int, worse: int, total: int) -> str:
    """Say in how many comparisons the interval leaves zero out."""
    if not better and not worse:
        return f"None of the {total} comparisons is clear either way"
    gain = "The gain is clear in all" if better == total else f"The gain is clear in {better} of"
    loss = "The loss is clear in all" if worse == total else f"The loss is clear in {worse} of"
    if not worse:
        return f"{gain} {total} comparisons, a loss in none"
    if not better:
        return f"{loss} {total} comparisons, a gain in none"
    return f"A gain is clear in {better} of {total} comparisons, a loss in {worse}"


def _case(summary: Summary, block: Block, contrast: Contrast) -> str:
    where = f", {block.title}" if len(summary.blocks) > 1 else ""
    return (
        f"{CLASSIFIERS[contrast.classifier].title}{where}, {signed(contrast.difference.mean)} "
        f"{_ends(contrast)}"
    )


def _ends(contrast: Contrast) -> str:
    interval = contrast.difference
    known = f"[{signed(interval.low)}, {signed(interval.high)}]"
    return "(no interval)" if np.isnan(interval.low) else known
