"""Findings in sentences."""

from types import SimpleNamespace

from scdiff_bench.pages.sentences import sentences


def test_a_study_without_a_baseline_says_so():
    config = SimpleNamespace(main_score="macro_f1", baselines=())
    (sentence,) = sentences(SimpleNamespace(config=config, generative=["diffusion"]))
    assert "no baseline" in sentence
    (sentence,) = sentences(SimpleNamespace(config=config, generative=[]))
    assert sentence.startswith("No generative method")
