"""New cells come on the scale of the matrix, whichever it is: in memory, from blocks, from disk."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from tiny import make_model, make_sampler

from scdiff_augment import LatentDiffusion, oversample_adata
from scdiff_augment.expression.kinds import denormalise, detect_kind
from scdiff_augment.metrics import evaluate


def per(counts, target):
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1) * target


def soupx(counts):
    soup = 0.1 * counts.sum(axis=1, keepdims=True) * counts.mean(axis=0) / counts.mean(axis=0).sum()
    return np.maximum(counts - soup, 0)


SCALES = {
    "normalized": lambda c: per(c, 1e4),
    "log2": lambda c: np.log2(per(c, 1e6) + 1),
    "log10": lambda c: np.log10(per(c, 1e4) + 1)[:, :30],
    "log": lambda c: np.log(per(c, 1e4) + 0.5),
    "sqrt": np.sqrt,
    "freeman-tukey": lambda c: np.sqrt(c) + np.sqrt(c + 1),
}


@pytest.mark.parametrize("kind", SCALES)
def test_new_cells_are_counts_on_the_scale_of_the_real_ones(kind, counts):
    X = SCALES[kind](counts[0])
    sampler = make_sampler()
    out, _ = sampler.fit_resample(X, counts[1])
    np.testing.assert_array_equal(out[:100], X)
    assert out.dtype == X.dtype
    assert sampler.history_["expression"] == kind
    assert any(note.startswith("X holds ") for note in sampler.history_["notes"])
    real, new = denormalise(X), denormalise(out[100:], denormalise(X).scale)
    assert new.values.max() > 1
    if real.total is not None:
        used = new.values.sum(axis=1) > 0
        linear = real.scale.linear(out[100:])[used].sum(axis=1)
        np.testing.assert_allclose(linear, real.total, rtol=1e-3)
    zeros = [np.mean(cells.values == 0) for cells in (real, new)]
    assert abs(zeros[0] - zeros[1]) < 0.1


def test_counts_with_rounding_noise_give_the_cells_of_counts(counts):
    X, y = counts
    noisy = X / 7.0 * 7.0 * (1 + 1e-15)
    assert not np.array_equal(noisy, X)
    ours, _ = make_sampler().fit_resample(noisy, y)
    exact, _ = make_sampler().fit_resample(X, y)
    np.testing.assert_array_equal(ours[100:], exact[100:])
    np.testing.assert_array_equal(ours[:100], noisy)


def test_fractional_counts_keep_zeros_and_warn_once(counts):
    X, y = soupx(counts[0]), counts[1]
    with pytest.warns(UserWarning, match="X holds fractional counts") as told:
        out, _ = make_sampler().fit_resample(X, y)
    assert sum(w.category is UserWarning for w in told) == 1
    new = out[100:]
    assert new.min() == 0
    assert abs(np.mean(new == 0) - np.mean(X == 0)) < 0.1
    assert np.mean(np.isclose(new[new > 0] % 1, 0)) < 0.5
    sampler = make_sampler(expression="fractional")
    silent, _ = sampler.fit_resample(sparse.csr_matrix(X), y)
    np.testing.assert_allclose(silent.toarray()[100:], new, rtol=1e-6)
    again, _ = make_sampler(expression="fractional").fit_resample(X, y)
    np.testing.assert_array_equal(again, out)


@pytest.mark.parametrize("kind", ["log2", "log", "freeman-tukey", "fractional"])
def test_models_of_all_scales_are_saved_streamed_and_stored(kind, counts, tmp_path):
    X = {**SCALES, "fractional": soupx}[kind](counts[0]).astype(np.float32)
    expression = "auto" if kind in SCALES else kind
    model = make_model(expression=expression).fit(X)
    blocks = [X[:7], X[7:60], X[60:]]  # the first is too small to tell what it holds
    streamed = make_model(expression=expression).fit(blocks)
    assert streamed.history_["expression"] == model.history_["expression"] == kind
    assert streamed.history_["scale"] == model.history_["scale"]
    np.testing.assert_allclose(streamed.encode(blocks), model.encode(X), atol=1e-4)
    np.testing.assert_allclose(model.encode(X[:2]), model.encode(X)[:2], atol=1e-4)
    model.save(tmp_path / "model")
    loaded = LatentDiffusion.load(tmp_path / "model", random_state=0)
    new = loaded.sample(n=20)
    model.random_ = make_model().fit(counts[0]).random_.__class__(0)
    np.testing.assert_array_equal(model.sample(n=20), new)
    assert detect_kind(loaded.sample(n=200)) in (kind, "real")
    drawn = loaded.sample_adata(n=20)
    assert drawn.uns["scdiff_augment"]["expression"] == kind
    assert drawn.uns["scdiff_augment"]["scale"] == model.history_["scale"]
    stored = ad.read_zarr(loaded.sample_adata(n=20, out=tmp_path / "new.zarr"))
    values, found = (m.toarray() if sparse.issparse(m) else m for m in (stored.X, drawn.X))
    assert values.min() >= 0 or kind == "log"
    if kind != "fractional":
        steps = stored.layers["counts"]
        steps = steps.toarray() if sparse.issparse(steps) else steps
        np.testing.assert_array_equal(denormalise(values, loaded.scale_).values > 0, steps > 0)
    assert (values == values.min()).mean() == pytest.approx((found == found.min()).mean(), abs=0.2)


def test_a_model_of_counts_reads_every_scale_of_counts(counts):
    X = counts[0]
    model = make_model().fit(X)
    for kind in ("normalized", "log2", "log", "sqrt"):
        if kind != "sqrt":  # it has a factor of its own
            np.testing.assert_allclose(
                model.encode(SCALES[kind](X)), model.encode(X), atol=1e-3, err_msg=kind
            )
    of_log2 = make_model().fit(SCALES["log2"](X))
    np.testing.assert_allclose(of_log2.encode(SCALES["log2"](X)), of_log2.encode(X), atol=1e-3)


def test_figures_of_cells_on_another_scale_are_those_of_their_counts(counts):
    X = counts[0]
    tables = [
        evaluate(make(X)[:50], make(X)[50:], n_estimators=3)
        for make in (lambda c: c, SCALES["normalized"], SCALES["log2"])
    ]
    for table in tables[1:]:
        pd.testing.assert_frame_equal(table, tables[0], rtol=1e-2, atol=0.05)


def test_matrices_on_two_scales_are_not_compared(counts):
    X = counts[0]
    with pytest.raises(ValueError, match=r"`real` looks like log2 and `synthetic` like normalized"):
        evaluate(SCALES["log2"](X)[:50], SCALES["normalized"](X)[50:], n_estimators=3)


@pytest.fixture
def scaled(counts):
    X, labels = counts
    logs = np.log1p(per(X, 1e4))
    adata = ad.AnnData(
        (logs - logs.mean(axis=0)) / (logs.std(axis=0) + 1e-9),
        pd.DataFrame({"cell_type": labels}, index=[f"cell{i}" for i in range(100)]),
    )
    adata.layers["mine"] = sparse.csr_matrix(X)
    adata.layers["logs"] = logs
    adata.layers["other"] = adata.X * 2
    adata.raw = adata.copy()
    adata.raw = ad.AnnData(logs, adata.obs)
    return adata


def test_scaled_values_are_said_once_and_better_layers_named(scaled):
    with pytest.warns(UserWarning, match=r"X holds scaled \(z-scored\) values") as told:
        out = oversample_adata(scaled, "cell_type", sampler=make_sampler())
    assert sum(w.category is UserWarning for w in told) == 1
    message = str(told[0].message)
    assert "Pass layer='mine' or adata.raw.to_adata() or layer='logs', which lead back" in message
    assert "'other'" not in message
    assert out.uns["scdiff_augment"]["expression"] == "real"
    silent = oversample_adata(scaled, "cell_type", sampler=make_sampler(expression="real"))
    np.testing.assert_array_equal(silent.X, out.X)
    counted = oversample_adata(scaled, "cell_type", layer="logs", sampler=make_sampler())
    assert counted.uns["scdiff_augment"]["expression"] == "log1p"
    told = counted.uns["scdiff_augment"]["scale"]
    assert told == "log(x + 1) of counts normalised to 10,000 a cell"


@pytest.mark.parametrize("kind", ["normalized", "log2", "freeman-tukey"])
def test_counts_beside_values_on_a_scale_are_kept(kind, counts, tmp_path):
    X, labels = counts
    obs = pd.DataFrame({"cell_type": labels}, index=[f"cell{i}" for i in range(100)])
    adata = ad.AnnData(SCALES[kind](X), obs, layers={"counts": X})
    stored = oversample_adata(
        adata, "cell_type", sampler=make_sampler(), out=tmp_path / "more.zarr"
    )
    for more in (
        oversample_adata(adata, "cell_type", sampler=make_sampler()),
        ad.read_zarr(stored),
    ):
        assert more.layers["counts"].dtype == X.dtype
        np.testing.assert_array_equal(more.layers["counts"][:100], X)
        new = more.layers["counts"][100:]
        assert 0.5 < new.mean() / X.mean() < 2
        np.testing.assert_allclose(SCALES[kind](new), more.X[100:], rtol=1e-4, atol=1e-4)


def test_scaled_values_of_a_file_are_said_too(scaled, tmp_path):
    scaled.write_h5ad(tmp_path / "scaled.h5ad")
    backed = ad.read_h5ad(tmp_path / "scaled.h5ad", backed="r")
    with pytest.warns(UserWarning, match=r"scaled \(z-scored\).*Pass layer='mine'") as told:
        path = oversample_adata(
            backed, "cell_type", sampler=make_sampler(), out=tmp_path / "more.zarr"
        )
    assert sum(w.category is UserWarning for w in told) == 1
    assert ad.read_zarr(path).uns["scdiff_augment"]["expression"] == "real"
