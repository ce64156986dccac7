# One target per intention. `make demo` and `make test` prepare the machine themselves.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
ISO ?=
ARGS ?=
SUITES ?= bookworm trixie
TARGETS ?= demo test-fast
WORKERS ?= 2
LINTED := $(VENV)/lint.log
FAST := not slow and not alone and not environment and not seconds

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/.ready: requirements/bootstrap.txt requirements/all.txt pyproject.toml tools/setup/system-packages.sh
	@tools/setup/system-packages.sh
	@python3 -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip sync --quiet --compile-bytecode --require-hashes requirements/all.txt
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q hyops_assets hyops_lab resources sensors
	@touch $@

.PHONY: setup
setup: $(VENV)/.ready ## install what is missing: OS packages, the virtual environment, Python packages
	@tools/setup/system-packages.sh

.PHONY: demo
demo: setup ## a signed ISO goes in; records, contract, Proxmox template and Hetzner image come out
	@$(BIN)/hyops demo $(if $(ISO),--iso "$(ISO)")

.PHONY: dev
dev: setup ## the Dagster UI on loopback, on the demo's instance
	@$(BIN)/hyops dev

.PHONY: test
test: setup ## everything, the slow tests too: lint beside them, then what needs the machine alone
	@rm -f $(LINTED) $(LINTED).failed; status=0; \
	$(MAKE) --no-print-directory --keep-going --jobs 2 lint-beside shared-tests || status=$$?; \
	$(BIN)/pytest -m "alone" $$(grep -rlF "mark.alone" tests) || status=$$?; \
	[ ! -e $(LINTED).failed ] || { cat $(LINTED); echo "lint failed, as said above"; }; \
	exit $$status

# What linters say is shown at the end where it would be lost among the tests' lines.
.PHONY: lint-beside shared-tests
lint-beside: setup
	@$(MAKE) --no-print-directory lint >$(LINTED) 2>&1 || { touch $(LINTED).failed; exit 1; }
shared-tests: setup
	@$(BIN)/pytest -n $(WORKERS) -m "not alone"

.PHONY: test-fast
test-fast: setup ## the tests that take less than a second each
	@$(BIN)/pytest -n $(WORKERS) -m "$(FAST)"

.PHONY: long
long: setup ## the long forms of what short tests cover
	@$(BIN)/pytest -n $(WORKERS) -m "long"

.PHONY: elsewhere
elsewhere: setup ## as root: the README's commands on a fresh Debian 12 and 13: SUITES="trixie" TARGETS="demo"
	@$(BIN)/pyright --pythonversion 3.13
	@for suite in $(SUITES); do tools/elsewhere/newcomer.sh "$$suite" $(TARGETS) || exit; done

.PHONY: lint
lint: setup ## format, lint, types, floors
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports
	@$(BIN)/pyright

.PHONY: bench
bench: setup ## the benchmarks, as ratios in one run
	@$(BIN)/python -m benchmarks

.PHONY: chaos
chaos: setup ## the real run of a seed, killed at every point of its trace and run again, in both clouds
	@$(BIN)/python -W ignore -m chaos

.PHONY: acceptance
acceptance: setup ## one template and one image at real sites, made, audited, removed: ARGS="--env prod --dry-run"
	@$(BIN)/hyops acceptance $(ARGS)

.PHONY: specs
specs: setup ## write the modules' specs, input schemas and reference pages again, from the models
	@$(BIN)/python -m hyops_assets.cli.modules.specs
	@$(BIN)/python -m hyops_assets.cli.modules.reference

.PHONY: lock
lock: setup ## pin every Python package by hash again (names no index)
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --group dev --extra lab pyproject.toml -o requirements/all.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header requirements/bootstrap.in -o requirements/bootstrap.txt
