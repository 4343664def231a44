"""What people pass as X, y and batch: imbalanced-learn's own answers, checked beside SMOTE's."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from imblearn.over_sampling import SMOTE
from scipy import sparse
from tiny import make_sampler

CODES = np.repeat([0, 1, 2], [24, 12, 8])
NAMES = np.array(["B", "NK", "T"])[CODES]
MISSING = np.where(np.arange(44) == 5, None, NAMES)
ONE_HOT = np.eye(3, dtype=int)[CODES]
COUNTS = np.random.default_rng(0).poisson(2.0 + CODES[:, None], (44, 12))
FRAME = pd.DataFrame(COUNTS.astype(float), columns=[f"g{i}" for i in range(12)])
X = FRAME.to_numpy()
ORDERED = pd.CategoricalDtype(["T", "NK", "B"], ordered=True)
UNUSED = pd.CategoricalDtype(["B", "NK", "T", "never"])


def short(**parameters):
    """Build a sampler that hardly trains."""
    return make_sampler(decoder_steps=2, denoiser_steps=2, **parameters)


def kind(value):
    """Type, shape, name and element types of a container."""
    if isinstance(value, list):
        return list, len(value), type(value[0])
    types = value.dtypes.tolist() if isinstance(value, pd.DataFrame) else value.dtype
    return type(value), value.shape, getattr(value, "name", None), types


def answer(sampler, X, y):
    """Return kinds of X and y that came back, or the type of the error."""
    try:
        return [kind(value) for value in sampler.fit_resample(X, y)]
    except Exception as error:
        return type(error)


def smote():
    return SMOTE(k_neighbors=3, random_state=0)


@pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")  # SMOTE's
@pytest.mark.parametrize(
    "y",
    [
        pytest.param(ONE_HOT, id="one-hot"),
        pytest.param(pd.DataFrame(ONE_HOT, columns=["B", "NK", "T"]), id="one-hot frame"),
        pytest.param(sparse.csr_matrix(ONE_HOT), id="sparse one-hot"),
        pytest.param(np.maximum(ONE_HOT, ONE_HOT[:, [1, 2, 0]]), id="multi-label"),
        pytest.param(np.c_[NAMES, NAMES], id="two columns of names"),
        pytest.param(NAMES[:, None], id="one column"),
        pytest.param(pd.DataFrame({"type": NAMES}), id="frame"),
        pytest.param(pd.Series(NAMES, index=np.arange(44) * 2, name="type"), id="odd index"),
        pytest.param(tuple(NAMES.tolist()), id="tuple"),
        pytest.param(NAMES.tolist(), id="list"),
        pytest.param(NAMES.astype("S"), id="bytes"),
        pytest.param(NAMES.astype("S").astype(object), id="objects of bytes"),
        pytest.param(pd.Series(CODES, dtype="Int64"), id="nullable integers"),
        pytest.param(pd.Series(CODES, dtype="Int64").where(CODES != 1), id="NA"),
        pytest.param(pd.Series(CODES > 1, dtype="boolean"), id="nullable booleans"),
        pytest.param(pd.Series(NAMES, dtype="string"), id="nullable strings"),
        pytest.param(pd.Series(NAMES, dtype="string[pyarrow]"), id="Arrow-backed strings"),
        pytest.param(pd.Series(CODES, dtype="int64[pyarrow]"), id="Arrow-backed integers"),
        pytest.param(pa.array(NAMES.tolist()), id="Arrow array"),
        pytest.param(pd.Series(NAMES, dtype="category"), id="categories"),
        pytest.param(pd.Series(NAMES, dtype=UNUSED), id="unused category"),
        pytest.param(pd.Series(NAMES, dtype=ORDERED), id="ordered categories"),
        pytest.param(pd.Categorical(NAMES), id="Categorical"),
        pytest.param(pd.Index(NAMES), id="index"),
        pytest.param(pd.Series(pd.to_datetime("2020") + pd.to_timedelta(CODES, "D")), id="dates"),
        pytest.param(CODES + 0.5, id="fractions"),
        pytest.param(np.where(CODES == 1, np.nan, CODES), id="NaN"),
        pytest.param(CODES.astype(np.uint8), id="uint8"),
        pytest.param(NAMES[:-1], id="one too few"),
        pytest.param(None, id="None"),
    ],
)
def test_labels_get_the_answer_that_smote_gives(y):
    assert answer(short(), X, y) == answer(smote(), X, y)


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param(FRAME.astype("Float64"), id="nullable floats"),
        pytest.param(FRAME.astype("Int64").mask(FRAME > 8), id="NA"),
        pytest.param(FRAME.astype("float64[pyarrow]"), id="Arrow-backed floats"),
        pytest.param(pa.Table.from_pandas(FRAME), id="Arrow table"),
        pytest.param(FRAME.assign(g0=COUNTS[:, 0].astype(np.int8)), id="columns of two types"),
        pytest.param(FRAME.astype(object), id="objects"),
        pytest.param(FRAME.astype(pd.SparseDtype(float, 0)), id="sparse frame"),
        pytest.param(pd.DataFrame(X), id="numbered columns"),
        pytest.param(FRAME.rename(columns={"g0": 0}), id="columns of two kinds"),
        pytest.param(tuple(map(tuple, X)), id="tuples"),
        pytest.param(X.tolist(), id="lists"),
        pytest.param(sparse.csc_matrix(X), id="CSC"),
        pytest.param(sparse.csr_array(X), id="sparse array"),
        pytest.param(sparse.lil_matrix(X), id="LIL"),
        pytest.param(np.asfortranarray(X), id="Fortran order"),
        pytest.param(X.astype(np.float16), id="float16"),
        pytest.param(X.astype(complex), id="complex numbers"),
        pytest.param(X[:, 0], id="one dimension"),
        pytest.param(X[:, :, None], id="three dimensions"),
        pytest.param(X[:0], id="no cells"),
    ],
)
def test_matrices_get_the_answer_that_smote_gives(odd):
    y = NAMES[: getattr(odd, "shape", (44,))[0]]
    assert answer(short(), odd, y) == answer(smote(), odd, y)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (MISSING, "no label for 1 of 44 cells, first row 5"),
        (pd.Series(MISSING, dtype="category"), "no label for 1 of 44 cells, first row 5"),
        (np.array([*NAMES[:-1], 3], dtype=object), "labels mix strings with int, first row 43"),
    ],
)
def test_labels_that_cannot_be_sorted_are_named(y, message):
    assert answer(smote(), X, y) is TypeError  # '<' not supported between ...
    with pytest.raises(ValueError, match=message):
        short().fit_resample(X, y)


@pytest.mark.parametrize("dtype", ["Int64", "int64[pyarrow]", bool])
def test_integers_and_booleans_stay_so_where_smote_fails_on_fractions(dtype):
    frame = (FRAME > 2 if dtype is bool else FRAME).astype(dtype)
    found, _ = short().fit_resample(frame, NAMES)
    assert (found.dtypes == frame.dtypes).all()
    pd.testing.assert_frame_equal(found.iloc[:44], frame)


def test_categories_stay_as_they_were():
    for dtype in (UNUSED, ORDERED):
        _, y = short().fit_resample(X, pd.Series(NAMES, dtype=dtype))
        assert y.dtype == dtype
        assert y.value_counts().to_dict() == dict.fromkeys(dtype.categories, 24) | (
            {"never": 0} if dtype is UNUSED else {}
        )


@pytest.mark.parametrize(
    "batch",
    [
        pytest.param(pd.Series(np.arange(44) % 2, dtype="Int64"), id="nullable integers"),
        pytest.param(pd.Series(np.arange(44) % 2 > 0, dtype="boolean"), id="nullable booleans"),
        pytest.param(pd.Series(["x", "y"] * 22, dtype="string[pyarrow]"), id="Arrow-backed"),
        pytest.param(pd.Series(["x", "y"] * 22, index=np.arange(44) * 2), id="odd index"),
        pytest.param(pd.Categorical(["x", "y"] * 22, ["y", "never", "x"]), id="categories"),
        pytest.param(("x", "y") * 22, id="tuple"),
        pytest.param(np.array(["x", "y"] * 22, dtype="S"), id="bytes"),
        pytest.param(np.array(["2020-01-01", "2020-01-02"] * 22, dtype="M8[D]"), id="dates"),
    ],
)
def test_batches_of_all_kinds_are_those_of_plain_strings(batch):
    sampler, plain = short(), short()
    found = sampler.fit_resample(X, NAMES, batch=batch)
    codes = np.unique(np.asarray(batch), return_inverse=True)[1]
    expected = plain.fit_resample(X, NAMES, batch=np.array(["a", "b"])[codes])
    np.testing.assert_array_equal(found[0], expected[0])
    values = np.unique(np.asarray(batch))
    back = np.searchsorted(values, sampler.annotations_["batch"])
    assert np.array(["a", "b"])[back].tolist() == plain.annotations_["batch"].tolist()


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (pd.Categorical(MISSING), "In `batch`, there is no label for 1 of 44 cells, first row 5"),
        (pd.Series(CODES, dtype="Int64").where(CODES != 1), "no label for 12 of 44 cells"),
        (ONE_HOT, r"`batch` needs one label for each.*got shape \(44, 3\)"),
        (("x", "y"), r"got shape \(2,\)"),
        (np.array(["x", 1] * 22, dtype=object), "In `batch`, labels mix strings with int"),
    ],
)
def test_batches_that_are_no_labels_are_named(batch, message):
    with pytest.raises(ValueError, match=message):
        short().fit_resample(X, NAMES, batch=batch)


@pytest.mark.parametrize("call", ["fit", "fit_resample"])
@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"Rare": 30}, "'Rare'.* not present in the data. Did you mean 'rare'. There are: common,"),
        ({"middle": 40, "rare": 3}, "original number of samples. Class 'rare' has 10 cells and 3 "),
        ({"rare": 0}, "Class 'rare' has 10 cells and 0 are asked for; a dict gives final numbers"),
        ({"rare": -1}, "cannot be negative"),
    ],
)
def test_a_dict_that_cannot_be_met_is_told_by_class(counts, call, wanted, message):
    """SMOTE refuses the same dicts, in words that these begin with."""
    sampler = make_sampler(sampling_strategy=wanted)
    with pytest.raises(ValueError, match=message):
        getattr(sampler, call)(*counts)
    with pytest.raises(ValueError, match=r"present in|number of samples"):
        SMOTE(sampling_strategy=wanted).fit_resample(*counts)
