"""Benchmark harness: data sets x strategies x classifiers x folds."""
