"""Each trap: the leaky way scores visibly too well, and the harness does not go it or says so."""

from dataclasses import replace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from imblearn.over_sampling import RandomOverSampler
from scdiff_bench.classifiers.thresholds import tune_weights
from scdiff_bench.data.datasets import from_anndata
from scdiff_bench.evaluation.leakage import require_apart, require_unseen
from scdiff_bench.running import scoring as judging
from scdiff_bench.running import units
from scdiff_bench.running.runner import load_datasets, make_units
from scdiff_bench.strategies import catalogue as strategies
from scdiff_bench.strategies.catalogue import Entry, Strategy
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

CHANCE = 0.5


def noise(n_cells=100, n_genes=2000, seed=0):
    """Cells that tell nothing about their labels."""
    rng = np.random.default_rng(seed)
    X = np.log1p(rng.poisson(2.0, (n_cells, n_genes))).astype(np.float32)
    return X, np.repeat(["a", "b"], [n_cells // 2, n_cells - n_cells // 2])


def test_genes_chosen_on_all_cells():
    X, y = noise()
    best = SelectKBest(f_classif, k=20)
    leaky = cross_val_score(LogisticRegression(max_iter=1000), best.fit_transform(X, y), y).mean()
    honest = cross_val_score(make_pipeline(best, LogisticRegression(max_iter=1000)), X, y).mean()
    assert leaky > 0.8
    assert abs(honest - CHANCE) < 0.15


def test_nothing_that_is_fitted_sees_the_test_cells(make_config, dataset, monkeypatch):
    """Genes, components, new cells and thresholds stay as they are when test cells change."""
    entry = {"name": "pca_smote", "thresholds": True}
    config = make_config(strategies=[entry], classifiers=["knn", "mlp"], n_genes=20)
    (unit, *_) = make_units(config, load_datasets(config))
    spoilt, kept = unit.fold.test[::2], unit.fold.test[1::2]
    X = dataset.X.copy()
    X[spoilt] = np.random.default_rng(0).gamma(1, 5, (len(spoilt), X.shape[1]))
    calls = []
    scored = judging.score

    def keep(truth, called, *rest):
        calls.append(called[1::2])
        return scored(truth, called, *rest)

    monkeypatch.setattr(judging, "score", keep)
    other = replace(unit, dataset=replace(dataset, X=X))
    assert {r["status"] for u in (unit, other) for r in units.run_unit(u)["rows"]} == {"ok"}
    assert len(calls) == 8
    assert len(kept) == len(calls[0]) > 20
    for before, after in zip(calls[:4], calls[4:], strict=True):
        np.testing.assert_array_equal(before, after)


def test_resampling_before_the_split(make_anndata):
    X, y = noise(60, 50)
    few = np.r_[:30, 30:40]
    X_more, y_more = RandomOverSampler(random_state=0).fit_resample(X[few], y[few])

    def f1_of_b(X, y):
        called = cross_val_predict(RandomForestClassifier(50, random_state=0), X, y)
        return f1_score(y, called, pos_label="b", zero_division=0)

    leaky, honest = f1_of_b(X_more, y_more), f1_of_b(X[few], y[few])
    assert leaky > 0.9
    assert honest < 0.4
    # A file that was resampled before it was written is caught by its copies.
    adata = make_anndata()
    twice = np.r_[np.arange(adata.n_obs), np.flatnonzero(adata.obs["cell_type"] == "D")]
    names = [f"c{i}" for i in range(len(twice))]
    obs = pd.DataFrame({"cell_type": adata.obs["cell_type"].to_numpy()[twice]}, index=names)
    more = ad.AnnData(adata.X[twice], obs=obs, var=adata.var)
    data = from_anndata(more, "resampled", "cell_type")
    from scdiff_bench.evaluation.splits import make_folds

    folds = make_folds(data.y, 0, "repeated_stratified_cv", {"n_splits": 3})
    with pytest.raises(ValueError, match=r"test cells have the values of a training cell.*copies"):
        require_apart(data, folds[0])


def test_a_fold_whose_parts_overlap_is_refused(make_config, dataset):
    (unit, *_) = make_units(config := make_config(), load_datasets(config))
    fold = unit.fold
    with pytest.raises(ValueError, match="1 cells are in both training and test set"):
        require_apart(dataset, replace(fold, train=np.append(fold.train, fold.test[0])))
    with pytest.raises(ValueError, match="held out for the oracle are also in the training set"):
        require_apart(dataset, replace(fold, reserve=fold.train[:1]))
    with pytest.raises(ValueError, match="1 cells are in both training and test set"):
        require_apart(dataset, replace(fold, reserve=fold.test[:1]))


def test_the_guiding_classifier_as_the_judge():
    """Cells picked for what one classifier says of them convince that one and no other."""
    X, y = noise(400, 200)
    rng = np.random.default_rng(1)
    half = rng.permutation(400)
    guide = LogisticRegression(max_iter=1000).fit(X[half[:200]], y[half[:200]])
    judge = LogisticRegression(max_iter=1000).fit(X[half[200:]], y[half[200:]])
    drawn = np.log1p(rng.poisson(2.0, (4000, 200))).astype(np.float32)
    made = drawn[guide.predict_proba(drawn)[:, 1] > 0.9][:200]
    assert (guide.predict(made) == "b").mean() == 1.0
    null = cross_val_score(LogisticRegression(max_iter=1000), X, y).mean()  # what real cells get
    assert abs((judge.predict(made) == "b").mean() - null) < 0.25


def test_a_donor_on_both_sides(make_config, make_anndata, monkeypatch):
    """Cells tell donors, not types; types go with donors. Held-out donors see through it."""
    from scdiff_bench.data.datasets import DATASETS

    rng = np.random.default_rng(0)
    donors = np.repeat(list("stuvwxyz"), 40)
    usual = np.where(np.isin(donors, list("stuv")), "A", "B")
    rare = rng.random(len(donors)) < 0.1
    adata = make_anndata({d: 40 for d in "stuvwxyz"}, n_genes=60)  # one profile per donor
    adata.obs["donor"] = donors
    adata.obs["cell_type"] = np.where(rare, np.where(usual == "A", "B", "A"), usual)
    data = from_anndata(adata, "donors", "cell_type")
    monkeypatch.setitem(DATASETS, "donors", lambda: data)
    found = {}
    for split in ({"kind": "repeated_stratified_cv"}, {"kind": "donor_held_out"}):
        config = make_config(
            datasets=["donors"], split=split, strategies=["none"], classifiers=["random_forest"]
        )
        rows = [r for u in make_units(config, [data]) for r in units.run_unit(u)["rows"]]
        found[split["kind"]] = pd.DataFrame(rows)["accuracy"].mean()
    assert found["repeated_stratified_cv"] > 0.8
    assert found["donor_held_out"] < 0.65
    (fold, *_) = (u.fold for u in make_units(config, [data]))
    mixed = replace(fold, train=fold.test[1:], test=fold.test[:1])
    with pytest.raises(ValueError, match=r"donor 's' is in both training and test set"):
        require_apart(data, mixed, "donor")


def test_a_pretrained_generator_that_has_seen_the_test_cells(make_config, dataset, tmp_path):
    from scdiff_augment import LatentDiffusion

    def fitted(cells):
        named = pd.DataFrame(dataset.X[cells], columns=dataset.genes)
        tiny = {"n_latent": 5, "width": 16, "decoder_steps": 10, "denoiser_steps": 10}
        return LatentDiffusion(**tiny, random_state=0).fit(named)

    def rows(generator, name):
        generator.save(tmp_path / name)
        params = {"generator": str(tmp_path / name), "n_steps": 5}
        config = make_config(strategies=[{"name": "diffusion", "params": params}])
        return units.run_unit(make_units(config, load_datasets(config))[0])["rows"]

    config = make_config(strategies=["none"])
    fold = make_units(config, load_datasets(config))[0].fold
    (row,) = rows(fitted(np.arange(len(dataset.y))), "all")
    assert row["status"] == "failed"
    assert f"has seen {len(fold.test)} of the {len(fold.test)} test cells" in row["error"]
    (row,) = rows(fitted(fold.train), "train")
    assert row["status"] == "ok", row["error"]
    assert row["n_synthetic"] > 0
    with pytest.raises(ValueError, match="Train it on other cells"):
        require_unseen(fitted(fold.test[:20]), dataset, fold)


def test_tuning_on_the_test_part():
    rng = np.random.default_rng(0)
    gains = []
    for _ in range(20):
        codes = rng.choice(4, 60, p=[0.7, 0.1, 0.1, 0.1])
        codes[:4] = range(4)
        log_p = np.log(rng.dirichlet(np.ones(4), 120))  # knows nothing
        mine = tune_weights(log_p[:60], codes)
        other = rng.permutation(codes)
        score = [
            f1_score(other, (log_p[60:] + w).argmax(axis=1), average="macro")
            for w in (tune_weights(log_p[60:], other), mine)
        ]
        gains.append(score[0] - score[1])
    assert np.mean(gains) > 0.1


def test_new_cells_with_an_artefact_are_told_and_real_ones_are_not(make_config, monkeypatch):
    class Smooth:
        def fit_resample(self, X, y):
            means = np.array([X[y == "D"].mean(axis=0)] * 40, dtype=X.dtype)
            return np.concatenate([X, means]), np.concatenate([y, ["D"] * 40])

    smooth = Entry(lambda sampling_strategy, random_state: Strategy(Smooth()))
    monkeypatch.setitem(strategies.STRATEGIES, "smote", smooth)
    monkeypatch.setattr("scdiff_bench.evaluation.detector.LEAST", 5)
    config = make_config(
        strategies=["smote", "oracle"],
        split={"kind": "rare_cell_draw", "rare": ["B", "C", "D"], "n": [4], "draws": 1,
               "n_other": 30},
    )  # fmt: skip
    found = {}
    for unit in make_units(config, load_datasets(config)):
        found[unit.spec.label] = units.run_unit(unit)["rows"][0]["detector_auc"]
    assert found["smote"] > 0.95
    assert 0.2 < found["oracle"] < 0.8


def test_copies_of_a_neighbour_make_knn_too_sure():
    X, y = noise(80, 30)
    more = RandomOverSampler(random_state=0, sampling_strategy={"a": 120, "b": 120})
    X_more, y_more = more.fit_resample(X, y)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    assert cross_val_score(KNeighborsClassifier(1), X_more, y_more, cv=folds).mean() > 0.75
    assert abs(cross_val_score(KNeighborsClassifier(1), X, y, cv=folds).mean() - CHANCE) < 0.15
