"""scdiff-augment fit | add-condition | sample | oversample | interpolate | evaluate.

Nothing here imports torch, scanpy or anndata before a command needs it.
"""

from .app import app, main

__all__ = ["app", "main"]
