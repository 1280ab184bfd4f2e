# Every step is skipped when it is up to date. `make help` lists the targets.
SHELL := /bin/sh
.DELETE_ON_ERROR:
.NOTPARALLEL:
.DEFAULT_GOAL := help

VENV := .venv/bin
SYSTEM_NODE := $(shell node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null && command -v npm >/dev/null && echo yes)
NODE_PATH := $(if $(SYSTEM_NODE),,$(CURDIR)/.venv/bin:)
PACKAGES := pro_tracker worker config migrations benchmarks tests
JOBS ?= 2

# Where this is set, each of the many processes of the tests would compile our modules again.
unexport PYTHONDONTWRITEBYTECODE

FRONTEND := $(shell find frontend -type f 2>/dev/null) package.json package-lock.json
BUILT := pro_tracker/web/static/build/manifest.json
CATALOGUES := $(patsubst %.po,%.mo,$(shell find pro_tracker/translations -name '*.po' 2>/dev/null))

.PHONY: help install demo test sure heavy format lint words types imports bench faults deep assets lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

install: .venv/.run ## Build .venv, with .venv/bin/pro-tracker

demo: .venv/.run assets ## Run the whole service with synthetic patients on this machine; RESET=1 starts over
	@exec $(VENV)/pro-tracker demo $(if $(RESET),--reset)

test: .venv/.dev assets ## Every test, on real PostgreSQL, Redis, SMTP and Chromium; ARGS="-k reminder" for some
	@requirements/system-packages.sh
	$(VENV)/pytest -n $(JOBS) --dist worksteal $(ARGS)

sure: format lint types imports ## Format check, lint, types, import contracts, every test but the heavy ones on one database
	PRO_TRACKER_DIALECTS=one $(MAKE) test ARGS='-m "not faults and not browser"'

heavy: .venv/.dev assets ## The heavy checks in their short form: faults and browsers, then benchmarks
	$(MAKE) test ARGS='-m "faults or browser"'
	$(VENV)/python -m benchmarks submit pages exports importing scoring claiming dispatch \
	  --subjects 60 --responses 2000 --rows 20000 --dispatched 200 --people 40

format: .venv/.dev
	$(VENV)/ruff format --check .

lint: .venv/.dev words
	$(VENV)/ruff check .
	$(VENV)/python -m tests.guards.density
	$(VENV)/bandit --quiet --recursive --configfile pyproject.toml pro_tracker worker config

words: .venv/.dev ## Find words that docs/glossary.md replaces; ARGS=--count for a table
	@status=0; $(VENV)/codespell . || status=1; $(VENV)/python -m tests.guards.vocabulary $(ARGS) || status=1; exit $$status

types: .venv/.dev
	$(VENV)/mypy

imports: .venv/.dev
	$(VENV)/lint-imports --no-logo

bench: .venv/.dev assets ## Measure, on PostgreSQL, and print the figures
	@requirements/system-packages.sh
	$(VENV)/python -m benchmarks $(ARGS)

faults: .venv/.dev assets ## Kill, freeze and cut off workers, broker and database at full size
	@requirements/system-packages.sh
	PRO_TRACKER_FAULTS=full $(VENV)/pytest -m faults $(ARGS)

deep: .venv/.dev assets ## Everything at full size, started manually: tests on both databases, faults, browsers, benchmarks
	$(MAKE) test ARGS='-m "not faults and not browser"'
	PRO_TRACKER_FAULTS=full $(MAKE) test ARGS='-m "faults or browser"'
	$(VENV)/python -m benchmarks --messages 10000 --kills 50 --responses 1000000 --rows 5000000 --people 20000

assets: $(BUILT) $(CATALOGUES) ## Style sheets, scripts and message catalogues

lock: .venv/.dev ## Renew the pinned, hashed locks from pyproject.toml and package.json
	@for set in 'run --extra demo --extra twilio' 'dev --extra demo --extra dev'; do \
	  set -- $$set; name=$$1; shift; \
	  UV_PYTHON_DOWNLOADS=never $(VENV)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-emit-find-links --no-header $(if $(UPGRADE),--upgrade) pyproject.toml "$$@" -o requirements/$$name.lock || exit 1; \
	done
	PATH="$(NODE_PATH)$$PATH" npm install --package-lock-only --ignore-scripts --no-audit --no-fund

clean: ## Remove what was built; .venv and the demonstration's data in var/ stay
	rm -rf node_modules pro_tracker/web/static/build .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find pro_tracker/translations -name '*.mo' -delete

# Each stamp is touched by requirements/install.sh; .dev holds everything of .run too.
.venv/.run: requirements/run.lock requirements/uv.txt requirements/build.txt pyproject.toml
	@requirements/install.sh run

.venv/.dev: requirements/dev.lock requirements/uv.txt requirements/build.txt pyproject.toml
	@requirements/install.sh dev

node_modules/.package-lock.json: package-lock.json | .venv/.run
	@echo "  Installing the front-end packages"
	@PATH="$(NODE_PATH)$$PATH" npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

$(BUILT): node_modules/.package-lock.json $(FRONTEND)
	@echo "  Building style sheets and scripts"
	@PATH="$(NODE_PATH)$$PATH" npm run --silent build
	@touch $@

%.mo: %.po | .venv/.run
	@$(VENV)/pybabel --quiet compile --input-file $< --output-file $@
