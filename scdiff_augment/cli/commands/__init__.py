"""One file for each command of ``scdiff-augment``."""
