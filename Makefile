# Two commands do everything on a fresh machine: `make up` and `make test`.
# PYTHON=... names another; version managers leave names on the path that do not run, so each is tried.
PYTHONS := $(or $(PYTHON),python3 python3.12 python3.11)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: up down status test test-unit test-compose check format stubs sim bench bench-peers bench-goals setup clean

setup: $(STAMP)

# The version first: pip would refuse a wrong one too, but in a venv that then stands in the way of the right one.
$(STAMP): pyproject.toml requirements.lock
	@for python in $(PYTHONS); do \
		$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' 2>/dev/null || continue; \
		echo "setting up $(VENV)"; \
		exec $$python -m venv $(VENV); \
	done; \
	echo "Trizone needs Python 3.11 or 3.12 (tried: $(PYTHONS)). Name one with: make PYTHON=... $(MAKECMDGOALS)" >&2; \
	exit 1
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

# Real containers, apart from `make test`: it needs a docker engine, or root and Debian's docker.io to start one.
test-compose: $(STAMP)
	$(BIN)/python -m deploy.prove

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

# SEEDS=N runs N seeds from FIRST on, on all cores; SECONDS=S begins none after S seconds. SEED=K runs one again and tells
# its story, KEY=... or GROUP=... only that of one key or partition (GROUP on the command line: some shells set it).
sim: $(STAMP)
	@$(BIN)/python -m simulation $(if $(SEED),--seed $(SEED) $(if $(KEY),--key $(KEY)) $(if $(filter command,$(firstword $(origin GROUP))),--group $(GROUP)),$(if $(SEEDS),--seeds $(SEEDS)) --first $(or $(FIRST),1) $(if $(SECONDS),--seconds $(SECONDS)))

bench: $(STAMP)
	$(BIN)/python tests/bench/run.py $(ARGS)

# Beside etcd, dynalite, DynamoDB Local and moto, which are installed under ~/.cache/trizone, and whether each goal of
# speed is reached; the second beside etcd only.
bench-peers: $(STAMP)
	$(BIN)/python tests/bench/compare.py $(ARGS)

bench-goals: $(STAMP)
	$(BIN)/python tests/bench/compare.py --peers etcd $(ARGS)

clean:
	rm -rf $(VENV)
