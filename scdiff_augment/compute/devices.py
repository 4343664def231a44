"""Where networks are trained and cells are drawn."""

from __future__ import annotations

import torch


def device_of(name: str) -> torch.device:
    """Find a device by its name; "auto" is a GPU where PyTorch sees one.

    Raises
    ------
    ValueError
        If there is no such device here.
    """
    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return torch.device("cuda" if n_gpus else "cpu")
    there = ["cpu", *(f"cuda:{i}" for i in range(n_gpus))]
    if name not in ("cpu", "cuda", *there) or (name == "cuda" and not n_gpus):
        raise ValueError(
            f"device='{name}' is not here; PyTorch sees {', '.join(there)}. Use one of these, or "
            f"'auto' for a GPU where there is one."
        )
    return torch.device(name)
