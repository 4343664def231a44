"""Metrics of two sets of cells, against closed forms and naive computations."""

import math
import subprocess
import sys

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats

from scdiff_augment import metrics
from scdiff_augment.metrics import embedding, manifold

PAIRED = [
    metrics.scc,
    metrics.pcc,
    metrics.gene_correlation_error,
    metrics.mean_variance,
    metrics.zero_fraction,
    metrics.zero_curve_error,
    metrics.library_size_distance,
    metrics.mmd,
    metrics.ilisi,
    metrics.forest_auc,
    metrics.knn_auc,
    metrics.telling_genes,
    metrics.density,
    metrics.coverage,
]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def twins(rng):
    """Two sets of 300 cells of one distribution, 8 genes."""
    return rng.normal(2, [1, 1, 2, 3, 1, 1, 1, 5], (2, 300, 8))


def test_scc_and_pcc_are_correlations_of_gene_means(rng):
    real, synthetic = rng.gamma(1, 1, (40, 15)), rng.gamma(1, 1, (30, 15))
    a, b = real.mean(axis=0), synthetic.mean(axis=0)
    assert metrics.pcc(real, synthetic) == pytest.approx(np.corrcoef(a, b)[0, 1])
    ranks = stats.rankdata(a), stats.rankdata(b)
    assert metrics.scc(real, synthetic) == pytest.approx(np.corrcoef(*ranks)[0, 1])
    assert metrics.scc(real, -real) == pytest.approx(-1)
    with pytest.raises(ValueError, match=r"15 gene\(s\) of `synthetic` all have mean 0"):
        metrics.scc(real, 0 * real)


def test_gene_correlation_error_is_the_mean_over_pairs_of_variable_genes(rng):
    a, b = rng.normal(size=(2, 50, 6)) @ rng.normal(size=(6, 6))
    expected = [
        abs(np.corrcoef(a[:, i], a[:, j])[0, 1] - np.corrcoef(b[:, i], b[:, j])[0, 1])
        for i in range(6)
        for j in range(i)
    ]
    assert metrics.gene_correlation_error(a, b) == pytest.approx(np.mean(expected))
    first, second = np.argsort(-a.var(axis=0))[:2]
    one = np.corrcoef(a[:, first], a[:, second])[0, 1]
    other = np.corrcoef(b[:, first], b[:, second])[0, 1]
    assert metrics.gene_correlation_error(a, b, n_genes=2) == pytest.approx(abs(one - other))
    b[:, first] = 7.0
    assert metrics.gene_correlation_error(a, b, n_genes=2) == pytest.approx(abs(one))


def test_mean_variance_of_scaled_cells_is_off_by_the_scale(twins):
    real = twins[0]
    curve = metrics.mean_variance(real, 1.5 * real)
    assert curve.error == pytest.approx(0.5)
    np.testing.assert_allclose(curve.real, np.var(real, axis=0))
    np.testing.assert_allclose(curve.synthetic, 2.25 * curve.real)
    np.testing.assert_allclose(curve.mean_synthetic, 1.5 * curve.mean_real)
    with pytest.raises(ValueError, match="no gene of `real` varies over its 300 cells"):
        metrics.mean_variance(np.ones_like(real), real)


def test_zero_fraction_counts_zeros(rng):
    real = np.ones((20, 4))
    synthetic = np.ones((20, 4))
    real[:5, 0] = synthetic[:15, 1] = 0
    curve = metrics.zero_fraction(real, synthetic)
    assert curve.real.tolist() == [0.25, 0, 0, 0]
    assert curve.synthetic.tolist() == [0, 0.75, 0, 0]
    assert curve.error == pytest.approx((15 - 5) / 80)
    assert metrics.zero_curve_error(real, synthetic) == pytest.approx((15 + 5) / 80)


def test_library_size_distance_is_the_shift_of_the_log(rng):
    counts = rng.poisson(50.0, (60, 30))
    log = np.log1p(counts.sum(axis=1))
    doubled = np.log1p(2 * counts.sum(axis=1))
    assert metrics.library_size_distance(counts, counts[::-1]) == pytest.approx(0)
    assert metrics.library_size_distance(counts, 2 * counts) == pytest.approx(
        np.mean(np.sort(doubled) - np.sort(log))
    )
    with pytest.raises(ValueError, match="`synthetic` holds -"):
        metrics.library_size_distance(counts, -counts)


def naive_mmd(real, synthetic):
    both = np.concatenate([real, synthetic])
    squared = np.array([[((x - y) ** 2).sum() for y in both] for x in both])
    width = squared.sum() / (len(both) * (len(both) - 1)) / 4
    kernel = sum(np.exp(-squared / (width * 2**i)) for i in range(5))
    n = len(real)
    return kernel[:n, :n].mean() + kernel[n:, n:].mean() - 2 * kernel[:n, n:].mean()


def test_mmd_equals_the_double_loop(rng, monkeypatch):
    real, synthetic = rng.normal(size=(25, 4)), rng.normal(0.4, 1.3, (25, 4))
    expected = naive_mmd(real, synthetic)  # components only rotate: distances stay
    assert metrics.mmd(real, synthetic) == pytest.approx(expected, rel=1e-9)
    monkeypatch.setattr(embedding, "BLOCK", 7)
    assert metrics.mmd(real, synthetic) == pytest.approx(expected, rel=1e-9)


def test_mmd_is_zero_for_identical_sets_and_large_for_separate_ones(twins):
    real, null = twins
    assert metrics.mmd(real, real) == pytest.approx(0, abs=1e-12)
    assert 0 < metrics.mmd(real, null) < 0.05
    assert metrics.mmd(real, real + 20) > 2


def naive_lisi(points, side, perplexity):
    """Inverse Simpson's index with Gaussian weights of the given perplexity, cell by cell."""
    n_neighbors = int(3 * perplexity)
    found = []
    for i, point in enumerate(points):
        distance = np.linalg.norm(points - point, axis=1)
        distance[i] = np.inf
        near = np.argsort(distance)[:n_neighbors]
        low, high = 1e-9, 1e9
        for _ in range(60):
            beta = math.sqrt(low * high)
            p = np.exp(-(distance[near] - distance[near].min()) * beta) + 1e-300
            p /= p.sum()
            low, high = (beta, high) if -p @ np.log(p) > np.log(perplexity) else (low, beta)
        found.append(1 / sum(p[side[near] == s].sum() ** 2 for s in (0, 1)))
    return np.array(found)


def test_ilisi_is_the_scaled_median_of_the_index(rng):
    real, synthetic = rng.normal(size=(80, 4)), rng.normal(0.7, 1, (80, 4))
    index = naive_lisi(np.concatenate([real, synthetic]), np.repeat([0, 1], 80), 30)
    assert metrics.ilisi(real, synthetic) == pytest.approx(np.median(index) - 1, abs=2e-3)


def test_ilisi_of_mixed_and_separate_sets(twins):
    real, null = twins
    assert metrics.ilisi(real, null) > 0.85
    assert metrics.ilisi(real, real + 100) == pytest.approx(0, abs=1e-9)
    assert 0 <= metrics.ilisi(real[:6], null[:6]) <= 1


@pytest.mark.parametrize("kind", ["pca", "genes"])
def test_a_forest_tells_apart_separate_sets_but_not_equal_ones(twins, kind):
    real, null = twins
    assert metrics.forest_auc(real, real + 20, kind, n_estimators=20) == 1
    assert abs(metrics.forest_auc(real, null, kind, n_estimators=100) - 0.5) < 0.12


def test_a_forest_on_genes_sees_what_principal_components_hide(rng):
    real, synthetic = rng.normal(0, 5, (2, 200, 80))
    real[:, 7], synthetic[:, 7] = rng.normal(0, 0.1, 200), rng.normal(0.6, 0.1, 200)
    assert metrics.forest_auc(real, synthetic, "genes", n_estimators=100) > 0.9
    assert metrics.forest_auc(real, synthetic, "pca", n_estimators=100) < 0.65
    names = [f"g{i}" for i in range(80)]
    table = metrics.telling_genes(real, synthetic, names, n_estimators=100)
    assert table.index[0] == "g7"
    assert table["importance"].sum() == pytest.approx(1)
    assert table.loc["g7", "mean_synthetic"] == pytest.approx(synthetic[:, 7].mean())
    assert table.loc["g7", "sd_real"] == pytest.approx(real[:, 7].std())
    assert table["zeros_real"].max() == 0
    frame = pd.DataFrame(real, columns=names)
    assert metrics.telling_genes(frame, synthetic, n_estimators=5).index.isin(names).all()
    with pytest.raises(ValueError, match="one name for each of the 80 genes, got 2"):
        metrics.telling_genes(real, synthetic, ["a", "b"])


def test_knn_tells_apart_separate_sets_but_not_equal_ones(twins):
    real, null = twins
    assert metrics.knn_auc(real, real + 20) == 1
    assert abs(metrics.knn_auc(real, null) - 0.5) < 0.12
    assert metrics.knn_auc(real[:8], null[:8] + 20) == 1


def test_forest_refuses_other_kinds(twins):
    with pytest.raises(ValueError, match="'pca' or 'genes', got 'umap'"):
        metrics.forest_auc(*twins, "umap")


def naive_density_and_coverage(real, synthetic, k):
    radius = [np.sort(np.linalg.norm(real - x, axis=1))[k] for x in real]
    inside = [
        [np.linalg.norm(x - y) <= r for y in synthetic] for x, r in zip(real, radius, strict=True)
    ]
    return np.sum(inside) / (k * len(synthetic)), np.mean(np.any(inside, axis=1))


def test_density_and_coverage_equal_the_double_loop(rng):
    real, synthetic = rng.normal(size=(30, 3)), rng.normal(0.5, 0.7, (30, 3))
    for k in (1, 5):
        density, coverage = naive_density_and_coverage(real, synthetic, k)
        assert metrics.density(real, synthetic, n_neighbors=k) == pytest.approx(density)
        assert metrics.coverage(real, synthetic, n_neighbors=k) == pytest.approx(coverage)


def test_density_and_coverage_of_identical_sets(twins):
    assert metrics.coverage(twins[0], twins[0]) == 1
    assert metrics.density(twins[0], twins[0]) == pytest.approx(6 / 5)
    repeated = np.repeat(twins[0][:10], 10, axis=0)  # balls of radius 0
    assert metrics.coverage(repeated, repeated) == 1


@pytest.mark.parametrize("metric", [metrics.mmd, metrics.ilisi, metrics.knn_auc, metrics.coverage])
def test_cells_that_do_not_differ_have_no_components(metric):
    with pytest.raises(ValueError, match="all 40 cells are the same"):
        metric(np.ones((20, 3)), np.ones((20, 3)))


def test_coverage_of_one_distribution_is_as_published(rng):
    """Naeem et al. 2020, equation 9: it depends on the numbers of cells alone."""
    n, k = 1000, 5
    expected = 1 - math.prod((n - i) / (2 * n - i) for i in range(1, k + 1))
    found = [
        manifold.density_and_coverage_of(*rng.normal(size=(2, n, 3)), n_neighbors=k)
        for _ in range(5)
    ]
    assert np.mean([c for _, c in found]) == pytest.approx(expected, abs=0.01)
    assert np.mean([d for d, _ in found]) == pytest.approx(1, abs=0.05)


def test_a_missing_kind_of_cell_lowers_coverage_and_not_density(rng):
    real = np.concatenate([rng.normal(size=(150, 4)), rng.normal(30, 1, (150, 4))])
    half = rng.normal(size=(300, 4))
    assert metrics.coverage(real, half) == pytest.approx(0.5, abs=0.02)
    assert metrics.density(real, half) > 0.8


def test_markers_of_equal_cells_agree_and_doubled_changes_have_slope_two(rng):
    labels = np.repeat(["a", "b", "c"], 10)
    linear = rng.gamma(1, 3, (3, 12))[np.repeat([0, 1, 2], 10)]
    table = metrics.marker_lfc_agreement(np.log1p(linear), np.log1p(linear), labels, labels)
    np.testing.assert_allclose(table[["correlation", "slope"]], 1)
    two = labels != "c"
    real, doubled = linear[two], (1 + linear[two]) ** 2 - 1
    table = metrics.marker_lfc_agreement(
        np.log1p(real), np.log1p(doubled), labels[two], labels[two], n_markers=5
    )
    np.testing.assert_allclose(table["slope"], 2)
    np.testing.assert_allclose(table["correlation"], 1)


def test_markers_leave_out_small_classes_and_say_so(rng):
    real = rng.gamma(1, 1, (30, 6))
    labels = np.repeat(["a", "b", "c"], [20, 7, 3])
    table = metrics.marker_lfc_agreement(real, real, labels, labels)
    assert table.index.tolist() == ["a", "b", "c"]
    assert table["slope"].isna().tolist() == [False, False, True]
    assert table["n_real"].tolist() == [20, 7, 3]
    with pytest.raises(ValueError, match="only 'a'"):
        metrics.marker_lfc_agreement(real, real, ["a"] * 30, labels)
    with pytest.raises(ValueError, match="`synthetic_labels` needs one label for each of the 30"):
        metrics.marker_lfc_agreement(real, real, labels, labels[:4])
    with pytest.raises(ValueError, match=r"no label for 1 of 30 cells, the first in row 2"):
        metrics.marker_lfc_agreement(
            real, real, [None if i == 2 else "a" for i in range(30)], labels
        )


def test_r2_is_read_at_the_genes_that_respond(rng):
    control = np.zeros((4, 6))
    real = np.tile([0.0, 3.0, -2.0, 1.0, 0.1, 0.2], (5, 1))
    predicted = np.tile([9.0, 2.0, -2.0, 9.0, 9.0, 9.0], (3, 1))
    # Genes 1 and 2: residuals 1 and 0, total (2.5)² twice.
    assert metrics.r2_top_genes(real, predicted, control, n_genes=2) == pytest.approx(1 - 1 / 12.5)
    assert metrics.r2_top_genes(real, real, control) == 1
    assert metrics.r2_top_genes(real, control, control, n_genes=2) < 0.5
    with pytest.raises(ValueError, match=r"`real` and `control` .* 6 and 5"):
        metrics.r2_top_genes(real, predicted, control[:, :5])
    with pytest.raises(ValueError, match="n_genes=1 of 6"):
        metrics.r2_top_genes(real, predicted, control, n_genes=1)


@pytest.mark.parametrize("metric", PAIRED, ids=lambda f: f.__name__)
def test_metrics_leave_their_input_alone_and_repeat(metric, rng):
    real, synthetic = rng.poisson(3.0, (2, 40, 10)).astype(np.float32)
    before = real.copy(), synthetic.copy()
    first, again = metric(real, synthetic), metric(real, synthetic)
    np.testing.assert_array_equal(
        np.asarray(first[-1] if isinstance(first, tuple) else first),
        np.asarray(again[-1] if isinstance(again, tuple) else again),
    )
    np.testing.assert_array_equal(real, before[0])
    np.testing.assert_array_equal(synthetic, before[1])


@pytest.mark.parametrize("metric", PAIRED, ids=lambda f: f.__name__)
@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda X: X[:, :-1], ValueError, "`real` and `synthetic` .* 10 and 9"),
        (lambda X: np.where(X.max() == X, np.nan, X), ValueError, "`synthetic` must be finite"),
        (lambda X: X[:0], ValueError, "`synthetic` has 0"),
        (lambda X: X[0], ValueError, r"`synthetic` must be a numeric matrix .* \(10,\)"),
        (lambda X: X.astype(str), ValueError, "`synthetic` must be a numeric matrix"),
        (sparse.csr_matrix, TypeError, r"`synthetic` must be dense, .* \.toarray"),
    ],
)
def test_metrics_say_what_is_wrong_with_their_input(metric, spoil, error, message, rng):
    real, synthetic = rng.poisson(3.0, (2, 40, 10)).astype(np.float32)
    with pytest.raises(error, match=message):
        metric(real, spoil(synthetic))


def test_a_view_of_an_anndata_is_dense_though_it_has_toarray(rng):
    cells = ad.AnnData(rng.poisson(3.0, (20, 10)).astype(np.float32))
    assert metrics.pcc(cells[:10].X, cells[10:].X) == metrics.pcc(cells.X[:10], cells.X[10:])


def test_data_frames_must_name_the_same_genes(rng):
    real = pd.DataFrame(rng.normal(size=(9, 3)), columns=["A", "B", "C"])
    assert metrics.pcc(real, real) == pytest.approx(1)
    with pytest.raises(ValueError, match=r"column 1 is 'B' in `real` and 'C' in .* \(2 differ\)"):
        metrics.pcc(real, real[["A", "C", "B"]])


def test_large_sets_are_subsampled_to_the_same_number(twins):
    real, null = twins
    values = {metrics.mmd(real, null, max_cells=50, random_state=seed) for seed in range(3)}
    assert len(values) == 3
    assert metrics.mmd(real, null[:40]) > 2 * metrics.mmd(real, null)  # about 4 / n
    with pytest.raises(ValueError, match="`max_cells` must be at least 8 here, got 3"):
        metrics.knn_auc(real, null, max_cells=3)


def test_the_package_and_its_metrics_import_no_plotting():
    code = (
        "import scdiff_augment, scdiff_augment.metrics, sys;"
        "print([m for m in ('matplotlib', 'scanpy', 'umap') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
