.PHONY: install demo test format lint types bench clean

PYTHON ?= python3
PIP_FLAGS ?=
BIN := .venv/bin

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install $(PIP_FLAGS) -q -c constraints.txt torch==2.13.0
	$(BIN)/pip install $(PIP_FLAGS) -q -c constraints.txt -e '.[test,dev]'
	touch .venv/installed

demo: install
	$(BIN)/nasmith demo

test: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -m "not gpu"

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: install
	$(BIN)/mypy

# DATA is a folder with fashion_mnist.npz, cora.npz, MUTAG.zip, tinyshakespeare.txt and ETTh1.csv;
# TABLES is one with tables of known results (*.npz).
bench: install
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/first_result.py
	$(BIN)/python benchmarks/polling.py
	$(BIN)/python benchmarks/asks.py
	$(BIN)/python benchmarks/searches.py
	$(BIN)/python benchmarks/tabular.py
	$(BIN)/python benchmarks/supernet.py
	test -z "$(DATA)" || $(BIN)/python benchmarks/training.py --data "$(DATA)"
	test -z "$(DATA)" || $(BIN)/python benchmarks/graphs.py --data "$(DATA)"
	test -z "$(DATA)" || $(BIN)/python benchmarks/sequences.py --data "$(DATA)"
	test -z "$(TABLES)" || $(BIN)/python benchmarks/strategies.py --data "$(TABLES)"

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
