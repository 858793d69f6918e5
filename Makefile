# Two commands set everything up on a fresh machine: `make check` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTHONS := 3.10 3.11 3.12 3.13 3.14
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c tests/constraints.txt

.PHONY: check serving test test-all gpu lint types contracts docs format bench clean dist zipapp wheelhouse test-packaging test-pythons

check: $(VENV)/.inference ## The main job on this machine, with the built-in smoke model
	$(BIN)/autoglm-doctor check --model smoke --device auto

test: $(VENV)/.serving ## Fast tests and a sample of the long ones
	$(BIN)/python -m pytest -m "not gpu and not slow" -n 2

test-all: $(VENV)/serving/bin/llama-server ## Everything that needs no GPU
	$(BIN)/python -m pytest -m "not gpu" -n 2

test-packaging: $(VENV)/.dev ## Every way to install, every Python on this machine
	$(BIN)/python -m pytest tests/packaging -n 2

test-pythons: ## The fast tests on each Python of this machine, in environments of their own, without torch
	@failed=""; for version in $(PYTHONS); do \
	  python=""; \
	  for one in $${PYENV_ROOT:-$$HOME/.pyenv}/versions/$$version.*/bin/python "$$(command -v python$$version)"; do \
	    "$$one" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$$version')" 2>/dev/null && python=$$one; \
	  done; \
	  if [ -z "$$python" ]; then echo "Python $$version: not on this machine, skipped"; continue; fi; \
	  echo "Python $$version: $$python"; \
	  env=$(VENV)/pythons/$$version; \
	  { [ -x $$env/bin/python ] || "$$python" -m venv $$env; } && \
	  $$env/bin/python -m pip install --quiet --disable-pip-version-check -c tests/constraints.txt -e '.[dev]' && \
	  $$env/bin/python -m pytest -m "not gpu and not slow" -n 2 || failed="$$failed $$version"; \
	done; \
	if [ -n "$$failed" ]; then echo "failed on$$failed"; exit 1; fi

gpu: $(VENV)/.dev ## Every GPU test and measurement; writes docs/measurements/
	$(BIN)/python benchmarks/gpu.py

serving: $(VENV)/serving/bin/llama-server ## The real servers that the tests start

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

contracts: $(VENV)/.dev
	$(BIN)/lint-imports

docs: $(VENV)/.dev ## Regenerate docs/checks.md from the checks themselves
	$(BIN)/python tools/check_pages.py

dist: $(VENV)/.dev ## sdist and wheel, in dist/
	$(BIN)/python tools/dist.py

zipapp: $(VENV)/.dev ## dist/autoglm-doctor.pyz: one file, no installation
	$(BIN)/python tools/make_zipapp.py

wheelhouse: dist ## dist/wheelhouse/: the wheel and all that it needs, for nodes without a network
	rm -rf dist/wheelhouse
	$(BIN)/python -m pip download --quiet --only-binary=:all: --dest dist/wheelhouse dist/*.whl

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

# The environment of the real servers that tests start: `transformers serve` in seconds, and llama.cpp's server, which
# is built from source in about three minutes on two cores (needs a C++ compiler and cmake).
$(VENV)/.serving: $(VENV)/.dev tests/serving/environment.py tests/serving/torchvision_shim.py tests/constraints.txt
	$(BIN)/python -m tests.serving.environment $(VENV)/serving
	@touch $@

$(VENV)/serving/bin/llama-server: $(VENV)/.serving
	[ -x $@ ] || $(BIN)/python -m tests.serving.llama_server $@
	@[ ! -e $@ ] || touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
