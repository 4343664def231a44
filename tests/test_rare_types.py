"""Topping up rare types alone, and too few cells multiplied too often."""

import pickle
from collections import Counter

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from imblearn.over_sampling import RandomOverSampler
from imblearn.pipeline import make_pipeline
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from tiny import make_sampler

from scdiff_augment import RareTypes, oversample_adata

Y = np.repeat(["a", "b", "c", "d", "e"], [100, 81, 40, 12, 3])


@pytest.mark.parametrize(
    ("below", "wanted"),
    [
        (0.5, {"d": 20, "e": 20}),
        (1.0, {"d": 40, "e": 40}),
        (0.26, {"e": 11}),  # 10.4, rounded up
        (12, {"e": 12}),
        (90, {"b": 90, "c": 90, "d": 90, "e": 90}),
        (np.int64(13), {"d": 13, "e": 13}),
    ],
)
def test_types_below_the_level_are_topped_up_to_it_and_no_others(below, wanted):
    assert RareTypes(below)(Y) == wanted
    X = np.zeros((len(Y), 1))
    _, y = RandomOverSampler(sampling_strategy=RareTypes(below), random_state=0).fit_resample(X, Y)
    assert Counter(y.tolist()) == Counter(Y.tolist()) | Counter(wanted)


def test_numbers_and_booleans_are_types_too():
    assert RareTypes(3)(np.repeat([7, 9], [5, 2])) == {9: 3}
    assert RareTypes(3)(np.repeat([True, False], [5, 2])) == {False: 3}


def test_it_is_a_value():
    strategy = RareTypes(below=0.5)
    assert strategy == RareTypes() == pickle.loads(pickle.dumps(strategy)) == clone(strategy)
    assert repr(strategy) == "RareTypes(below=0.5)"
    assert hash(strategy) == hash(RareTypes(0.5))
    assert clone(make_sampler(sampling_strategy=strategy)).sampling_strategy == strategy
    with pytest.raises(AttributeError):
        strategy.below = 0.3


def test_nothing_to_add_is_said():
    with pytest.warns(UserWarning, match=r"\(below=3\) adds nothing.*at least 3 .*'e' with 3.*Rai"):
        assert RareTypes(3)(Y) == {}


@pytest.mark.parametrize(
    ("below", "error", "message"),
    [
        (0, ValueError, "must be positive, got 0"),
        (-0.5, ValueError, "must be positive"),
        (float("nan"), ValueError, "must be positive"),
        (50.0, ValueError, r"`below`=50.0 is a share.*pass below=50\."),
        (float("inf"), ValueError, "pass an int"),
        ("half", TypeError, "got 'half'"),
        (True, TypeError, "got True"),
    ],
)
def test_a_level_that_is_none_is_refused(below, error, message):
    with pytest.raises(error, match=message):
        RareTypes(below)


def test_it_works_in_fit_resample_and_pipelines(counts):
    X, y = counts
    sampler = make_sampler(sampling_strategy=RareTypes(0.5))  # sizes 60, 30, 10; half of 30
    pipeline = make_pipeline(sampler, LogisticRegression(max_iter=5)).set_params(
        logisticregression__tol=10
    )
    assert len(pipeline.fit(X, y).predict(X)) == 100
    _, more = sampler.fit_resample(X, y)
    assert Counter(more.tolist()) == {"common": 60, "middle": 30, "rare": 15}
    assert sampler.sampling_strategy_ == {"rare": 5}


def test_it_works_for_anndata_in_memory_and_from_file_to_file(counts, tmp_path):
    X, y = counts
    cells = ad.AnnData(X, pd.DataFrame({"type": y}, index=[f"c{i}" for i in range(100)]))
    cells.write_h5ad(tmp_path / "cells.h5ad")
    sampler = make_sampler(sampling_strategy=RareTypes(20))
    more = oversample_adata(cells, "type", sampler=sampler)
    assert more.obs["type"].value_counts()["rare"] == 20
    out = tmp_path / "more.zarr"
    oversample_adata(tmp_path / "cells.h5ad", "type", sampler=sampler, out=out)
    stored = ad.read_zarr(out)
    assert stored.n_obs == 110
    strategy = stored.uns["scdiff_augment"]["parameters"]["sampling_strategy"]
    assert strategy == "RareTypes(below=20)"


def test_few_cells_multiplied_often_are_warned_of(counts, tmp_path):
    X, y = counts
    keep = np.r_[0:90, 90:92]  # two cells of the rare type
    X, y = X[keep], y[keep]
    sampler = make_sampler(sampling_strategy={"rare": 41})
    with pytest.warns(UserWarning, match=r"'rare': 2 real cells become 41.*up to 20-fold"):
        sampler.fit_resample(X, y)
    assert any("2 real cells become 41" in note for note in sampler.history_["notes"])
    make_sampler(sampling_strategy={"rare": 40}).fit_resample(X, y)  # a warning would be an error
    with pytest.warns(UserWarning, match="'rare': 1 real cell becomes 30"):
        make_sampler(sampling_strategy={"rare": 30}).fit_resample(X[:-1], y[:-1])
    cells = ad.AnnData(X, pd.DataFrame({"type": y}, index=[f"c{i}" for i in range(92)]))
    with pytest.warns(UserWarning, match="2 real cells become 41"):
        oversample_adata(cells, "type", sampler=sampler, out=tmp_path / "more.zarr")
    assert any("2 real cells become 41" in note for note in sampler.history_["notes"])


def test_five_cells_may_be_multiplied(counts):
    X, y = counts
    keep = np.r_[0:90, 90:95]
    sampler = make_sampler(sampling_strategy={"rare": 200})
    assert len(sampler.fit_resample(X[keep], y[keep])[0]) == 290  # a warning would be an error
