"""The verdict of a study in a few words: the best pipeline, and whether it needs augmentation."""

from __future__ import annotations

import numpy as np
from scdiff_bench.classifiers.catalogue import CLASSIFIERS
from scdiff_bench.evaluation.scores import SCORES
from scdiff_bench.pages.words import label, signed
from scdiff_bench.statistics.pipelines import Pipeline, Verdict


def setting(verdict: Verdict, several: bool = True) -> str:
    """Return which part of a study a verdict is on.

    Parameters
    ----------
    verdict : Verdict
        The verdict.
    several : bool, default=True
        Whether the study has several; a single one without rare-cell draws needs no name.

    Returns
    -------
    str
        May be empty.
    """
    if verdict.n is None:
        return f"{verdict.dataset}, natural proportions" if several else ""
    return f"{verdict.dataset}, {verdict.n} training cells per rare type"


def titled(pipeline: Pipeline) -> str:
    """Return a pipeline's name."""
    return f"{label(pipeline.strategy)} + {CLASSIFIERS[pipeline.classifier].title}"


def winner(verdict: Verdict, score: str) -> str:
    """Return the best pipeline with its score, and with which it is level if it augments in vain.

    Parameters
    ----------
    verdict : Verdict
        The verdict.
    score : str
        Which score it is of.

    Returns
    -------
    str
        For a line of the console, or the head of a page.
    """
    best = verdict.winner
    text = f"{titled(best)}, {SCORES[score].title} {best.mean:.3f}"
    if verdict.plain is None or best == verdict.recommended:
        return text
    return f"{text}, level with {titled(verdict.plain)}, {verdict.plain.mean:.3f}"


def explanation(verdict: Verdict, score: str) -> str:
    """Return what the winner is compared with, and how sure that is.

    Parameters
    ----------
    verdict : Verdict
        The verdict.
    score : str
        Which score it is of.

    Returns
    -------
    str
        A few sentences.
    """
    augmented, plain, name = verdict.augmented, verdict.plain, SCORES[score].title
    if augmented is None or plain is None:
        missing = "generative method" if augmented is None else "baseline"
        return f"No {missing} has finished, so nothing says what augmentation is worth."
    text = (
        f"Best with augmentation: {titled(augmented)} ({augmented.mean:.3f}); best without: "
        f"{titled(plain)} ({plain.mean:.3f}). "
    )
    lead = verdict.lead
    if np.isnan(lead.low):
        return (
            text + f"Lead of augmentation {signed(lead.mean)}, of one test set or of equal ones: "
            "no interval, so this may be chance." + _advice(verdict)
        )
    sure = (
        "The interval leaves zero out."
        if lead.clear
        else "The interval includes zero: the data do not settle it."
    )
    return (
        f"{text}Lead in {name} where either is chosen on the other test sets: {signed(lead.mean)}, "
        f"95 % interval {signed(lead.low)} to {signed(lead.high)} ({lead.folds} test sets). {sure} "
        f"Probability that augmentation is better by more than .01: {verdict.rope.better:.0%}; "
        f"worse: {verdict.rope.worse:.0%}." + _advice(verdict)
    )


def _advice(verdict: Verdict) -> str:
    if verdict.augment:
        return ""
    return " Without a lead of more than .01 the simpler pipeline is recommended: do not augment."
