"""New cells for one batch: counted within it, and moved into it from the others."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
import sklearn
from imblearn.pipeline import make_pipeline
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_validate
from tiny import make_sampler

from scdiff_augment import LatentDiffusion, oversample_adata
from scdiff_augment.expression.hashes import cell_hashes
from scdiff_augment.expression.kinds import denormalise, depth_normalised
from scdiff_augment.oversampling import base
from scdiff_augment.oversampling.target_batch import Target, cells_wanted


@pytest.fixture
def studies():
    """Counts of 4 types in an atlas (30 each) and in mine (12, 8, 3, 0), ten genes as strong."""
    rng = np.random.default_rng(0)
    sizes = {"atlas": [30, 30, 30, 30], "mine": [12, 8, 3, 0]}
    y = np.concatenate([np.repeat(list("abcd"), n) for n in sizes.values()])
    batch = np.repeat(list(sizes), [120, 23])
    profile = rng.gamma(0.6, 1.0, (4, 60)) + 0.05
    rates = profile[np.searchsorted(list("abcd"), y)]
    rates[batch == "mine", :10] *= 4
    rates *= 400 / rates.sum(axis=1, keepdims=True)
    return rng.poisson(rates), y, batch


def added(sampler, X, y, **annotation):
    _, y_out = sampler.fit_resample(X, y, **annotation)
    return dict(Counter(y_out[len(y) :].tolist()))


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("auto", {"b": 4, "c": 9, "d": 12}),
        ("not majority", {"b": 4, "c": 9, "d": 12}),
        ("minority", {"d": 12}),
        ("not minority", {"b": 4, "c": 9}),
        ("all", {"b": 4, "c": 9, "d": 12}),
        ({"c": 5, "d": 7}, {"c": 2, "d": 7}),
        ({"c": 3, "d": 0, "b": 9}, {"b": 1}),
        (lambda y: {"a": len(y), "d": 5}, {"a": 12, "d": 5}),
    ],
)
def test_classes_are_counted_in_the_batch(studies, strategy, expected):
    X, y, batch = studies
    sampler = make_sampler(into="mine", sampling_strategy=strategy)
    assert added(sampler, X, y, batch=batch) == expected
    made = {label: n for label, n in sampler.sampling_strategy_.items() if n}
    assert made == expected
    fitted = clone(sampler).fit(X, y, batch=batch)
    assert fitted.sampling_strategy_ == sampler.sampling_strategy_


def test_a_share_is_one_of_the_largest_class_in_the_batch():
    y = np.array(["a"] * 20 + ["b"] * 90)
    inside = np.arange(110) < 20
    assert cells_wanted(0.5, y, Target("batch", "mine", inside)) == {"b": 10}


def test_final_numbers_below_those_of_the_batch_are_refused(studies):
    X, y, batch = studies
    with pytest.raises(ValueError, match="should be greater or equal"):
        make_sampler(into="mine", sampling_strategy={"a": 11}).fit_resample(X, y, batch=batch)


@pytest.mark.parametrize("container", ["array", "frame", "csr", "log1p"])
def test_real_cells_stay_and_containers_too(studies, container):
    X, y, batch = studies
    given = {
        "array": lambda: X,
        "frame": lambda: pd.DataFrame(X, columns=[f"g{i}" for i in range(60)]),
        "csr": lambda: sparse.csr_matrix(X),
        "log1p": lambda: depth_normalised(X),
    }[container]()
    sampler = make_sampler(into="mine")
    out, y_out = sampler.fit_resample(given, y, batch=batch)
    assert type(out) is type(given)
    assert out.shape == (143 + 25, 60)
    dense = out.toarray() if sparse.issparse(out) else np.asarray(out)
    real = given.toarray() if sparse.issparse(given) else np.asarray(given)
    np.testing.assert_array_equal(dense[:143], real)
    np.testing.assert_array_equal(y_out[:143], y)
    assert dense.dtype == real.dtype
    assert sampler.annotations_["batch"].tolist() == ["mine"] * 25


def test_notes_say_what_was_never_seen_and_where_its_change_is_from(studies):
    X, y, batch = studies
    sampler = make_sampler(into="mine")
    sampler.fit_resample(X, y, batch=batch)
    notes = {note.split()[1]: note for note in sampler.history_["notes"] if note.startswith("y ")}
    assert notes["d"].startswith(
        "y d was never seen with batch mine: drawn as in 1.00 atlas, moved by the change from "
        "there in 0."
    )
    assert "own cells" not in notes["d"]
    assert notes["c"].startswith("y c has 3 cells with batch mine: drawn as in 1.00 atlas")
    assert "its own cells, 0." in notes["c"]


def test_new_cells_of_a_class_that_the_batch_lacks_look_as_the_batch_does(studies):
    X, y, batch = studies
    parameters = {"decoder_steps": 200, "denoiser_steps": 100, "temperature": 1.0}
    sampler = make_sampler(into="mine", sampling_strategy={"d": 60}, **parameters)
    out, _ = sampler.fit_resample(X, y, batch=batch)
    shares = [cells[:, :10].sum() / cells.sum() for cells in (X[y == "d"], out[143:])]
    raised = 4 * shares[0] / (1 + 3 * shares[0])
    assert abs(shares[1] - raised) < abs(shares[1] - shares[0])  # .34; .16 there, .43 here


def test_donors_and_numbers_name_targets_too(studies):
    X, y, batch = studies
    number = np.where(batch == "mine", 7, 3)
    sampler = make_sampler(into=7)
    assert added(sampler, X, y, donor=number) == {"b": 4, "c": 9, "d": 12}
    assert sampler.annotations_["donor"].dtype == number.dtype
    assert set(sampler.annotations_["donor"]) == {7}


def test_starts_are_real_cells_of_the_class(studies):
    X, y, batch = studies
    sampler = make_sampler(into="mine", strength=0.5)
    _, y_out = sampler.fit_resample(X, y, batch=batch)
    np.testing.assert_array_equal(y[sampler.synthetic_source_], y_out[143:])


def test_each_fold_borrows_from_its_own_cells_alone(studies):
    X, y, batch = studies
    X, y, batch = (np.concatenate([part, part[batch == "mine"][:20]]) for part in studies)
    folds = list(StratifiedKFold(3, shuffle=True, random_state=0).split(X, y))
    with sklearn.config_context(enable_metadata_routing=True):
        sampler = make_sampler(into="mine").set_fit_resample_request(batch=True)
        pipeline = make_pipeline(sampler, LogisticRegression(max_iter=500))
        found = cross_validate(
            pipeline, X, y, cv=folds, params={"batch": batch}, return_estimator=True
        )
    assert found["test_score"].min() > 0.8
    for (train, _), fitted in zip(folds, found["estimator"], strict=True):
        ours = fitted[0]
        seen = cell_hashes(denormalise(X[train], "counts"), None)
        np.testing.assert_array_equal(ours.generator_.training_hashes_, seen)
        there = Counter(y[train][batch[train] == "mine"].tolist())
        largest = max(there.values())
        expected = {label: largest - there[label] for label in "abcd"}
        got = {label: ours.sampling_strategy_.get(label, 0) for label in "abcd"}
        assert got == expected


def test_sparse_blocks_files_and_saved_models_take_the_same_way(studies, tmp_path, monkeypatch):
    ad = pytest.importorskip("anndata")
    X, y, batch = studies
    obs = pd.DataFrame({"kind": y, "study": batch}, index=[f"c{i}" for i in range(143)])
    adata = ad.AnnData(sparse.csr_matrix(X), obs)
    path = oversample_adata(
        adata, "kind", batch_key="study", sampler=make_sampler(into="mine"), out=tmp_path / "m.zarr"
    )
    more = ad.read_zarr(path)
    new = more.obs[more.obs["is_synthetic"]]
    assert Counter(new["kind"]) == {"b": 4, "c": 9, "d": 12}
    assert set(new["study"]) == {"mine"}
    monkeypatch.setattr(base, "LARGE", 10)
    sampler = make_sampler(into="mine")
    assert added(sampler, adata.X, y, batch=batch) == {"b": 4, "c": 9, "d": 12}
    sampler.generator_.save(tmp_path / "model")
    models = [LatentDiffusion.load(tmp_path / "model", random_state=1) for _ in range(2)]
    wanted = {"y": "d", "batch": "mine"}
    ours, shift = (model.plan(wanted, 4)[1] for model in models), sampler.generator_.plan(wanted, 4)
    for request in ours:
        np.testing.assert_array_equal(request.shift, shift[1].shift)
        assert not request.steering["batch"].any()
    np.testing.assert_array_equal(*(model.sample(wanted, 4) for model in models))


def test_no_batch_to_make_cells_for(studies):
    X, y, batch = studies
    sampler = make_sampler(into="mine")
    with pytest.raises(ValueError, match=r"needs either batch= or donor=, got neither"):
        sampler.fit_resample(X, y)
    with pytest.raises(ValueError, match=r"got donor= and batch="):
        sampler.fit_resample(X, y, batch=batch, donor=batch)
    with pytest.raises(ValueError, match=r"no cell has batch 'min'. Did you mean 'mine'\? It has"):
        make_sampler(into="min").fit_resample(X, y, batch=batch)
    with pytest.raises(ValueError, match=r"all 120 cells are of batch 'atlas', so there is"):
        make_sampler(into="atlas").fit_resample(X[:120], y[:120], batch=batch[:120])
    with pytest.raises(ValueError, match="'into' parameter"):
        make_sampler(into=["mine"]).fit_resample(X, y, batch=batch)


def test_a_class_that_shares_no_batch_with_what_mine_has_cannot_be_borrowed(studies):
    X, y, batch = studies
    batch = np.where(y == "d", "other", batch)
    sampler = make_sampler(into="mine")
    with pytest.raises(ValueError, match=r"class 'd' was seen in batch 'other' only, and no class"):
        sampler.fit_resample(X, y, batch=batch)
    sampler.set_params(sampling_strategy={"c": 12})
    assert added(sampler, X, y, batch=batch) == {"c": 9}


def test_a_class_of_mine_alone_is_drawn_as_it_is(studies):
    X, y, batch = studies
    keep = (y != "c") | (batch == "mine")
    sampler = make_sampler(into="mine")
    assert added(sampler, X[keep], y[keep], batch=batch[keep]) == {"b": 4, "c": 9, "d": 12}
    assert not any(note.startswith("y c") for note in sampler.history_["notes"])


def test_only_a_condition_within_another_has_somewhere_to_move_into(studies):
    X, y, batch = studies
    model = make_sampler().unfitted_model(0).fit(X).add_condition("type", y)
    with pytest.raises(ValueError, match="into='mine' says which class of 'batch' types are moved"):
        model.add_condition("batch", batch, into="mine")
    with pytest.raises(ValueError, match="condition 'batch' has no class 'min'"):
        model.add_condition("batch", batch, within={"type": y}, into="min")
