"""The checks of imbalanced-learn and of scikit-learn, all of them."""

import pytest
from imblearn.utils import estimator_checks as imblearn_checks
from sklearn.utils import estimator_checks as sklearn_checks
from tiny import TINY

from scdiff_augment import DiffusionOversampler

SAMPLER = DiffusionOversampler(**TINY, random_state=0)


@imblearn_checks.parametrize_with_checks([SAMPLER])
def test_imbalanced_learn(estimator, check):
    check(estimator)


@sklearn_checks.parametrize_with_checks([SAMPLER])
def test_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.parametrize(
    "check",
    [
        imblearn_checks.check_param_validation,
        imblearn_checks.check_dataframe_column_names_consistency,
    ],
)
def test_declared_parameters_and_column_names(check):
    check("DiffusionOversampler", SAMPLER)
