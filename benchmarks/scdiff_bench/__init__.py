"""Benchmark of augmentation strategies: data sets x strategies x classifiers x folds.

Three roles are joined by plain values only: a data set (`data`), a strategy (`strategies`), a
classifier (`classifiers`). `evaluation` splits cells and scores predictions, `running` computes
units and keeps them, `statistics` compares strategies, `pages` shows, `tracking` alone knows
MLflow. `generator_studies` looks at the generator itself, `speed` at seconds and memory.
`commands` is the command line; ``versions`` says what results depend on.
"""
