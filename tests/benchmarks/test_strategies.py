from collections import Counter

import numpy as np
import pytest
from imblearn.over_sampling import SMOTE

from benchmarks.resources import Measure
from benchmarks.strategies import STRATEGIES, build_strategy, check_params

TRIVIAL = ["none", "class_weight", "class_weight_thresholds", "random_oversampler", "smote"]


def test_which_strategies_are_trivial():
    assert [name for name, entry in STRATEGIES.items() if entry.trivial] == TRIVIAL
    assert [name for name, entry in STRATEGIES.items() if entry.package] == [
        "latent_gaussian",
        "diffusion",
    ]


def test_what_each_trivial_strategy_does():
    built = {name: build_strategy(name, "auto", 0, {}) for name in TRIVIAL}
    flags = {
        name: (s.sampler is not None, s.class_weight, s.thresholds) for name, s in built.items()
    }
    assert flags == {
        "none": (False, False, False),
        "class_weight": (False, True, False),
        "class_weight_thresholds": (False, True, True),
        "random_oversampler": (True, False, False),
        "smote": (True, False, False),
    }


@pytest.mark.parametrize("name", ["random_oversampler", "smote"])
@pytest.mark.parametrize("sampling_strategy", ["auto", {"D": 40}])
def test_a_sampler_tops_up_the_classes_it_is_told_to(name, sampling_strategy, dataset):
    sampler = build_strategy(name, sampling_strategy, 0, {}).sampler
    X, y = sampler.fit_resample(dataset.X, dataset.y)
    np.testing.assert_array_equal(X[: len(dataset.y)], dataset.X)
    expected = {"D": 40} if sampling_strategy != "auto" else dict.fromkeys("BCD", 60)
    assert Counter(y.tolist()) == Counter(dataset.y.tolist()) | Counter(expected)


def test_smote_lowers_its_neighbours_to_the_class_and_says_so(dataset):
    keep = np.r_[np.flatnonzero(dataset.y != "D"), np.flatnonzero(dataset.y == "D")[:3]]
    X, y = dataset.X[keep], dataset.y[keep]
    sampler = build_strategy("smote", "auto", 0, {}).sampler
    found, _ = sampler.fit_resample(X, y)
    expected, _ = SMOTE(k_neighbors=2, random_state=0).fit_resample(X, y)
    np.testing.assert_array_equal(found, expected)
    assert sampler.note_ == "k_neighbors lowered from 5 to 2: class 'D' has 3 cells"
    sampler = build_strategy("smote", "auto", 0, {}).sampler
    sampler.fit_resample(dataset.X, dataset.y)
    assert sampler.note_ == ""
    with pytest.raises(ValueError, match=r"Class 'D' has 1 cell; SMOTE interpolates"):
        sampler.fit_resample(X[:-2], y[:-2])


def test_parameters_are_checked():
    check_params("smote", {"k_neighbors": 3})
    with pytest.raises(ValueError, match=r"Strategy 'none' has no parameter 'x'. There is none"):
        check_params("none", {"x": 1})
    with pytest.raises(ValueError, match=r"Did you mean 'shrinkage'"):
        check_params("random_oversampler", {"shrinking": 1})


def test_measure_sees_time_and_memory():
    with Measure() as cost:
        block = np.ones(40_000_000 // 8)
        block += 1
    assert cost.added_mb > 30
    assert cost.peak_mb > cost.added_mb
    assert 0 < cost.seconds < 10
