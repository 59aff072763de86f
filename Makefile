# The two to know: `make demo` (SECONDS=20 ends it) and `make test`. Needs Python 3.11 or newer, nothing else.

PYTHON ?= python3
VENV ?= .venv
PIPELINE ?= fraud
PORT ?= 9092
BIN := $(VENV)/bin
RUN_DONE := $(VENV)/.installed-run
DEV_DONE := $(VENV)/.installed-dev

.DEFAULT_GOAL := help
.PHONY: help demo test check bench soak kafka clean

help: ## what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: $(RUN_DONE) ## a pipeline over simulated traffic, live: PIPELINE=fraud or vision, SECONDS=20 RATE=2000
	@$(BIN)/headrace demo --pipeline $(PIPELINE) $(if $(RATE),--rate $(RATE)) $(if $(SECONDS),--seconds $(SECONDS))

# Two at a time: many tests wait for a broker. A file stays together, with its fixtures.
test: $(DEV_DONE) ## everything but the soak runs
	$(BIN)/python -m pytest -m "not soak" -n 2 --dist loadfile

check: $(DEV_DONE) ## ruff, mypy --strict and the fast tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -m "not slow and not soak and not kafka"

bench: $(DEV_DONE) ## every benchmark, results as JSON and PNG in bench/results
	@set -e; for program in $(sort $(filter-out bench/__init__.py bench/_%,$(wildcard bench/*.py))); do \
		echo "== $$program"; $(BIN)/python -m bench.$$(basename $$program .py); done

soak: $(DEV_DONE) ## the full counts (a million fuzzed records, a hundred kills, ...): an hour and more
	$(BIN)/python -m pytest -m soak --timeout 3600

kafka: $(RUN_DONE) ## a real broker on localhost:9092 from Maven jars, until Ctrl-C: needs Java 17 and Maven
	$(BIN)/python -m pipeline.kafka.broker --port $(PORT)

clean: ## remove the environment and what was built
	rm -rf $(VENV) build dist *.egg-info .headrace
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "make: $(PYTHON) is $$($(PYTHON) --version 2>&1), Python 3.11 or newer is needed: make PYTHON=python3.12" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(RUN_DONE): $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(DEV_DONE): $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@ $(RUN_DONE)
