"""The command line, ``scdiff-bench``: a file for each command."""
