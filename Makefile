# Two commands do everything on a fresh machine: `make up` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: up down status test test-unit check format stubs bench setup clean

setup: $(STAMP)

$(STAMP): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Trizone needs Python 3.11 or newer: set PYTHON=..."; exit 1; }
	@echo "setting up $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock --editable '.[dev]'
	@touch $(STAMP)

up: $(STAMP)
	@$(BIN)/trizone up $(ARGS)

down: $(STAMP)
	@$(BIN)/trizone down $(ARGS)

status: $(STAMP)
	@$(BIN)/trizone status $(ARGS)

test: $(STAMP)
	$(BIN)/python -m pytest $(ARGS)

test-unit: $(STAMP)
	$(BIN)/python -m pytest -m unit $(ARGS)

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/generate_stubs.py --check
	$(BIN)/python -m pytest -q tests/tidy

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

stubs: $(STAMP)
	$(BIN)/python tools/generate_stubs.py

bench: $(STAMP)
	$(BIN)/python tests/bench/run.py $(ARGS)

clean:
	rm -rf $(VENV)
