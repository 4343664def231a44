"""What a class has of its own in each gene: closed forms, then cells that have it."""

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import sparse, stats
from tiny import make_model

from scdiff_augment.codec.class_gene_effects import (
    SHAPES,
    ClassTotals,
    responsibilities,
    shrunken_means,
    shrunken_ratios,
)
from scdiff_augment.codec.count_codec import BLOCK
from scdiff_augment.generator import SAMPLING


def gamma_ratios(shape, n_genes=2000, mean=30.0, seed=0):
    """Genes' ratios, expected counts, and counts drawn around their product."""
    rng = np.random.default_rng(seed)
    ratios = rng.gamma(shape, 1 / shape, n_genes)
    expected = rng.gamma(2, mean / 2, n_genes)
    return ratios, expected, rng.poisson(expected * ratios).astype(float)


@pytest.mark.parametrize("shape", [2.0, 16.0, 64.0])
def test_ratios_are_as_near_the_truth_as_with_the_true_prior(shape):
    ratios, expected, seen = gamma_ratios(shape)
    exact = (seen + shape) / (expected + shape)  # gamma prior and Poisson counts are conjugate
    found = shrunken_ratios(seen, expected)
    assert np.mean((found - ratios) ** 2) < 1.05 * np.mean((exact - ratios) ** 2)
    assert np.sqrt(np.mean((found - exact) ** 2)) < 0.02


def test_a_few_genes_that_stray_far_are_told_from_many_that_do_not():
    """One width of prior would shrink the few, or let the many follow their noise."""
    rng = np.random.default_rng(0)
    ratios = np.ones(2000)
    ratios[:40] = rng.choice([0.2, 4.0], 40)
    expected = rng.gamma(2, 10, 2000)
    seen = rng.poisson(expected * ratios).astype(float)
    found = shrunken_ratios(seen, expected)
    strong = expected[:40] > 10
    assert np.abs(np.log(found[:40] / ratios[:40]))[strong].mean() < 0.4
    assert np.abs(np.log(found[40:])).mean() < 0.02
    assert np.abs(np.log((seen[40:] + 1) / (expected[40:] + 1))).mean() > 0.15


def test_the_weights_are_a_maximum_of_the_likelihood():
    """At the maximum every prior in use explains the genes equally well, and no other better."""
    _, expected, seen = gamma_ratios(5.0)
    x, mean = seen[:, None], expected[:, None]
    log_likelihood = stats.nbinom.logpmf(x, SHAPES, SHAPES / (SHAPES + mean))
    found = responsibilities(log_likelihood, np.ones(len(seen), dtype=bool))
    weights = found.mean(axis=0)
    mixed = np.exp(log_likelihood) @ weights
    gradient = (np.exp(log_likelihood) / mixed[:, None]).mean(axis=0)
    assert gradient.max() < 1.01
    np.testing.assert_allclose(gradient[weights > 0.05], 1, atol=0.01)


def test_shrunken_ratios_are_nearer_the_truth_than_plain_ones_or_none():
    ratios, expected, seen = gamma_ratios(5.0, mean=3.0)
    found = shrunken_ratios(seen, expected)
    error = np.mean((found - ratios) ** 2)
    assert error < 0.8 * np.mean((seen / expected - ratios) ** 2)
    assert error < 0.8 * np.mean((1 - ratios) ** 2)


def test_genes_that_are_as_expected_are_left_alone():
    rng = np.random.default_rng(0)
    expected = rng.gamma(2, 5, 2000)
    found = shrunken_ratios(rng.poisson(expected).astype(float), expected)
    assert np.abs(np.log(found)).mean() < 0.02
    assert np.abs(np.log(found)).max() < 0.25


def test_without_counts_nothing_is_told():
    np.testing.assert_array_equal(shrunken_ratios(np.zeros(3), np.full(3, 1e-4)), 1)


def test_blocks_add_up_to_the_whole():
    rng = np.random.default_rng(0)
    rates = rng.gamma(2, 1, (90, 20))
    counts, codes = rng.poisson(rates), np.arange(90) % 3
    whole, parts = ClassTotals(3, 20), ClassTotals(3, 20)
    whole.add(codes, counts, rates)
    for start in range(0, 90, 40):
        rows = slice(start, start + 40)
        parts.add(codes[rows], counts[rows], rates[rows])
    np.testing.assert_allclose(whole.log_ratios(), parts.log_ratios(), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(whole.seen[1], counts[codes == 1].sum(axis=0))


def test_residual_means_shrink_as_the_normal_model_says():
    rng = np.random.default_rng(0)
    spread, sizes = 0.5, np.array([5, 200])
    truth = rng.normal(0, spread, (2, 3000))
    variance = rng.gamma(4, 0.25, 3000)
    means = truth + rng.normal(size=(2, 3000)) * np.sqrt(variance / sizes[:, None])
    found = shrunken_means(means * sizes[:, None], sizes, variance)
    exact = means * spread**2 / (spread**2 + variance / sizes[:, None])
    assert (np.sqrt(((found - exact) ** 2).mean(axis=1)) < 0.05).all()
    assert (((found - truth) ** 2).mean(axis=1) < 1.03 * ((exact - truth) ** 2).mean(axis=1)).all()


@pytest.fixture(scope="module")
def cells():
    """A type of 12 cells with 15 genes of its own, which 2 latent coordinates can't hold."""
    rng = np.random.default_rng(0)
    y = np.repeat(["common", "other", "rare"], [150, 150, 12])
    rates = rng.gamma(2, 2, 60)[None] * np.ones((len(y), 1))
    rates[y == "other", :30] *= 2
    rates[y == "rare", 45:] *= 3
    return rng.poisson(rates).astype(np.float32), y


def off_by(model, cells, **options):
    """Log ratio of drawn to real means, averaged over the genes of the rare type."""
    X, y = cells
    new = model.sample({"type": "rare"}, 500, **{"guidance_scale": 1, **options})
    return float(np.log(new[:, 45:].mean() / X[y == "rare", 45:].mean()))


def test_new_cells_have_the_genes_of_their_class(cells):
    X, y = cells
    model = make_model(encoder="pca", n_latent=2).fit(X).add_condition("type", y)
    assert abs(off_by(model, cells)) < 0.1
    learnt = model.conditions_.learnt["type"]
    model.conditions_.learnt["type"] = replace(learnt, gene_effects=0 * learnt.gene_effects)
    assert off_by(model, cells) < -0.2  # what the latent alone gives
    model.conditions_.learnt["type"] = learnt
    assert off_by(model, cells, guidance_scale=0) < -0.2  # the class was not asked for


def test_real_values_have_the_genes_of_their_class(cells):
    X, y = cells
    X = np.sqrt(X) - 1
    model = make_model(n_latent=1, expression="real").fit(X).add_condition("type", y)
    new = model.sample({"type": "rare"}, 500, guidance_scale=1)
    learnt = model.conditions_.learnt["type"]
    model.conditions_.learnt["type"] = replace(learnt, gene_effects=0 * learnt.gene_effects)
    without = model.sample({"type": "rare"}, 500, guidance_scale=1)
    off, off_without = (
        np.sqrt(np.square(x.mean(axis=0) - X[y == "rare"].mean(axis=0))[45:].mean())
        for x in (new, without)
    )
    assert off < 0.1 * off_without


def test_cells_passed_anew_tell_the_same_as_those_of_fit(cells):
    X, y = cells
    model = make_model(encoder="pca", n_latent=2).fit(X)
    kept = model.add_condition("type", y).conditions_.gene_effects["type"]
    dense = model.add_condition("type", y, X=X).conditions_.gene_effects["type"]
    blocks = [X[:100], X[100:]]
    streamed = model.add_condition("type", y, X=blocks).conditions_.gene_effects["type"]
    np.testing.assert_allclose(kept, dense, atol=1e-4)
    np.testing.assert_allclose(kept, streamed, atol=1e-4)


def test_the_genes_of_a_class_are_saved(cells, tmp_path):
    X, y = cells
    model = make_model(encoder="pca", n_latent=2).fit(X).add_condition("type", y)
    model.save(tmp_path / "model")
    back = type(model).load(tmp_path / "model")
    np.testing.assert_array_equal(
        back.conditions_.gene_effects["type"], model.conditions_.gene_effects["type"]
    )


def test_many_cells_are_summed_block_by_block():
    rng = np.random.default_rng(0)
    X = sparse.csr_matrix(rng.poisson(1.0, (BLOCK + 10, 12)).astype(np.float32))
    y = np.arange(BLOCK + 10) % 2
    model = make_model(encoder="pca", n_latent=2).fit(X)
    shift = model.add_condition("type", y).conditions_.gene_effects["type"]
    assert shift.shape == (2, 12)
    assert float(shift.abs().max()) < 0.05


@pytest.mark.parametrize("sampler", ["dpm++", "ddim", "ddpm"])
def test_temperature_is_the_spread_around_the_class(cells, sampler):
    """In latents of one Gaussian, deviations are as much smaller as the temperature says."""
    X, y = cells
    steps = {"n_steps": 200, "n_timesteps": 200} if sampler == "ddpm" else {"n_steps": 40}
    model = make_model(encoder="pca", n_latent=2, sampler=sampler, denoiser_steps=0, **steps)
    model.fit(X, groups=y).add_condition("type", y)
    drawn = {}
    for temperature in (1.0, 0.5):
        plan, request = model.plan(
            {"type": "common"}, 3000, guidance_scale=1.0, temperature=temperature
        )
        drawn[temperature] = plan.latents(request, model.random_.torch).numpy()
    ratio = drawn[0.5].std(axis=0) / drawn[1.0].std(axis=0)
    np.testing.assert_allclose(ratio[:2], 0.5, rtol=0.08)
    np.testing.assert_allclose(ratio[2:], 1.0, rtol=0.08)  # library sizes vary as they do
    centre = drawn[1.0].mean(axis=0)
    tolerance = 5 * drawn[1.0].std(axis=0) / np.sqrt(3000)
    assert (np.abs(drawn[0.5].mean(axis=0) - centre) < tolerance).all()
    assert stats.normaltest(drawn[0.5][:, 0]).pvalue > 1e-4


@pytest.mark.parametrize("temperature", [0, -1.0, np.inf, np.nan])
def test_a_temperature_out_of_range_is_refused(cells, temperature):
    X, y = cells
    model = make_model(encoder="pca", n_latent=2).fit(X).add_condition("type", y)
    with pytest.raises(ValueError, match="temperature must be above 0 and finite"):
        model.sample({"type": "rare"}, 5, temperature=temperature)


def test_deeper_cells_tell_the_same_of_a_class():
    """What counts is how the genes share a cell's counts, not how many there are."""
    rng = np.random.default_rng(0)
    ratios, expected = np.exp(rng.normal(0, 0.5, 400)), rng.gamma(2, 30, 400)
    same, deeper = ClassTotals(1, 400), ClassTotals(1, 400)
    seen = expected * ratios / (expected @ ratios) * expected.sum()
    same.add(np.array([0]), seen[None], expected[None])
    deeper.add(np.array([0]), 5 * seen[None], expected[None])
    plain = np.log(seen / expected)
    for totals, tolerance in ((same, 0.07), (deeper, 0.03)):  # more counts, less shrinkage
        assert np.abs(totals.log_ratios() - plain).mean() < tolerance


def test_what_two_conditions_share_counts_once(cells):
    """The same labels under a second name add nothing to the genes."""
    X, y = cells
    model = make_model(encoder="pca", n_latent=2).fit(X).add_condition("type", y)
    model.add_condition("again", y)
    first, again = (model.conditions_.gene_effects[name].abs().max() for name in ("type", "again"))
    assert again < 0.15 * first


def test_a_gradient_of_half_the_weight_brings_half_of_the_genes(cells):
    X, y = cells
    model = make_model(encoder="pca", n_latent=2).fit(X).add_condition("type", y)
    for scale, share in [(0.5, 0.5), (1.0, 1.0), (3.0, 1.0)]:
        plan, request = model.plan({"type": "rare"}, 3, **{**SAMPLING, "guidance_scale": scale})
        found = plan.gene_shift(request)
        table = model.conditions_.gene_effects["type"][
            list(model.conditions_["type"]).index("rare")
        ]
        torch.testing.assert_close(found[0], share * table)


def test_a_pickle_holds_no_cells(cells):
    X, y = cells
    model = make_model(encoder="pca", n_latent=2).fit(X).add_condition("type", y)
    back = pickle.loads(pickle.dumps(model))
    assert back.cells_.values is None
    assert back.sample({"type": "rare"}, 3).shape == (3, 60)
    with pytest.raises(ValueError, match="holds no cells to learn condition 'again' from"):
        back.add_condition("again", y)
    back.add_condition("again", y, X=X)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_learns_conditions_as_the_model_does(cells, copied):
    X, y = cells
    model = make_model(encoder="pca", n_latent=2).fit(X)
    found = copied(model).add_condition("type", y)
    expected = copy.deepcopy(model).add_condition("type", y)
    torch.testing.assert_close(
        found.conditions_.gene_effects["type"], expected.conditions_.gene_effects["type"]
    )
    np.testing.assert_array_equal(
        found.sample({"type": "rare"}, 3), expected.sample({"type": "rare"}, 3)
    )


def test_real_values_are_kept_as_they_were(cells):
    X, y = cells
    given = np.sqrt(X) - 1
    model = make_model(n_latent=2, expression="real").fit(given)
    given[:] = 7
    changed = model.add_condition("type", y).conditions_.gene_effects["type"]
    as_before = model.add_condition("type", y, X=np.sqrt(X) - 1).conditions_.gene_effects["type"]
    torch.testing.assert_close(changed, as_before, atol=1e-4, rtol=1e-3)


def test_a_stream_that_grew_is_named(cells):
    X, _ = cells
    model = make_model(encoder="pca", n_latent=2).fit(X)
    blocks, z = [X[:100], X[100:]], model.encode(X)
    pieces = model._pieces(blocks, z[:200], np.zeros(200, dtype=int))
    with pytest.raises(ValueError, match="gave 200 cells when they were read first, and more"):
        list(pieces)
