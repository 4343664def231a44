"""A canary of results: do the same seeds still give the same cells and the same scores?

Cells are summarised by a few dozen numbers a case, since the last digits of a network's weights
depend on the processor and a count or two with them. What has been recorded stands in
``recorded_cells.json`` and ``recorded_harness.json`` beside this file, with the results version
that it was recorded for. ``python tests/canary/canary.py --record`` writes both again; without
``--record`` it shows how far today's results are from them, with a hash of their bits.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from canary_harness import CELLS, HARNESS
from scdiff_bench.results_version import HARNESS_VERSION

from scdiff_augment.results_version import CELLS_VERSION

HERE = Path(__file__).parent
VERSIONS = {"cells": CELLS_VERSION, "harness": HARNESS_VERSION}
CASES = {"cells": CELLS, "harness": HARNESS}

TOLERANCE = {"cells": 0.01, "harness": 0.02}
"""How far a number may lie from the one on record: relative to it, or absolute below 1.

With other instruction sets (ATEN_CPU_CAPABILITY=default, OPENBLAS_CORETYPE=Nehalem) they move by up
to .005 and .008; two sampler steps more than 20 move them by .01, a temperature of .75 by .05.
"""


def summary(cells: np.ndarray, labels: np.ndarray) -> list[float]:
    """Numbers that say what cells are like: by class, by gene, and how genes go together."""
    cells = np.asarray(cells, dtype=np.float64)
    found = []
    for label in np.unique(labels):
        own = cells[labels == label]
        found += [own.mean(), own.std(), (own == 0).mean(), own.sum(axis=1).std() / len(own[0])]
        found += own[:, :: max(1, cells.shape[1] // 6)].mean(axis=0).tolist()
    some = cells[:, :: cells.shape[1] // 5][:, :5]
    found += np.cov(some.T)[np.triu_indices(some.shape[1], 1)].tolist()
    return found


def numbers(kind: str, name: str) -> tuple[list[float], str]:
    """Compute a case: its numbers, and a hash of its bits."""
    if kind == "harness":
        found = HARNESS[name]()
        return found, _hash(np.array(found))
    cells, labels = CELLS[name]()
    return summary(cells, labels), _hash(np.asarray(cells))


def distance(found: list[float], recorded: list[float]) -> float:
    """Return the largest difference, relative to numbers above 1; infinite if shapes differ."""
    if len(found) != len(recorded):
        return float("inf")
    a, b = np.array(found), np.array(recorded)
    return float((np.abs(a - b) / np.maximum(np.abs(b), 1)).max())


def record_of(kind: str) -> dict:
    """Read what was recorded."""
    return json.loads((HERE / f"recorded_{kind}.json").read_text(encoding="utf-8"))


def _hash(values: np.ndarray) -> str:
    text = f"{values.dtype}{values.shape}".encode()
    return hashlib.sha256(text + np.ascontiguousarray(values).tobytes()).hexdigest()[:12]


def _computed(kind: str) -> Iterator[tuple[str, list[float], str]]:
    for name in CASES[kind]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield name, *numbers(kind, name)


def main(arguments: list[str]) -> int:
    """Show distances and hashes, or record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", action="store_true", help="write what today's code gives")
    asked = parser.parse_args(arguments)
    for kind in CASES:
        old = record_of(kind)["cases"] if (HERE / f"recorded_{kind}.json").is_file() else {}
        new, bits = {}, hashlib.sha256()
        for name, found, code in _computed(kind):
            new[name] = [float(f"{value:.5g}") for value in found]
            bits.update(code.encode())
            far = distance(found, old[name]) if name in old else float("nan")
            print(f"{kind:8} {name:40} {code} {far:.5f}", flush=True)
        print(f"{kind:8} {'all':40} {bits.hexdigest()[:12]}", flush=True)
        if asked.record:
            lines = [f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in new.items()]
            text = ",\n".join(lines)
            (HERE / f"recorded_{kind}.json").write_text(
                f'{{"version": {VERSIONS[kind]}, "cases": {{\n{text}\n}}}}\n', encoding="utf-8"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
