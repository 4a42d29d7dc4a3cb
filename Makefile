# `make` prints this help. Everything is installed into .venv from the package registries.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

include console/build.mk provider_join/build.mk
.PHONY: help setup up demo test check lint bench slow attack mutants soak-ledger lock docs format clean

help:            ## Print this help
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

setup: $(STAMP) $(CONSOLE)  ## Make .venv, install the pinned dependencies and build the console

$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || { echo "making .venv …"; $(PYTHON) -m venv .venv; }
	@echo "installing the pinned dependencies into .venv (about a minute) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

up: $(STAMP) $(CONSOLE)     ## Start a fabric on this machine and keep it
	@$(BIN)/fabric up

demo: $(STAMP)   ## Start a fabric, run two real jobs, print what happened, leave nothing behind
	@$(BIN)/fabric demo

test: $(STAMP) console-test  ## All tests but the long ones
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m "not slow and not chaos and not bench and not gpu and not attack"

check: lint      ## Format, lint, types, import contracts, tidy rules, unit and contract tests without a cluster (≤ 2 min)
	$(BIN)/python -m pytest -n 2 --dist loadgroup tests/tidy tests/unit tests/contract -m "not slow and not chaos and not gpu and not ray"

lint: $(STAMP) console-lint  ## Only the part of `check` that runs no test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP)  ## Measure, print ratios, store benchmarks/results/*.json
	$(BIN)/python -m benchmarks
slow: $(STAMP)   ## The long tests: slow and chaos
	$(BIN)/python -m pytest -m "slow or chaos"
attack: $(STAMP) ## Attack a fabric and print what each attack did, without and with the boundary (needs root)
	$(BIN)/python -m tests.attack
mutants: $(STAMP)  ## Put one wrong line after the other into the ledger's SQL; each must be found
	$(BIN)/python -m tests.mutants
soak-ledger: $(STAMP)  ## 1,000,000 random postings while Postgres is killed again and again; SECONDS=1800 bounds it
	$(BIN)/python -m tests.soak --seconds $(or $(SECONDS),1800)

format: $(STAMP) ## Format and mend what ruff can mend
	$(BIN)/ruff format . && $(BIN)/ruff check --fix .
docs: $(STAMP)   ## Regenerate the synchronous client, docs/map.md, settings.md, openapi.json and .env.example
	$(BIN)/python -m docs.generate
lock:            ## Resolve afresh and write constraints.txt, then provider_join/locks for owners' machines
	$(PYTHON) -m venv .venv-lock && .venv-lock/bin/pip install --quiet -e '.[dev]'
	(head -1 constraints.txt; .venv-lock/bin/pip freeze --exclude-editable) > constraints.new && mv constraints.new constraints.txt
	.venv-lock/bin/pip install --quiet uv && $(MAKE) locks UV=.venv-lock/bin/uv
	rm -rf .venv-lock
clean:           ## Remove the environment and caches
	rm -rf .venv .pytest_cache .ruff_cache .mypy_cache build *.egg-info console/node_modules fabric/api/console_files
