"""Versions that a result depends on: libraries, and the code itself."""

from __future__ import annotations

import hashlib
import platform
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

LIBRARIES = (
    "anndata",
    "celltypist",
    "imbalanced-learn",
    "imbalanced-learn-extra",
    "numpy",
    "scanpy",
    "scikit-learn",
    "scipy",
    "scvi-tools",
    "torch",
)
SHARED_CODE = (
    "calibration",
    "celltypist_classifier",
    "classifiers",
    "controls",
    "detector",
    "genes",
    "judging",
    "learners",
    "objects",
    "registry",
    "resamplers",
    "scores",
    "scvi_oversampler",
    "separation",
    "strategies",
    "thresholds",
    "units",
)


NO_PART = ("cli", "metrics", "plotting", "__main__", "adata", "storage", "synthetic")
"""Of the package: what `fit_resample` does not run."""


@cache
def versions() -> dict[str, str]:
    """Return the version of the package and of each library that a score can depend on.

    Returns
    -------
    dict of str to str
        By name; ``"not installed"`` where it is absent.
    """
    found = {"python": platform.python_version()}
    for name in ("scdiff-augment", *LIBRARIES):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def versions_hash(package: bool) -> str:
    """Return a hash over versions and code, so that results of other code are not reused.

    Parameters
    ----------
    package : bool
        Whether the result also depends on the code of scdiff_augment.

    Returns
    -------
    str
        12 hexadecimal digits.
    """
    return _versions_hash(package)


@cache
def _versions_hash(package: bool) -> str:
    here = Path(__file__).parent
    files = [here / f"{name}.py" for name in SHARED_CODE]
    if package:
        files += [here / "latent_gaussian.py", *package_files()]
    return code_hash(tuple(files))


def package_files(no_part: tuple[str, ...] = NO_PART) -> list[Path]:
    """Return the modules of scdiff_augment on which new cells depend.

    Parameters
    ----------
    no_part : tuple of str
        Modules and folders that are left out.

    Returns
    -------
    list of Path
        Sorted.
    """
    spec = find_spec("scdiff_augment")
    folders = (spec.submodule_search_locations or []) if spec else []
    return [
        file
        for folder in map(Path, folders)
        for file in sorted(folder.rglob("*.py"))
        if file.relative_to(folder).with_suffix("").parts[0] not in no_part
    ]


@cache
def code_hash(files: tuple[Path, ...]) -> str:
    """Return a hash over the libraries' versions and the files' content.

    Parameters
    ----------
    files : tuple of Path
        Modules that a result depends on; one that is absent counts as empty.

    Returns
    -------
    str
        12 hexadecimal digits.
    """
    sha = hashlib.sha256(repr(sorted(versions().items())).encode())
    for file in files:
        if file.is_file():
            sha.update(file.name.encode() + file.read_bytes())
    return sha.hexdigest()[:12]
