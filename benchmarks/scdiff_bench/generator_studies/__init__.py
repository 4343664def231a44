"""Studies of the generator itself: its cells, beside held-out real cells.

A config with the key ``study`` is run by ``scdiff-bench run CONFIG`` like any other: its
units are computed in parallel, stored one by one, and not computed twice; rows, tables, figures
and a page go to ``reports/NAME/``, parameters, figures and files to MLflow.

To add a study, make a folder with two modules; nothing else has to know of them.

``NAME/study.py`` computes:

- ``Parameters``, a frozen dataclass with a default for every key of the config's ``params``
  (a value must be of its default's kind; check more in ``__post_init__`` with a ValueError);
- ``units(config, datasets) -> list of dict``: what is computed apart, as small dicts of plain
  values. Each has a ``name`` of its own and the ``dataset`` it reads; whatever else
  ``compute`` depends on must stand in it too, because the dict is the key under which the
  result is kept. ``config.params`` is the ``Parameters``;
- ``compute(unit, data, seed) -> Output``: rows as flat dicts, and arrays that only figures
  need. It runs on one thread in a process of its own; what it raises becomes a failed row.
  Draw every random number from ``seed``;
- ``annotate(config, row) -> dict`` (optional): what rows say that is not computed, such as a
  remark in the config; changing it computes nothing again;
- ``VERSION``: raised when the same unit gives other rows than before; it is part of every stored
  result's key, beside the versions of `scdiff_bench.results_version`;
- ``LIBRARIES`` (optional): distributions that the rows depend on, such as ``("celltypist",)``.

``NAME/view.py`` shows, and may be edited without computing anything again. It reads the rows
whose status is "ok"; where a unit has failed they are fewer, and there may be none:

- ``verdict(rows) -> list of Finding``: sentences made from the rows, each with its target and
  whether it was met;
- ``tables(rows) -> list of Table``: numbers go to the page, ``table.md`` and MLflow;
- ``pictures(rows, arrays) -> list of Picture``: functions that draw on a matplotlib figure;
  ``arrays`` has the arrays of the units that gave some, under the unit's name;
- ``NOTES``: how the study was done and what its numbers cannot say, a list of sentences.

`parts` has the classes and `means`, `models` builds the generator from a config. A study imports
nothing else of this package, but for helpers of its own, which stand in its folder.
"""
