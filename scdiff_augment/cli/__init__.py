"""The command line: scdiff-augment fit, add-condition, sample, oversample, interpolate, evaluate.

`app` holds the application and its exit codes, `commands` one module per command, `options` the
arguments and options that several commands share. `cell_files`, `ten_x`, `large_files` and
`model_folders` read what commands are given, `evaluation_inputs` makes the files given to evaluate
comparable, `parallel` starts several workers, and `output` writes results completely or not at all.
`name_lookup` suggests names for misspelt ones, and `terminal` prints messages and progress.

May import: everything. Heavy libraries (torch, scanpy, anndata, scikit-learn, pandas, numpy) are
imported inside the functions that need them, so that --help and bad options answer at once.
"""

from .app import app, main

__all__ = ["app", "main"]
