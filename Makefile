# Every target sets up what it needs, into this checkout, and starts in seconds the second time.
# Prerequisites: Python >= 3.11 and make. What else is needed is found on PATH or fetched.

.DEFAULT_GOAL := help
SHELL := /bin/sh
# Compiled modules are reused: importing web3 from source costs seconds in every process.
unexport PYTHONDONTWRITEBYTECODE
unexport VIRTUAL_ENV

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
BRONCO := $(BIN)/bronco
# Test files are shared out among so many processes, each with servers of its own; 0: one by one.
JOBS ?= 2

define SETUP
@test -n "$(PYTHON)" || { echo "Bronco needs Python 3.11 or newer on PATH; `python3 --version 2>&1` is not" >&2; exit 1; }
@$(PYTHON) -m tools.bootstrap
endef

.PHONY: help setup demo test soak lint clean

help: ## Show the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

setup: ## Fetch everything the other targets need
	$(SETUP) test

demo: ## Play every scene on a real stack; ONCE=1 ends by itself, JSON=file writes what happened
	$(SETUP) run
	@exec $(BRONCO) demo $(if $(ONCE),--once) $(if $(JSON),--json "$(JSON)")

# In two runs: a whole stack needs what the servers of the cheaper tiers would go on taking.
test: ## Run all tests, cheapest first; K=expr narrows, JOBS=0 one by one, ARGS=... to pytest
	$(SETUP) test
	@for tiers in "not e2e and not chaos" "(e2e or chaos)"; do \
	  $(BIN)/pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder -m "not soak and $$tiers" \
	    $(if $(K),-k "$(K)") $(ARGS) || { \
	    rc=$$?; [ $$rc -eq 5 ] && [ -n '$(K)$(ARGS)' ] || exit $$rc; }; done

soak: ## Run the long variants of the tests
	$(SETUP) test
	@exec $(BIN)/pytest -m soak $(ARGS)

lint: ## Check style, imports, types and the house rules
	$(SETUP) lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m tools.house_lint
	$(BIN)/lint-imports
	$(BIN)/mypy

clean: ## Remove everything set-up and running made, not your data
	rm -rf .venv .tools contracts/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
