"""Benchmark of augmentation strategies: data sets x strategies x classifiers x folds.

``scdiff-bench --help`` lists the commands. In a notebook, a finished study is read by
`scdiff_bench.running.finished_study.read_study`: its rows, and with ``summary()`` all that its page
shows.

Three roles are joined by plain values only: a data set (`data`), a strategy (`strategies`), a
classifier (`classifiers`). `config` checks a study's YAML, `evaluation` splits cells and scores
predictions, `running` computes units and stores them, `statistics` compares strategies, `pages`
shows, `tracking` alone knows MLflow. `generator_studies` looks at the generator itself, `speed` at
seconds and memory. `commands` is the command line; ``versions`` says what results depend on.
"""
