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
OPTIONAL = {
    "imblearn_extra": ("imbalanced-learn-extra", ()),
    "scvi": ("scvi-tools", ("scvi_oversampler",)),
}
"""Distribution and code behind a module that some strategies need, and the others never see."""

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


@cache
def versions_hash(package: bool, needs: str | None = None) -> str:
    """Return a hash over versions and code, so that results of other code are not reused.

    Parameters
    ----------
    package : bool
        Whether the result also depends on the code of scdiff_augment.
    needs : str, optional
        The optional module that it depends on. Installing one leaves the others' results alone.

    Returns
    -------
    str
        12 hexadecimal digits.
    """
    here = Path(__file__).parent
    _, more = OPTIONAL.get(needs or "", ("", ()))
    files = [here / f"{name}.py" for name in (*SHARED_CODE, *more)]
    if package:
        files += [here / "latent_gaussian.py", *package_files()]
    return code_hash(tuple(files), needs)


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
def code_hash(files: tuple[Path, ...], needs: str | None = None) -> str:
    """Return a hash over the libraries' versions and the files' content.

    Parameters
    ----------
    files : tuple of Path
        Modules that a result depends on; one that is absent counts as empty.
    needs : str, optional
        The optional module whose version counts.

    Returns
    -------
    str
        12 hexadecimal digits.
    """
    unused = {library for module, (library, _) in OPTIONAL.items() if module != needs}
    counted = sorted((k, v) for k, v in versions().items() if k not in unused)
    sha = hashlib.sha256(repr(counted).encode())
    for file in files:
        if file.is_file():
            sha.update(file.name.encode() + file.read_bytes())
    return sha.hexdigest()[:12]
