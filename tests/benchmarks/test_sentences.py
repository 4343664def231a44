"""Findings in sentences."""

from types import SimpleNamespace

import pytest
from scdiff_bench.pages import sentences as module
from scdiff_bench.pages.sentences import sentences


def test_a_study_without_a_baseline_says_so():
    config = SimpleNamespace(main_score="macro_f1", baselines=())
    (sentence,) = sentences(SimpleNamespace(config=config, generative=["diffusion"]))
    assert "no baseline" in sentence
    (sentence,) = sentences(SimpleNamespace(config=config, generative=[]))
    assert sentence.startswith("No generative method")


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ((0, 0, 3), "None of the 3 comparisons is clear either way"),
        ((2, 0, 3), "The gain is clear in 2 of 3 comparisons, a loss in none"),
        ((3, 0, 3), "The gain is clear in all 3 comparisons, a loss in none"),
        ((0, 1, 3), "The loss is clear in 1 of 3 comparisons, a gain in none"),
        ((0, 3, 3), "The loss is clear in all 3 comparisons, a gain in none"),
        ((1, 1, 3), "A gain is clear in 1 of 3 comparisons, a loss in 1"),
    ],
)
def test_how_many_comparisons_are_clear(counts, said):
    assert module._clear(*counts) == said
