"""``python -m benchmarks`` in a checkout; the harness itself is the package `scdiff_bench`."""
