"""Ways of drawing: several scales, intervals, starts from real cells, judges, donors."""

import warnings
from collections import Counter

import numpy as np
import pytest
import sklearn
import torch
from imblearn.pipeline import make_pipeline
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_validate
from tiny import make_model, make_sampler

from scdiff_augment import LatentDiffusion
from scdiff_augment.diffusion.classifier import LatentClassifier
from scdiff_augment.diffusion.guidance import Condition, guide
from scdiff_augment.diffusion.mixture import NoisyMixture
from scdiff_augment.diffusion.schedule import ddpm_sigmas, select_sigmas, shorten
from scdiff_augment.expression.kinds import depth_normalised
from scdiff_augment.oversampling.rejection import draw_accepted


@pytest.fixture(scope="module")
def model():
    rng = np.random.default_rng(0)
    labels = np.repeat(["common", "middle", "rare"], [60, 30, 10])
    means = {k: rng.gamma(1.0, 4.0, 40) for k in ("common", "middle", "rare")}
    X = np.stack([rng.poisson(means[k]) for k in labels])
    fitted = LatentDiffusion(n_latent=6, denoiser_steps=100, random_state=0)
    fitted.fit(X, groups=labels).add_condition("type", labels)
    return fitted.add_condition("half", np.arange(100) % 2), X, labels


def gaussian(means, spread=0.3):
    means = torch.tensor(means)
    cov = spread**2 * torch.eye(means.shape[1]).expand(len(means), -1, -1)
    return NoisyMixture(means, cov, torch.full((len(means),), 1 / len(means)))


def test_cells_go_to_noise_and_back(model):
    fitted, X, _ = model
    z = fitted.encode(X)
    noise = fitted.invert(X)
    assert 0.7 < noise.std() < 1.3
    np.testing.assert_allclose(fitted.from_noise(noise), z, atol=1e-3)


@pytest.mark.parametrize("n_steps", [0, -1, 2.5])
def test_a_way_of_no_steps_is_refused(model, n_steps):
    fitted, X, _ = model
    for way, cells in ((fitted.invert, X), (fitted.from_noise, fitted.encode(X))):
        with pytest.raises(ValueError, match="n_steps must be"):
            way(cells, n_steps=n_steps)


def test_latents_of_another_shape_are_refused(model):
    fitted, X, _ = model
    z = fitted.encode(X)
    for wrong in (z[0], z[:, :2], z * np.nan):
        for of_latents in (fitted.decode, fitted.from_noise):
            with pytest.raises(ValueError, match="must be finite and of shape"):
                of_latents(wrong)


def test_an_interval_limits_the_gradient():
    mixture = gaussian([[2.0, 0.0], [-2.0, 0.0]])
    condition = Condition(LatentClassifier(mixture), torch.zeros(3, dtype=torch.long))
    inside = guide(mixture.denoise, [condition], (0.5, 2.0))
    z, free = torch.randn(3, 2, generator=torch.Generator().manual_seed(0)), mixture.denoise
    for sigma, acts in [(0.1, False), (0.5, True), (1.0, True), (2.0, True), (3.0, False)]:
        level = torch.full((3,), sigma)
        same = torch.allclose(inside(z, level), free(z, level), atol=1e-6)
        assert same is not acts


@pytest.mark.parametrize("interval", [(2, 1), (1, 2, 3), "ab", (-1, 1), (0, np.nan)])
def test_an_interval_that_is_none_is_refused_before_training(counts, interval):
    sampler = make_sampler(guidance_interval=interval)
    with pytest.raises(ValueError, match="guidance_interval"):
        sampler.fit_resample(*counts)
    assert not hasattr(sampler, "generator_")


def test_gradient_interpolation_of_two_gaussians_passes_between():
    """For two Gaussians of one width the mixed gradient leads to the mixed mean."""
    mixture = gaussian([[2.0, 0.0], [-2.0, 0.0]], 1.0)
    broad = gaussian([[0.0, 0.0]], 3.0)  # what all cells look like
    classifier = LatentClassifier(mixture)
    z, sigma = torch.zeros(1, 2), torch.full((1,), 0.7)
    codes = [torch.zeros(1, dtype=torch.long), torch.ones(1, dtype=torch.long)]
    for w in (0.0, 0.25, 0.5, 1.0):
        mixed = guide(
            broad.denoise,
            [Condition(classifier, codes[0], 1 - w), Condition(classifier, codes[1], w)],
        )
        one, other = (guide(broad.denoise, [Condition(classifier, c)]) for c in codes)
        expected = (1 - w) * one(z, sigma) + w * other(z, sigma)
        torch.testing.assert_close(mixed(z, sigma), expected)


def test_interpolation_starts_at_one_type_and_ends_at_the_other(model):
    fitted, X, labels = model
    paths = fitted.interpolate(X[labels == "common"], "type", "common", "rare", [0, 1], sigma=3.0)
    assert paths.shape == (2, 60, 40)
    judge = LogisticRegression(max_iter=2000).fit(depth_normalised(X), labels)
    shares = [(judge.predict(depth_normalised(p)) == "rare").mean() for p in paths]
    assert shares[0] < 0.1 < 0.9 < shares[1]
    with pytest.raises(ValueError, match=r"from 0 to 1, got \[1.5\]"):
        fitted.interpolate(X[:3], "type", "common", "rare", [1.5])
    with pytest.raises(ValueError, match="condition 'typ' is unknown"):
        fitted.interpolate(X[:3], "typ", "common", "rare", [0.5])
    with pytest.raises(ValueError, match="no class 'B'"):
        fitted.interpolate(X[:3], "type", "common", "B", [0.5])


def test_low_strength_stays_near_the_cells_it_starts_from(model):
    fitted, X, labels = model
    start = X[labels == "common"][:40]
    target = fitted.encode(start)
    distance = []
    for strength in (0.1, 0.5, 1.0):
        options = {"start": start, "strength": strength} if strength < 1 else {}
        new = fitted.sample({"type": "common"}, 40, **options)
        distance.append(np.linalg.norm(fitted.encode(new) - target, axis=1).mean())
    assert distance[0] < distance[1] < distance[2]


def test_strength_counts_the_steps():
    sigmas = select_sigmas(ddpm_sigmas(), 20)
    assert [len(shorten(sigmas, s)) - 1 for s in (1.0, 0.5, 0.05, 0.001)] == [20, 10, 1, 1]
    assert shorten(sigmas, 0.5)[0] == sigmas[10]


def test_scales_by_name(model):
    fitted, X, labels = model
    assert fitted.sample({"type": "rare", "half": 1}, 4, guidance_scale={"half": 0}).shape[0] == 4
    judge = LogisticRegression(max_iter=2000).fit(depth_normalised(X), labels)
    free = fitted.sample({"type": "rare"}, 200, guidance_scale=0)
    assert (judge.predict(depth_normalised(free)) == "rare").mean() < 0.4
    for options, message in [
        ({"guidance_scale": {"tissue": 2}}, r"names \['tissue'\], but the conditions asked for"),
        ({"guidance_scale": -1}, "at least 0 and finite, got -1 for 'type'"),
        ({"guidance_interval": (2, 1)}, r"0 <= low < high, got \(2, 1\)"),
        ({"strength": 0.5}, "start and strength go together"),
        ({"start": X[:4]}, "start and strength go together"),
        ({"strength": 0.0}, r"strength must lie in \(0, 1\], got 0.0"),
        ({"start": X[:4, :9], "strength": 0.5}, "fitted on 40 genes, but X has 9 columns"),
    ]:
        with pytest.raises(ValueError, match=message):
            fitted.sample({"type": "rare"}, 4, **options)


@pytest.mark.parametrize("n", [-1, 2.5, "3"])
def test_a_number_of_cells_that_is_none_is_refused(model, n):
    with pytest.raises(ValueError, match="n must be a whole number of cells"):
        model[0].sample(n=n)


def test_n_and_start_agree(model):
    fitted, X, _ = model
    with pytest.raises(ValueError, match="n=100 cells are asked for, but start has 3"):
        fitted.sample(n=100, start=X[:3], strength=0.5)
    assert len(fitted.sample(n=3, start=X[:3], strength=0.5)) == 3


def test_samples_as_anndata(model, tmp_path):
    import anndata as ad

    fitted, X, _ = model
    cells = fitted.sample_adata({"type": ["rare", "common"], "half": 1}, guidance_scale=2)
    assert cells.obs_names.tolist() == ["synth-rare-1-0", "synth-common-1-0"]
    assert cells.obs["type"].tolist() == ["rare", "common"]
    np.testing.assert_allclose(
        cells.X.toarray(), depth_normalised(cells.layers["counts"].toarray()), rtol=1e-5
    )
    assert cells.uns["scdiff_augment"]["options"]["guidance_scale"] == "2"
    started = fitted.sample_adata({"type": "rare"}, start=X[-2:], strength=0.5)
    assert started.obs["synthetic_source"].tolist() == ["0", "1"]
    for made in (cells, started, fitted.sample_adata(n=3)):
        made.write_h5ad(tmp_path / "cells.h5ad")
        assert ad.read_h5ad(tmp_path / "cells.h5ad").shape == made.shape


def test_rejected_cells_are_drawn_again_and_counts_stay_exact():
    rng = np.random.default_rng(0)
    labels = np.repeat(["a", "b"], [300, 20])
    cells, accepted = draw_accepted(
        lambda positions: rng.random((len(positions), 1)),
        lambda cells, wanted: cells[:, 0] < 0.5,
        labels,
    )
    assert cells.shape == (320, 1)
    np.testing.assert_array_equal(accepted, cells[:, 0] < 0.5)
    assert accepted.mean() > 0.98  # 1 - 2^-10


class Never(LogisticRegression):
    def predict(self, X):
        return np.full(len(X), "common")


def test_the_sampler_with_a_judge(counts):
    X, y = counts
    sampler = make_sampler(judge=LogisticRegression(max_iter=500))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out, y_out = sampler.fit_resample(X, y)
    assert set(Counter(y_out.tolist()).values()) == {60}
    judge = LogisticRegression(max_iter=500).fit(depth_normalised(X), y)
    agreed = (judge.predict(depth_normalised(out[100:])) == y_out[100:]).mean()
    assert agreed == pytest.approx(sampler.history_["accepted"])
    assert not hasattr(sampler.judge, "coef_")
    stubborn = make_sampler(judge=Never(), sampling_strategy={"rare": 60})
    with pytest.warns(UserWarning, match="50 of 50 cells of class 'rare' were still"):
        _, y_out = stubborn.fit_resample(X, y)
    assert Counter(y_out.tolist())["rare"] == 60


def test_a_judge_without_a_seed_leaves_the_result_repeatable(counts):
    judge = make_pipeline(RandomForestClassifier(5))
    state = str(np.random.get_state())  # noqa: NPY002  its position changes with each draw
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first, second = (make_sampler(judge=judge).fit_resample(*counts)[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert str(np.random.get_state()) == state  # noqa: NPY002
    assert judge[0].random_state is None


def test_a_class_of_one_cell_cannot_be_started_from(counts):
    X, y = counts[0][:91], counts[1][:91]
    with pytest.raises(ValueError, match=r"class 'rare' has 1 cell; `strength=0.5` starts from"):
        make_sampler(strength=0.5).fit_resample(X, y)
    make_sampler(strength=0.5, sampling_strategy={"middle": 40}).fit_resample(X, y)


def test_sources_are_rows_of_x_where_cells_without_counts_are_left_out(counts):
    X, y = counts
    X = X.copy()
    X[60:65] = 0  # of "middle", before "rare"
    sampler = make_sampler(strength=0.5)
    with pytest.warns(UserWarning, match="5 of 100 cells have no counts"):
        _, y_out = sampler.fit_resample(X, y)
    np.testing.assert_array_equal(y[sampler.synthetic_source_], y_out[100:])
    assert X[sampler.synthetic_source_].any(axis=1).all()


def test_balance_shifts_training_to_rare_classes(counts):
    X, y = counts
    shares = []
    for balance in (0.0, 0.5, 1.0):
        sampler = make_sampler(balance=balance)
        sampler.fit_resample(X, y)
        shares.append(sampler.generator_.denoiser_.mixture.log_weights.exp()[2])
    np.testing.assert_allclose(shares[0], 0.1, atol=1e-5)
    np.testing.assert_allclose(shares[2], 1 / 3, atol=1e-5)
    assert shares[0] < shares[1] < shares[2]


def test_donors_are_routed_through_pipelines(counts):
    X, y = depth_normalised(counts[0]), counts[1]
    donor = np.array(["d1", "d2"])[np.arange(100) % 2]
    with sklearn.config_context(enable_metadata_routing=True):
        sampler = make_sampler().set_fit_resample_request(donor=True)
        pipeline = make_pipeline(sampler, LogisticRegression(max_iter=500))
        pipeline.fit(X, y, donor=donor)
        fitted = pipeline[0]
        assert list(fitted.generator_.conditions_) == ["y", "donor"]
        assert set(fitted.annotations_["donor"]) == {"d1", "d2"}
        scores = cross_validate(pipeline, X, y, cv=3, params={"donor": donor})
        assert scores["test_score"].min() > 0.8
    with pytest.raises(ValueError, match=r"`donor` needs one label for each of the cells of X"):
        make_sampler().fit_resample(X, y, donor=donor[:9])


def test_an_unknown_keyword_becomes_no_condition(counts):
    with pytest.raises(TypeError, match="sample_weight"):
        make_sampler().fit_resample(*counts, sample_weight=np.ones(100))


def test_a_missing_donor_is_named(counts):
    X, y = counts
    donor = np.where(np.arange(100) == 3, None, "d")
    with pytest.raises(
        ValueError, match="In `donor`, there is no label for 1 of 100 cells, first row 3"
    ):
        make_sampler().fit_resample(X, y, donor=donor)


def test_a_donor_that_is_asked_for_is_what_comes(counts):
    X, y = counts
    rng = np.random.default_rng(0)
    batch = np.array(["b1", "b2"])[np.arange(100) % 2]
    shifted = X.copy()
    shifted[batch == "b2", :10] = rng.poisson(30, (50, 10))
    sampler = make_sampler(decoder_steps=200, denoiser_steps=100)
    out, _ = sampler.fit_resample(shifted, y, batch=batch)
    new = out[100:, :10].sum(axis=1)
    said = sampler.annotations_["batch"]
    threshold = (shifted[batch == "b1", :10].sum(1).mean() + 300) / 2
    assert ((new > threshold) == (said == "b2")).mean() > 0.8  # .85 to .95 over seeds; chance .5


def test_options_reach_the_model(counts):
    X, y = counts
    quiet = make_sampler(guidance_interval=(0.0, 1e-6), random_state=1)
    loud = make_sampler(random_state=1)
    a, b = (s.fit_resample(X, y)[0] for s in (quiet, loud))
    assert not np.array_equal(a, b)
    assert make_model().fit(X).genes_ is None


def test_a_model_of_counts_reads_log_values_and_the_other_way_round(counts):
    X = counts[0]
    model = make_model().fit(X)
    np.testing.assert_allclose(model.encode(depth_normalised(X)), model.encode(X), atol=1e-4)
    log_model = make_model().fit(depth_normalised(X))
    np.testing.assert_allclose(
        log_model.encode(X), log_model.encode(depth_normalised(X)), atol=1e-4
    )
    selected = make_model().fit(depth_normalised(X)[:, :30])
    with pytest.raises(ValueError, match="must be normalised alike"):
        selected.encode(X[:, :30])
    with pytest.raises(ValueError, match="needs non-negative values"):
        model.encode(X - 5.0)


def test_names_that_files_cannot_hold_are_refused(counts):
    with pytest.raises(ValueError, match="without '/'"):
        make_model().fit(counts[0]).add_condition("a/b", counts[1])
