"""Learning quality: the default sampler on real cells."""

import os
from pathlib import Path

import anndata as ad
import numpy as np
import pytest
from imblearn.over_sampling import SMOTE
from scanpy.datasets import pbmc68k_reduced
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import train_test_split

from scdiff_augment import DiffusionOversampler
from scdiff_augment.expression.kinds import depth_normalised

KANG = Path(
    os.environ.get("SCDIFF_DATA", Path(__file__).parents[2] / "shared" / "data"),
    "kang_pbmc_ctrl.h5ad",
)
RARE = ["Dendritic cells", "FCGR3A+ Monocytes", "NK cells"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:class .* real cells? become"),
]


@pytest.fixture(scope="module")
def blood():
    """Half of pbmc68k_reduced to learn from, half set aside, and what the sampler adds."""
    adata = pbmc68k_reduced()
    X, y = adata.raw.X.toarray(), adata.obs["bulk_labels"].astype(str).to_numpy()
    X, X_aside, y, y_aside = train_test_split(X, y, test_size=0.5, stratify=y, random_state=0)
    out, y_out = DiffusionOversampler(random_state=0).fit_resample(X, y)
    return X, y, X_aside, y_aside, out[len(X) :], y_out[len(X) :]


def test_synthetic_cells_have_the_zeros_of_real_ones_of_their_type(blood):
    """Per gene nearly as alike as the other half of the real cells, which are the null."""
    X, y, X_aside, y_aside, new, y_new = blood
    for label in np.unique(y_new):
        if np.sum(y == label) >= 20:
            real = X[y == label] == 0
            synthetic, aside = new[y_new == label] == 0, X_aside[y_aside == label] == 0
            assert abs(real.mean() - synthetic.mean()) < 0.035, label
            null = np.corrcoef(real.mean(axis=0), aside.mean(axis=0))[0, 1]
            found = np.corrcoef(real.mean(axis=0), synthetic.mean(axis=0))[0, 1]
            assert found > null - 0.03, label


def test_a_judge_that_never_saw_the_training_cells_knows_the_types(blood):
    """At least as often as it knows real cells, less ten points."""
    X, y, X_aside, y_aside, new, y_new = blood
    judge = LogisticRegression(C=0.03, max_iter=2000, class_weight="balanced").fit(X_aside, y_aside)
    labels = [label for label in np.unique(y_new) if np.sum(y_aside == label) >= 10]
    real = np.mean([judge.score(X[y == k], y[y == k]) for k in labels])
    synthetic = np.mean([judge.score(new[y_new == k], y_new[y_new == k]) for k in labels])
    assert synthetic > real - 0.1


def test_synthetic_cells_are_not_copies(blood):
    """No nearer to a training cell than real cells of the other half are, on the whole."""
    X, _, X_aside, _, new, _ = blood

    def nearest(A):
        squared = (A**2).sum(1)[:, None] + (X**2).sum(1)[None] - 2 * A @ X.T
        return np.sqrt(squared.clip(min=0)).min(axis=1)

    assert np.median(nearest(new)) > 0.85 * np.median(nearest(X_aside))
    assert nearest(new).min() > 0


@pytest.mark.shared_data
@pytest.mark.skipif(not KANG.exists(), reason=f"needs {KANG.name} in SCDIFF_DATA")
def test_ten_cells_a_type_are_enough_to_beat_smote():
    adata = ad.read_h5ad(KANG)
    X = depth_normalised(adata.X.toarray())
    y = adata.obs["cell_type"].astype(str).to_numpy()
    train, test = train_test_split(np.arange(len(y)), test_size=0.5, stratify=y, random_state=0)
    rng = np.random.default_rng(0)
    kept = [rng.choice(train[y[train] == label], 10, replace=False) for label in RARE]
    kept.append(rng.choice(train[~np.isin(y[train], RARE)], 2500, replace=False))
    train = np.concatenate(kept)
    scores = {}
    for name, sampler in {
        "smote": SMOTE(random_state=0),
        "diffusion": DiffusionOversampler(random_state=0),
    }.items():
        judge = LogisticRegression(C=0.03, max_iter=2000)
        judge.fit(*sampler.fit_resample(X[train], y[train]))
        scores[name] = f1_score(y[test], judge.predict(X[test]), labels=RARE, average="macro")
    assert scores["diffusion"] > 0.65
    assert scores["diffusion"] > scores["smote"] + 0.15
