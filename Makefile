# Everything runs in .venv with the versions of constraints.txt; nothing else is touched.
PYTHON ?= python3
BIN := .venv/bin
RUN := OMP_NUM_THREADS=1 $(BIN)/python
HERE := PYTHONPATH=.:benchmarks
PACKAGES := scdiff_augment benchmarks/scdiff_bench
CONFIG ?= benchmarks/configs/rare_blood_cells.yaml
OUT ?= results
STUDY ?= reports/main

.PHONY: help benchmark archive test lint unit smoke reports-check speed ui clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

benchmark: .venv/benchmark  ## what is augmentation worth? computed in minutes (or CONFIG=... OUT=...)
	$(BIN)/python -m benchmarks $(CONFIG) --out $(OUT)
	@echo 'In a browser: make ui'

archive: .venv/benchmark  ## show an archived study and compute nothing (STUDY=reports/kang_rare)
	$(BIN)/python -m scdiff_bench show $(STUDY)

speed: .venv/benchmark  ## seconds and memory, from 1,000 to 100,000 cells; about 20 minutes
	$(BIN)/python -m scdiff_bench speed $(SPEED)

ui: .venv/benchmark  ## open MLflow on the runs so far
	@echo 'Open http://127.0.0.1:5000/#/experiments?workflowType=machine_learning, or the address in the last lines of a study'
	$(BIN)/mlflow ui --backend-store-uri sqlite:///mlflow.db

test: lint unit smoke reports-check  ## everything that CI runs

lint: .venv/test  ## style, types, import contracts, docstrings, spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell
	$(BIN)/numpydoc lint $$(find $(PACKAGES) -name '*.py')
	$(HERE) $(BIN)/python docs/check_docstrings.py
	$(HERE) $(BIN)/lint-imports --cache-dir .cache/import_linter

unit: .venv/test
	$(RUN) -m pytest -n 2 --durations=10

smoke: .venv/test  ## a whole study in about a minute, kept out of reports/
	mkdir -p .cache
	$(RUN) -m benchmarks benchmarks/configs/smoke.yaml --out .cache --tracking-uri sqlite:///.cache/mlflow.db

reports-check: .venv/test  ## name the pages in reports/ whose results are out of date
	test ! -d reports || $(BIN)/python -m scdiff_bench reports --check

.venv/benchmark .venv/docs .venv/test: .venv/%: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[$*]"
	touch $@

clean:  ## remove .venv and caches; reports and mlflow.db stay
	rm -rf .venv .venv-compat-* .mypy_cache .ruff_cache .pytest_cache .hypothesis dist docs/_build docs/generated docs/auto_examples

.PHONY: docs diagram canary dist compat

compat:  ## the tests under each Python that is there, oldest and newest libraries
	$(PYTHON) tests/compat.py $(COMPAT)

docs: .venv/docs  ## build the documentation, examples included, in docs/_build/html
	$(RUN) -m sphinx -E -W --keep-going -b html docs docs/_build/html
	@echo "Open docs/_build/html/index.html"

diagram:  ## draw the diagram of the rooms anew, from the code
	$(PYTHON) docs/draw_architecture.py

canary: .venv/test  ## how far today's cells and scores lie from those on record
	$(RUN) tests/canary/canary.py

dist: .venv/test  ## sdist and wheel, in dist/
	$(BIN)/hatchling build
