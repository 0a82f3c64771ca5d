# Every recipe people and CI use. `make help` lists them.
SHELL := /bin/bash
PYTHON ?= python3
UV_VERSION := 0.13.9
BIN := .venv/bin
UV := .uv/bin/uv
COMPILE = $(UV) pip compile --universal --python-version 3.11 --generate-hashes --no-header --quiet

# Without bytecode every process compiles every module as it starts; container images often turn it off.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run test check format chaos fuzz bench bench-feast screenshots lock clean

help: ## List the recipes
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

run: .venv/run ## Start everything on this machine with a demo (PORT moves the port, DEMO=0 starts empty)
	@$(BIN)/python manage.py up

test: .venv/dev ## Install what the tests need and run every test
	@bash .ci/prepare
	@$(BIN)/python -m pytest -n 2 --dist loadgroup $(PYTEST_ARGS)
	@echo "Once more on PostgreSQL: the tests that use our database"
	@$(BIN)/python -m tests.on_postgresql -n 2 --dist loadgroup $(PYTEST_ARGS)

check: .venv/dev ## Lint, format, types, imports, templates, migrations, docs
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy .
	@$(BIN)/lint-imports
	@$(BIN)/djlint templates --check --lint --quiet
	@DJANGO_SETTINGS_MODULE=tests.mypy_settings $(BIN)/python manage.py makemigrations --check --dry-run
	@$(BIN)/python -m pytest -q -n 0 --no-header tests/rules/test_codebase.py tests/rules/test_documentation.py

format: .venv/dev ## Put code and templates into our format
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .
	@$(BIN)/djlint templates --reformat --quiet || true

chaos: .venv/dev ## Break everything in thousands of histories of syncs, and show that tests notice (CHAOS_SEED repeats)
	@bash .ci/prepare
	@CHAOS_HISTORIES=$${CHAOS_HISTORIES:-2000} CHAOS_PROCESS_HISTORIES=$${CHAOS_PROCESS_HISTORIES:-100} \
	$(BIN)/python -m pytest -n 2 --dist loadgroup tests/chaos tests/faults/test_histories.py $(PYTEST_ARGS)
	@$(BIN)/python -m tests.chaos.mutations

fuzz: .venv/dev ## Make 20,000 calls from the OpenAPI document, right and wrong ones, and judge every answer
	@bash .ci/prepare
	@FUZZ_CASES=$${FUZZ_CASES:-20000} $(BIN)/python -m pytest -n 2 --dist loadgroup tests/contracts/test_openapi.py $(PYTEST_ARGS)

bench: .venv/dev ## Measure syncs and reads against their yardsticks
	@bash .ci/prepare
	@$(BIN)/python -m benchmarks

bench-feast: .venv/dev .feast/ready ## Measure a whole sync against Feast's materialize (Feast comes from PyPI into .feast)
	@bash .ci/prepare
	@$(BIN)/python -m benchmarks.beside_feast

screenshots: .venv/dev ## Draw every page, empty, full and in error, wide, narrow, light and dark, and the guides' pictures anew
	@bash .ci/prepare
	@rm -rf screenshots && mkdir screenshots
	@SCREENSHOTS=$(CURDIR)/screenshots $(BIN)/python -m pytest -q -n 0 tests/browser $(PYTEST_ARGS)
	@$(BIN)/python -m tests.browser.pictures

lock: .uv/ready ## Resolve the dependencies anew
	@$(COMPILE) pyproject.toml -o requirements.lock
	@$(COMPILE) pyproject.toml --group pyproject.toml:dev -c requirements.lock -o requirements-dev.lock
	@$(COMPILE) benchmarks/feast-requirements.in -o benchmarks/feast-requirements.lock

clean: ## Remove the environment and the embedded data
	rm -rf .venv .uv .feast .data

.uv/ready: Makefile
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or newer is needed: install python3 (on Debian also python3-venv)."; exit 1; }
	@$(PYTHON) -m venv .uv 2>/dev/null || bash .ci/prepare-venv $(PYTHON) .uv
	@.uv/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@touch $@

.venv/bin/python: .uv/ready
	@$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv

# The tests' environment holds everything, so `make run` after `make test` installs nothing.
.venv/run: .venv/bin/python requirements.lock
	@echo "Installing what it runs on ..."
	@if [ -f .venv/dev ]; then $(MAKE) --no-print-directory .venv/dev; \
	else $(UV) pip sync --quiet --require-hashes --python $(BIN)/python requirements.lock; fi
	@touch $@

.venv/dev: .venv/bin/python requirements-dev.lock
	@$(UV) pip sync --quiet --require-hashes --python $(BIN)/python requirements-dev.lock
	@touch $@

# Feast is measured against, never a part of the product: it has an environment of its own.
.feast/ready: .uv/ready benchmarks/feast-requirements.lock
	@$(UV) venv --quiet --allow-existing --python $(PYTHON) .feast
	@$(UV) pip sync --quiet --require-hashes --python .feast/bin/python benchmarks/feast-requirements.lock
	@touch $@
