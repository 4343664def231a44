"""Saved models: what comes back is what went in, and nothing damaged is read."""

import hashlib
import json

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.decomposition import PCA
from tiny import make_model, reseed

from scdiff_augment import AutoEncoder, LatentDiffusion
from scdiff_augment import saved_models as storage
from scdiff_augment.expression.kinds import depth_normalised

ENCODERS = {
    "pca": {},
    "autoencoder": {"encoder": AutoEncoder(n_latent=4, hidden=(16, 8), n_steps=10)},
    "classifier network": {"classifier_steps": 5},
}


def frame_of(X):
    return pd.DataFrame(X, columns=[f"gene{i}" for i in range(X.shape[1])])


@pytest.fixture
def saved(counts, tmp_path):
    X, labels = counts
    model = make_model().fit(frame_of(X), groups=labels).add_condition("type", labels)
    model.save(tmp_path / "model")
    return model, tmp_path / "model"


def test_a_model_saved_before_data_frames_were_kept_gives_arrays(saved):
    folder = saved[1]
    file = folder / "model.json"
    about = json.loads(file.read_text())
    del about["frame"], about["checksum"]
    about["checksum"] = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
    file.write_text(json.dumps(about))
    assert isinstance(LatentDiffusion.load(folder).sample(n=2), np.ndarray)


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for kind in ("counts", "log1p", "selected") for name in ENCODERS]
    + [("real", "pca"), ("real", "classifier network")],
)
def test_a_loaded_model_is_the_saved_one(name, kind, counts, tmp_path):
    X, labels = counts
    if kind == "real":
        X = np.random.default_rng(0).normal(size=X.shape)
    elif kind != "counts":
        X = depth_normalised(X)
    X = X[:, :20] if kind == "selected" else X
    model = make_model(**ENCODERS[name]).fit(frame_of(X)).add_condition("type", labels)
    model.add_condition("half", np.arange(100) % 2)
    model.save(tmp_path / "m")
    loaded = LatentDiffusion.load(tmp_path / "m", random_state=3)
    np.testing.assert_array_equal(loaded.encode(X), model.encode(X))
    noise = np.random.default_rng(0).normal(size=(4, model.encode(X).shape[1]))
    np.testing.assert_array_equal(loaded.from_noise(noise), model.from_noise(noise))
    for wanted in ({"type": "rare", "half": 1}, {}):
        model.random_state = 3
        reseed(model)
        reseed(loaded)
        np.testing.assert_array_equal(loaded.sample(wanted, 5), model.sample(wanted, 5))
    assert loaded.conditions_["half"].tolist() == [0, 1]
    assert loaded.genes_.tolist() == model.genes_.tolist()
    np.testing.assert_array_equal(loaded.training_hashes_, model.training_hashes_)
    assert loaded.history_["denoiser_loss"] == model.history_["denoiser_loss"]


def test_a_loaded_model_learns_conditions_from_cells_that_are_passed(saved, counts):
    X, labels = counts
    loaded = LatentDiffusion.load(saved[1], random_state=0)
    with pytest.raises(ValueError, match=r"holds no cells to learn condition 'new' from"):
        loaded.add_condition("new", labels)
    loaded.add_condition("new", labels, X)
    for name, value in saved[0].conditions_.classifiers["type"].mixture.named_buffers():
        if name != "axes":
            torch.testing.assert_close(
                dict(loaded.conditions_.classifiers["new"].mixture.named_buffers())[name], value
            )


def test_folders_hold_no_pickle_and_no_cells(saved):
    _, path = saved
    assert {file.suffix for file in path.iterdir()} == {".json", ".safetensors"}


def damage(path, what):
    description = path / "model.json"
    tensors = next(path.glob("tensors-*"))
    text = description.read_text()
    if what == "tensors cut off":
        tensors.write_bytes(tensors.read_bytes()[:-100])
    elif what == "tensors altered":
        content = bytearray(tensors.read_bytes())
        content[-5] ^= 1
        tensors.write_bytes(content)
    elif what == "tensors missing":
        tensors.unlink()
    elif what == "description cut off":
        description.write_text(text[: len(text) // 2])
    elif what == "description altered":
        description.write_text(text.replace('"sigma_max": ', '"sigma_max": 1'))
    elif what == "description missing":
        description.unlink()
    elif what in ("newer", "older"):
        changed = json.loads(text) | {"format": 99 if what == "newer" else 1}
        description.write_text(json.dumps(changed))
    elif what.startswith("format "):
        changed = json.loads(text) | {"format": json.loads(what.removeprefix("format "))}
        description.write_text(json.dumps(changed))
    elif what == "not ours":
        description.write_text("[]")


@pytest.mark.parametrize(
    ("what", "error", "message"),
    [
        ("tensors cut off", ValueError, "cut off or altered since it was saved"),
        ("tensors altered", ValueError, "cut off or altered since it was saved"),
        ("tensors missing", FileNotFoundError, "is incomplete: tensors-"),
        ("description cut off", ValueError, "it is no JSON"),
        ("description altered", ValueError, "checksum does not fit"),
        ("description missing", FileNotFoundError, r"is no saved model: it has no model.json"),
        ("newer", ValueError, "has format 99"),
        ("older", ValueError, r"has format 1.*Fit it and save it again"),
        ("not ours", ValueError, "names no format"),
        ('format "4"', ValueError, "its format is '4', which is no whole number"),
        ("format null", ValueError, "its format is None, which is no whole number"),
        ("format true", ValueError, "its format is True, which is no whole number"),
        ("format 4.5", ValueError, "its format is 4.5, which is no whole number"),
        ("format [4]", ValueError, "its format is .4., which is no whole number"),
    ],
)
def test_damaged_folders_are_refused_with_the_reason(saved, what, error, message):
    damage(saved[1], what)
    with pytest.raises(error, match=message):
        LatentDiffusion.load(saved[1])
    with pytest.raises(FileNotFoundError, match="does not exist"):
        LatentDiffusion.load(saved[1] / "nowhere")


def test_an_interrupted_save_leaves_the_old_model(saved, counts, monkeypatch):
    model, path = saved
    expected = model.encode(counts[0])
    other = make_model(random_state=1, n_latent=3).fit(frame_of(counts[0]))
    real = storage.os.replace

    for stop_at in (1, 2):
        calls = []

        def interrupted(source, target, stop_at=stop_at, calls=calls):
            calls.append(target)
            if len(calls) == stop_at:
                raise KeyboardInterrupt
            real(source, target)

        monkeypatch.setattr(storage.os, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            other.save(path, overwrite=True)
        np.testing.assert_array_equal(LatentDiffusion.load(path).encode(counts[0]), expected)
    monkeypatch.setattr(storage.os, "replace", real)
    other.save(path, overwrite=True)
    assert LatentDiffusion.load(path).n_latent == 3
    assert len(list(path.iterdir())) == 2  # nothing of the interrupted saves is left


def test_nothing_is_overwritten_unasked(saved, tmp_path):
    model, path = saved
    with pytest.raises(FileExistsError, match="overwrite=True"):
        model.save(path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    with pytest.raises(FileExistsError, match="is no saved model, so it is never replaced"):
        model.save(tmp_path / "mine", overwrite=True)


def test_an_encoder_of_the_users_own_is_refused(counts, tmp_path):
    X, _ = counts
    model = make_model(encoder=PCA(3).fit(depth_normalised(X))).fit(X)
    with pytest.raises(TypeError, match="an encoder of type PCA can't be saved"):
        model.save(tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_the_autoencoder_of_a_loaded_model_is_trained_anew_by_fit(counts, tmp_path):
    encoder = AutoEncoder(n_latent=3, n_steps=5)
    make_model(encoder=encoder).fit(counts[0]).save(tmp_path / "model")
    loaded = LatentDiffusion.load(tmp_path / "model")
    assert loaded.encoder.get_params() == encoder.get_params() | {"hidden": [128]}
    assert loaded.fit(counts[0][:, :30]).sample(n=2).shape == (2, 30)
