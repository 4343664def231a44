"""Objects named in a config."""

from pathlib import Path

import pytest
from scdiff_bench.strategies.catalogue import build_strategy
from scdiff_bench.strategies.objects import with_objects
from sklearn.linear_model import LogisticRegression

from scdiff_augment import AutoEncoder, SCimilarityEncoder

FOLDER = Path(__file__).parents[1] / "data" / "scimilarity" / "model"


def test_plain_values_become_objects():
    built = with_objects(
        {"encoder": {"autoencoder": {"label_weight": 0.1}}, "judge": "logistic_regression"}
    )
    assert isinstance(built["encoder"], AutoEncoder)
    assert built["encoder"].label_weight == 0.1
    assert isinstance(built["judge"], LogisticRegression)
    folder = {"encoder": {"scimilarity": {"path": str(FOLDER)}}}
    assert isinstance(with_objects(folder)["encoder"], SCimilarityEncoder)
    assert with_objects({"encoder": "pca", "n_steps": 9}) == {"encoder": "pca", "n_steps": 9}


def test_strategies_take_them():
    params = {"encoder": {"autoencoder": None}, "strength": 0.5}
    sampler = build_strategy("diffusion", "auto", 0, params).sampler
    assert isinstance(sampler.encoder, AutoEncoder)
    assert sampler.strength == 0.5


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"encoder": {"autoencodr": {}}}, "autoencoder"),
        ({"encoder": {"autoencoder": {"label_wight": 1}}}, "label_weight"),
        ({"encoder": {"autoencoder": {}, "scimilarity": {}}}, "must name one kind"),
        ({"judge": "knnn"}, "knn"),
    ],
)
def test_unknown_names_get_the_nearest(params, message):
    with pytest.raises(ValueError, match=message):
        with_objects(params)
