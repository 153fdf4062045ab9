.PHONY: install generators demo test fuzz test-gpu chaos format lint types audit sbom bench bench-gpu clean

PYTHON ?= python3
PIP_FLAGS ?=
TEST_WORKERS ?= 2
BIN := .venv/bin

PROJECTS := pyproject.toml nasmith/pyproject.toml constraints.txt
PIP_INSTALL = $(BIN)/pip install $(PIP_FLAGS) -q -c constraints.txt

# Client and server, linked to this folder, with what the checks need.
install: .venv/installed

.venv/installed: .venv/server
	$(PIP_INSTALL) -e nasmith -e '.[test,dev]'
	touch .venv/installed

# Client and server alone. torch comes first: by itself, and as constraints.txt has it.
.venv/server: $(PROJECTS)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP_INSTALL) torch==2.13.0
	$(PIP_INSTALL) -e nasmith -e .
	touch .venv/server

demo: .venv/server
	$(BIN)/nasmith demo

# Generators of clients, for the tests of the OpenAPI document, in environments of their own.
generators: .generators/installed

.generators/installed: tests/generators/requirements.txt tests/generators/package-lock.json
	@command -v npm >/dev/null || { echo "make test needs Node.js 20 or later with npm"; exit 1; }
	$(PYTHON) -m venv .generators/python
	.generators/python/bin/pip install $(PIP_FLAGS) -q -r tests/generators/requirements.txt
	cp tests/generators/package.json tests/generators/package-lock.json .generators
	npm ci --prefix .generators --no-audit --no-fund --loglevel=error
	touch .generators/installed

test: install generators
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -m "not gpu" -n $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder

# The space language, at length: `make test` draws fifteen.
fuzz: install
	FUZZ_EXAMPLES=3000 $(BIN)/python -m pytest tests/search/request/test_validation.py -k any_space

# On a machine with a CUDA device. None is skipped: without a device they fail.
test-gpu: install
	$(BIN)/python -m pytest -m gpu tests/models tests/search

# The promises of docs/reliability.md under many faults; renews its table. About an hour and a half
# on two cores. NASMITH_CHAOS_SEED repeats a schedule, CHAOS=tests/chaos/test_kill.py runs a part:
# what the table has of the others stays.
NASMITH_CHAOS_ROUNDS ?= 100
CHAOS ?= tests/chaos
chaos: install
	NASMITH_CHAOS_ROUNDS=$(NASMITH_CHAOS_ROUNDS) NASMITH_CHAOS_TABLE=docs/reliability.md \
		$(BIN)/python -m pytest $(CHAOS) -q --capture=tee-sys

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: install
	$(BIN)/mypy

# Known holes in what constraints.txt pins, that is in everything that is installed. An exception is
# `--ignore-vuln ID` in AUDIT_EXCEPTIONS, with its reason in a comment above it. There is none.
# AUDIT_FLAGS='-s osv' asks another database.
AUDIT_EXCEPTIONS :=

audit: install
	$(BIN)/pip-audit -r constraints.txt --no-deps --disable-pip --strict $(AUDIT_EXCEPTIONS) $(AUDIT_FLAGS)

# What is installed, with versions, licences and who needs whom, as CycloneDX: sbom.json. The tool has
# an environment of its own, so that it is not in its list.
sbom: install .sbom/installed
	.sbom/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible -o sbom.json $(BIN)/python

.sbom/installed: constraints.txt
	$(PYTHON) -m venv .sbom
	.sbom/bin/pip install $(PIP_FLAGS) -q -c constraints.txt cyclonedx-bom
	touch .sbom/installed

# DATA is a folder with fashion_mnist.npz, cora.npz, MUTAG.zip, tinyshakespeare.txt and ETTh1.csv;
# TABLES is one with tables of known results (*.npz).
bench: install
	$(PIP_INSTALL) -e nasmith -e '.[bench]'
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/first_result.py
	$(BIN)/python benchmarks/polling.py
	$(BIN)/python benchmarks/dashboard.py
	$(BIN)/python benchmarks/asks.py
	$(BIN)/python benchmarks/searches.py
	$(BIN)/python benchmarks/fidelities.py
	$(BIN)/python benchmarks/tabular.py
	$(BIN)/python benchmarks/messy.py
	$(BIN)/python benchmarks/upload.py
	$(BIN)/python benchmarks/predict.py
	$(BIN)/python benchmarks/predict.py --width 512
	$(BIN)/python benchmarks/picks.py $(if $(DATA),--data "$(DATA)")
	$(BIN)/python benchmarks/supernet.py
	test -z "$(DATA)" || $(BIN)/python benchmarks/training.py --data "$(DATA)"
	test -z "$(DATA)" || $(BIN)/python benchmarks/graphs.py --data "$(DATA)"
	test -z "$(DATA)" || $(BIN)/python benchmarks/ensembles.py --data "$(DATA)"
	test -z "$(DATA)" || $(BIN)/python benchmarks/sequences.py --data "$(DATA)"
	test -z "$(TABLES)" || $(BIN)/python benchmarks/strategies.py --data "$(TABLES)"

bench-gpu: install
	$(BIN)/python benchmarks/gpu.py

clean:
	rm -rf .venv .generators .sbom sbom.json build dist nasmith/build nasmith/dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
