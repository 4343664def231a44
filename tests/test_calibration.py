"""Guidance scales from the training cells: judges are right as often as on real cells."""

import copy

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from tiny import make_model

from scdiff_augment import LatentDiffusion
from scdiff_augment.sampling.calibration import guidance_scales
from scdiff_augment.sampling.requests import GUIDANCE

KINDS = np.array(["a", "b", "c"])


def real_cells(n, seed):
    """Counts of three types, of which b and c differ little, and of two halves."""
    rng = np.random.default_rng(seed)
    profile = np.random.default_rng(0).gamma(1.0, 2.0, (1, 80)) + 0.2
    change = np.ones((3, 80))
    change[0, :20], change[1, 20:30], change[2, 30:40] = 3.0, 1.7, 1.7
    kinds, halves = rng.integers(3, size=n), rng.integers(2, size=n)
    rates = profile * change[kinds] * np.where(halves[:, None] * (np.arange(80) > 69), 1.6, 1.0)
    depth = rng.lognormal(0, 0.3, (n, 1))
    return rng.poisson(rates * depth), KINDS[kinds], halves


@pytest.fixture(scope="module")
def model():
    X, kinds, halves = real_cells(900, 1)
    fitted = LatentDiffusion(encoder="pca", n_latent=4, denoiser_steps=50, random_state=0).fit(X)
    return fitted.add_condition("kind", kinds).add_condition("half", halves)


def logs(X):
    return np.log1p(1e3 * X / X.sum(axis=1, keepdims=True))


def right(X, wanted, judges):
    called = {name: judges[name].predict(logs(X)) == wanted[name] for name in wanted}
    return float(np.mean(np.logical_and.reduce(list(called.values()))))


@pytest.mark.parametrize("names", [("kind",), ("kind", "half")])
def test_another_judge_is_right_as_often_as_on_real_cells(model, names):
    X, kinds, halves = real_cells(4000, 2)
    labels = {"kind": kinds, "half": halves}
    labels = {name: labels[name] for name in names}
    judges = {k: LogisticRegression(max_iter=500).fit(logs(X), y) for k, y in labels.items()}
    X, kinds, halves = real_cells(4000, 3)
    labels = {name: {"kind": kinds, "half": halves}[name] for name in names}
    rate = right(X, labels, judges)
    plain = right(copy.deepcopy(model).sample(labels, guidance_scale=1), labels, judges)
    found = right(copy.deepcopy(model).sample(labels), labels, judges)
    assert plain < rate - 0.06
    assert abs(found - rate) < 0.03


def test_each_class_has_a_scale_of_its_own(model):
    new = copy.deepcopy(model)
    plan, _ = new.plan({"kind": "b"}, 2)
    scales = new.history_["guidance:kind"]["kind"]
    assert list(scales) == ["a", "b", "c"]
    np.testing.assert_allclose(plan.guidance["kind"], list(scales.values()), atol=0.01)
    assert min(scales["b"], scales["c"]) > scales["a"] >= 1  # which the latent keeps apart


def test_finding_scales_draws_nothing_from_the_models_own_randomness(model):
    fresh, found = copy.deepcopy(model), copy.deepcopy(model)
    found.plan({"kind": "a"}, 1)
    np.testing.assert_array_equal(
        found.sample({"kind": "a"}, 3, guidance_scale=2),
        fresh.sample({"kind": "a"}, 3, guidance_scale=2),
    )
    again = copy.deepcopy(model)
    again.plan({"kind": "a"}, 1)
    assert again.history_["guidance:kind"] == found.history_["guidance:kind"]


def test_a_saved_model_keeps_them_and_finds_those_of_more_conditions(model, tmp_path):
    saved = copy.deepcopy(model)
    saved.save(tmp_path / "model")
    loaded = LatentDiffusion.load(tmp_path / "model", random_state=0)
    assert loaded.conditions_.guidance.keys() == {
        frozenset(["kind"]), frozenset(["half"]), frozenset(["kind", "half"]),
    }  # fmt: skip
    for wanted in ({"kind": "b"}, {"kind": "b", "half": 1}):
        ours, theirs = (m.plan(wanted, 1)[0].guidance for m in (saved, loaded))
        assert ours.keys() == theirs.keys() == wanted.keys()
        for name, scales in ours.items():
            torch.testing.assert_close(scales, theirs[name])
    del loaded.conditions_.guidance[frozenset(["half"])]
    both = loaded.conditions_.guidance[frozenset(["kind", "half"])]
    torch.testing.assert_close(loaded.plan({"half": 0}, 1)[0].guidance["half"], both["half"])


def test_a_condition_that_is_learnt_again_is_calibrated_again(model):
    new = copy.copy(model)
    new.plan({"kind": "a"}, 1)
    new.plan({"half": 1}, 1)
    known = set(new.conditions_.guidance)
    new.add_condition("kind", real_cells(900, 1)[1])
    assert set(new.conditions_.guidance) == known - {frozenset(["kind"])}
    assert not model.conditions_.guidance  # the copy has its own


def test_the_usual_scale_where_there_is_nothing_to_find_it_from(counts, model):
    X, labels = counts
    small = make_model().fit(X).add_condition("type", labels)
    usual = copy.deepcopy(small).sample({"type": "rare"}, 5, guidance_scale=GUIDANCE)
    np.testing.assert_array_equal(small.sample({"type": "rare"}, 5), usual)
    X, kinds, _ = real_cells(450, 4)
    other = copy.deepcopy(model).add_condition("other", kinds, X)
    assert other.plan({"other": "a"}, 1)[0].guidance == {"other": GUIDANCE}
    together = other.plan({"other": "a", "kind": "a"}, 1)[0].guidance
    assert together == {"other": GUIDANCE, "kind": GUIDANCE}
    other.plan({"kind": "a"}, 1)
    assert len(other.plan({"other": "a", "kind": "a"}, 1)[0].guidance["kind"]) == 3


def test_one_scale_may_be_given_and_another_found(model):
    new = copy.deepcopy(model)
    guidance = new.plan({"kind": "b", "half": 1}, 1, guidance_scale={"half": 3.0})[0].guidance
    assert guidance["half"] == 3.0
    assert len(guidance["kind"]) == 3
    guidance = new.plan({"kind": "b", "half": 1}, 1, guidance_scale={"half": 0})[0].guidance
    assert guidance["half"] == 0
    assert frozenset(["kind"]) in new.conditions_.guidance  # as if it were asked for alone
    said = new.sample_adata({"kind": "b"}, 2).uns["scdiff_augment"]["options"]["guidance_scale"]
    assert said == str({"kind": new.history_["guidance:kind"]["kind"]})


@pytest.mark.parametrize("given", ["most", {"kind": "much"}])
def test_what_is_no_scale_is_refused(model, given):
    with pytest.raises(ValueError, match=r"got '(most|much)' for 'kind', or 'auto'"):
        model.sample({"kind": "a"}, 1, guidance_scale=given)


def test_interpolation_needs_a_number(model):
    with pytest.raises(ValueError, match="'auto' is for sample"):
        model.interpolate(real_cells(2, 5)[0], "kind", "a", "b", [0.5], guidance_scale="auto")


def test_scales_are_read_off_the_rates_of_judges():
    """Values and new cells of one gene: a judge is right where it is on the class's side."""
    rng = np.random.default_rng(0)
    codes = np.repeat([0, 1], 1000)
    values = rng.normal(np.where(codes == 0, -1.0, 1.0), 1.0)[:, None]  # .841 right

    def draw(asked, scales):
        scale = scales["side"][asked["side"]]
        mean = np.where(asked["side"] == 0, -0.5, 0.5) * scale
        return rng.normal(mean, 1.0)[:, None].astype(np.float32)

    found = guidance_scales(values, {"side": codes}, {"side": 2}, draw, counts=False)
    np.testing.assert_allclose(found["side"], 2.0, rtol=0.2)
    few = guidance_scales(values[:300], {"side": codes[:300]}, {"side": 2}, draw, counts=False)
    assert few is None
