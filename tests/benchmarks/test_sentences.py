"""Sentences of the verdict."""

from types import SimpleNamespace

from scdiff_bench.pages.sentences import sentences


def test_a_study_without_a_trivial_arm_says_so():
    config = SimpleNamespace(main_score="macro_f1", trivial_arms=())
    (sentence,) = sentences(SimpleNamespace(config=config, makers=["diffusion"]))
    assert "no trivial arm" in sentence
    (sentence,) = sentences(SimpleNamespace(config=config, makers=[]))
    assert sentence.startswith("No strategy that learns")
