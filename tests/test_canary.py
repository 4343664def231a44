"""The same seeds give the same cells and scores, or a results version was raised."""

import canary
import pytest

MEND = {
    "cells": "scdiff_augment/results_version.py",
    "harness": "benchmarks/scdiff_bench/results_version.py",
}


def require_still(kind, name, far, recorded_version, version):
    """Say which results version to raise, where a case moved."""
    if far <= canary.TOLERANCE[kind]:
        return
    raise AssertionError(
        f"'{name}' moved by {far:.3f} (tolerated: {canary.TOLERANCE[kind]}) against the record of "
        f"results version {recorded_version} of the {kind}. "
        + (
            f"If that is meant, add a line to CHANGES in {MEND[kind]}, which says what changed; "
            if version == recorded_version
            else f"Version {version} is announced in {MEND[kind]}; "
        )
        + "then record anew: python tests/canary/canary.py --record"
    )


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, cases in canary.CASES.items() for name in cases]
)
@pytest.mark.filterwarnings("ignore")
def test_results_are_those_on_record(kind, name):
    record = canary.record_of(kind)
    assert name in record["cases"], "record anew: python tests/canary/canary.py --record"
    found, _ = canary.numbers(kind, name)
    far = canary.distance(found, record["cases"][name])
    require_still(kind, name, far, record["version"], canary.VERSIONS[kind])


@pytest.mark.parametrize("kind", canary.CASES)
def test_record_is_of_the_present_version(kind):
    record = canary.record_of(kind)
    assert record["version"] == canary.VERSIONS[kind], (
        f"{MEND[kind]} announces version {canary.VERSIONS[kind]}, the record is of version "
        f"{record['version']}. Record anew: python tests/canary/canary.py --record"
    )
    assert set(record["cases"]) == set(canary.CASES[kind])


def test_a_move_without_a_new_version_says_what_to_raise():
    with pytest.raises(AssertionError, match=r"add a line to CHANGES in .*/results_version"):
        require_still("cells", "sampler, counts", 0.5, 1, 1)
    with pytest.raises(AssertionError, match=r"Version 2 is announced.*record anew"):
        require_still("cells", "sampler, counts", 0.5, 1, 2)
    require_still("cells", "sampler, counts", 0.001, 1, 1)
