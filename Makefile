# Two commands set everything up on a fresh machine: `make check` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c tests/constraints.txt

.PHONY: check test test-all gpu lint types contracts docs format bench clean

check: $(VENV)/.inference ## The main job on this machine, with the built-in smoke model
	$(BIN)/autoglm-doctor check --model smoke --device auto

test: $(VENV)/.dev ## Fast tests and a sample of the long ones
	$(BIN)/python -m pytest -m "not gpu and not slow" -n 2

test-all: $(VENV)/.dev ## Everything that needs no GPU
	$(BIN)/python -m pytest -m "not gpu" -n 2

gpu: $(VENV)/.dev ## Every GPU test and measurement; writes docs/measurements/
	$(BIN)/python benchmarks/gpu.py

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

contracts: $(VENV)/.dev
	$(BIN)/lint-imports

docs: $(VENV)/.dev ## Regenerate docs/checks.md from the checks themselves
	$(BIN)/python tools/check_pages.py

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.inference: $(VENV)/bin/python pyproject.toml tests/constraints.txt
	$(PIP) -e '.[inference]'
	@touch $@

$(VENV)/.dev: $(VENV)/.inference
	$(PIP) -e '.[inference,dev]'
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
