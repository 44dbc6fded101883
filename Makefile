# make demo | test | check | evals | bench | run. Needs Python 3.11 or newer, git and make; everything else is installed into .venv.
SHELL := /bin/sh
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; exit; }; done)
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help install engine demo test check evals bench run clean

help:
	@echo "make demo    play real-shaped webhooks through Ordermend, then serve until Ctrl-C"
	@echo "make test    the whole test suite"
	@echo "make check   format, lint, types, import contracts, schema"
	@echo "make evals   judge the labelled cases, print the figures, and hold them against the gates"
	@echo "make bench   measure against yardsticks, into evals/bench/results.json"
	@echo "make run     serve the API with a worker, on what is configured"
	@echo "make engine  install the engine of the local model (demo and run try it by themselves)"
	@echo "make clean   remove the environment and all caches"

install: $(VENV)/.runtime

engine: $(VENV)/.local

demo: $(VENV)/.runtime $(VENV)/.local
	@$(BIN)/ordermend demo

run: $(VENV)/.runtime $(VENV)/.local
	@$(BIN)/ordermend serve

evals: $(VENV)/.runtime
	@$(BIN)/ordermend eval suite

bench: $(VENV)/.dev
	@$(BIN)/python -m evals.bench

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.schema_drift

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# An environment is made once; the stamps say which lock it was filled from.
$(VENV)/.made:
	@if [ -z "$(PYTHON)" ]; then \
		echo "Ordermend needs Python 3.11 or newer and found none. Install one, or name it: make PYTHON=/path/to/python3.12" >&2; exit 1; fi
	@$(PYTHON) -c 'import sys; v = "%d.%d" % sys.version_info[:2]; \
		sys.exit(0 if sys.version_info >= (3, 11) else "Ordermend needs Python 3.11 or newer; %s is %s" % (sys.executable, v))'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make environments; install its venv package (on Debian and Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@echo "Making $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.runtime: $(VENV)/.made requirements.lock pyproject.toml
	@echo "Installing what requirements.lock names ..."
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps -e .
	@touch $@

# The engine of the local model, where there is a ready-made one for this machine. Without it everything works, on rules.
$(VENV)/.local: $(VENV)/.runtime requirements-local.lock
	@echo "Installing the engine of the local model ..."
	@if $(PIP) install --retries 1 --only-binary :all: --no-deps --require-hashes -r requirements-local.lock; then touch $@; \
		else echo "It could not be installed; Ordermend classifies by rules. Install it later with: make engine" >&2; fi

$(VENV)/.dev: $(VENV)/.made requirements-dev.lock pyproject.toml
	@echo "Installing what requirements-dev.lock names ..."
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@ $(VENV)/.runtime
