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
    there = [kind for kind in ("cuda", "mps") if getattr(torch, kind).is_available()] + ["cpu"]
    if name == "auto":
        return torch.device(there[0])
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in there:
        raise ValueError(
            f"device='{name}' is not here; PyTorch sees {', '.join(there)}. Use one of these, or "
            f"'auto' for a GPU where there is one."
        )
    return device
