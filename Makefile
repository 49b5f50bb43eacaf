# make demo    a small MSP with sandboxes of its vendors, on this machine alone
# make test    the quick tests
# All a machine needs for both: Python 3.11 or later with venv, make and git. `make help` lists the rest.

SHELL := /bin/sh
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.built-for
# Whole files go to one process, because their fixtures start servers; three, because tests also wait. ARGS="-n 0 …" runs in one, for a debugger.
# The quick ones in their own order: that by size would begin the longest, which is one test, last.
# Bytecode is kept whatever the caller's environment says: without it each process compiles every test, 20 s each.
PYTEST = PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 3 --dist loadfile
PYTHONS := python3 python3.13 python3.12 python3.11 python3.14 python
COMPILE = CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile --quiet --generate-hashes --strip-extras \
	--allow-unsafe --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options $(UPGRADE)
# Only wheels: nothing from the index runs while it is installed. Twice quiet: errors alone.
INSTALL = $(BIN)/python -m pip install -qq --disable-pip-version-check --no-input

# A virtual environment knows its own place and interpreter by path: where either moved, it is built anew.
ifneq ($(shell cat $(STAMP) 2>/dev/null),$(CURDIR))
.PHONY: $(STAMP)
endif
ifeq ($(wildcard $(BIN)/python),)
.PHONY: $(STAMP)
endif

.PHONY: help venv demo test slow lint format types layers check bench lock sdk image clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(STAMP) ## sandboxes of all vendors, the daemon against them, the dashboard; Ctrl-C ends all
	@$(BIN)/syncd demo

test: $(STAMP) ## the quick tests; ARGS="tests/core -x" narrows them
	@$(PYTEST) --no-loadscope-reorder $(ARGS)

slow: $(STAMP) ## the tests that take long or need system packages
	@$(PYTEST) -m slow $(ARGS)

lint: $(STAMP) ## ruff: rules and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

format: $(STAMP) ## ruff: put files into the house format
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

types: $(STAMP) ## mypy --strict
	@$(BIN)/mypy --strict

layers: $(STAMP) ## import-linter: imports go one way
	@$(BIN)/lint-imports

check: lint types layers test ## everything but the slow tests

bench: $(STAMP) ## the benchmarks, one after the other
	@set -e; ran=; for script in benchmarks/bench_*.py; do \
		[ -e "$$script" ] || continue; ran=yes; echo "== $$script"; $(BIN)/python "$$script"; \
	done; [ -n "$$ran" ] || { echo "There is no benchmarks/bench_*.py yet." >&2; exit 1; }

lock: $(STAMP) ## write the lock files anew after a change in pyproject.toml; UPGRADE=--upgrade takes newer versions
	@$(COMPILE) --extra dev --all-build-deps --output-file requirements.lock pyproject.toml
	@$(COMPILE) --constraint requirements.lock --output-file requirements.runtime.lock pyproject.toml
	@$(COMPILE) --constraint requirements.lock --all-build-deps --only-build-deps \
		--output-file requirements.build.lock pyproject.toml
	@$(COMPILE) --constraint requirements.lock --extra sdk --output-file requirements.sdk.lock pyproject.toml

sdk: $(STAMP) ## xero-python beside the rest: it comes as source, so that nothing else installs it
	@$(INSTALL) --require-hashes --no-build-isolation --requirement requirements.sdk.lock

image: ## the container image syncd:dev; BUILDER=podman for another engine
	@$(or $(BUILDER),docker) build --tag syncd:dev .

clean: ## take away what make and the tools made; never state/
	@rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find syncd connectors tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

venv: $(STAMP) ## the virtual environment alone

$(STAMP): requirements.lock pyproject.toml
	@python=; for candidate in $(or $(PYTHON),$(PYTHONS)); do \
		if $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
			python=$$candidate; break; \
		fi; \
	done; \
	if [ -z "$$python" ]; then \
		echo "syncd needs Python 3.11 or later; $(or $(PYTHON),python3) is" \
			"$$($(or $(PYTHON),python3) --version 2>/dev/null || echo missing)." \
			"Install it, or name one: make PYTHON=/path/to/python3.12" >&2; exit 1; \
	fi; \
	echo "Building $(VENV) with $$($$python --version 2>&1); this takes a minute." >&2; \
	rm -f $(STAMP); \
	if ! told=$$($$python -m venv --clear $(VENV) 2>&1); then \
		echo "$$told" >&2; \
		echo "$$python cannot make a virtual environment." \
			"Install its venv module (on Debian and Ubuntu: apt-get install python3-venv)." >&2; exit 1; \
	fi
	@$(INSTALL) --only-binary :all: --require-hashes --requirement requirements.lock
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@printf '%s' "$(CURDIR)" > $(STAMP)
