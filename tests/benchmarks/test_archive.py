import json
import warnings
import zipfile

import numpy as np
import pytest
from scdiff_bench.running import archive

ROWS = [
    {"type": "B", "rare": False, "f1": 1 / 3, "n": 1, "bins": [[2.0, None], [1e-9 / 7, 0.5]]},
    {"type": "B", "rare": True, "f1": float("nan"), "n": 1.0, "bins": None},
]
UNITS = [
    {"unit": "a", "rows": [{"status": "ok"}, {"other": 1}], "classes": [], "name": "first one"},
    {"unit": "b", "rows": ROWS, "classes": ROWS[:1], "tallies": [{}, {}]},
    {
        "unit": "c",
        "rows": ROWS[1:],
        "arrays": {"x": np.arange(6.0).reshape(2, 3) / 7, "names": np.array(["é", "bb"])},
    },
    {"unit": "d", "rows": [], "arrays": {}},
]


@pytest.fixture
def path(tmp_path):
    found = tmp_path / "units.zip"
    archive.write(found, UNITS)
    return found


def test_units_come_back_as_they_were_given_but_for_the_last_digits(path):
    assert archive.keys(path) == ["a", "b", "c", "d"]
    assert archive.find(path, "a") == UNITS[0]
    found = archive.find(path, "b")
    expected = [
        {**ROWS[0], "f1": 0.3333333, "bins": [[2.0, None], [1.428571e-10, 0.5]]},
        ROWS[1],
    ]
    # As text: 1 is not 1.0, and the fields keep their order.
    assert json.dumps(found["rows"]) == json.dumps(expected)
    assert json.dumps(found["classes"]) == json.dumps(expected[:1])
    assert archive.find(path, "e") is None


def test_records_without_fields_keep_their_number(path):
    assert archive.find(path, "b")["tallies"] == [{}, {}]


def test_arrays_keep_every_digit(path):
    arrays = archive.find(path, "c")["arrays"]
    assert sorted(arrays) == ["names", "x"]
    for name, values in UNITS[2]["arrays"].items():
        np.testing.assert_array_equal(arrays[name], values)
        assert arrays[name].dtype == values.dtype
    assert archive.find(path, "d") == UNITS[3]


def test_packing_what_was_packed_changes_no_byte(path):
    before = path.read_bytes()
    archive.write(path, [archive.find(path, key) for key in archive.keys(path)])
    assert path.read_bytes() == before


def test_a_file_that_was_replaced_is_read_anew(path):
    assert archive.find(path, "a")
    archive.write(path, [{"unit": "new", "rows": []}])
    assert archive.keys(path) == ["new"]
    assert archive.find(path, "a") is None


def test_no_archive_is_an_empty_one(tmp_path):
    assert archive.keys(tmp_path / "units.zip") == []
    assert archive.find(tmp_path / "units.zip", "a") is None


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.95])
def test_half_an_archive_counts_as_none_and_is_named(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.warns(UserWarning, match=r"units\.zip is damaged .* count as missing"):
        assert archive.find(path, "a") is None


def test_every_turned_byte_is_noticed_or_harmless(path):
    """Whatever is read from a damaged file is what had been written."""
    content, warned = path.read_bytes(), 0
    known = {key: str(archive.find(path, key)) for key in archive.keys(path)}
    for at in range(0, len(content), 7):
        path.write_bytes(content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :])
        archive._read_lines.cache_clear()  # a clock may be too coarse to tell these files apart
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = {key: archive.find(path, key) for key in known}
        warned += bool(caught)
        assert all(str(v) == known[k] for k, v in found.items() if v is not None)
    assert warned


def test_a_damaged_array_costs_its_unit_alone(path):
    with zipfile.ZipFile(path) as file:
        at = file.getinfo("c/x.npy").header_offset + 60
    content = bytearray(path.read_bytes())
    content[at] ^= 0xFF
    path.write_bytes(bytes(content))
    archive._read_lines.cache_clear()
    with pytest.warns(UserWarning, match=r"units\.zip is damaged"):
        assert archive.find(path, "c") is None
    assert archive.find(path, "a") == UNITS[0]
