# Every target sets itself up from nothing: the virtual environment is built when it is missing or
# older than pyproject.toml or constraints.txt.

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Errors only: the warnings are about the indexes that pip was told to look at, and do not matter here.
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check
TORCH := $(shell grep '^torch==' constraints.txt)

# Where `make demo` writes; git ignores it.
DEMO := demo

.PHONY: help
help: ## List all targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) \
	  | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

# torch goes first and with its exact version: an open range, resolved together with the others,
# may take the build that brings gigabytes of CUDA libraries where a CPU build is offered too.
$(STAMP): pyproject.toml constraints.txt
	@echo "==> virtual environment in $(VENV), made by $(PYTHON)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "redepth needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 install"; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@echo "==> $(TORCH) (CPU or CUDA build: see CONTRIBUTING.md)"
	@$(PIP) install --constraint constraints.txt $(TORCH)
	@echo "==> redepth and the development tools, at the versions of constraints.txt"
	@$(PIP) install --constraint constraints.txt --editable '.[dev]'
	@touch $(STAMP)

.PHONY: install
install: $(STAMP) ## Build .venv with redepth and its tools (a second call does nothing)

# The demo and the tests use models made from a seed; neither may ask the hub for anything.
demo demo-distill lab test test-slow test-cluster test-s3 test-chaos test-browser test-ops test-security test-faults test-wheel test-bench: export HF_HUB_OFFLINE := 1

.PHONY: demo
demo: install ## Label five photographs and sixteen scenes on this machine, in a minute or two
	@echo "==> five photographs and sixteen rendered scenes into $(DEMO)"
	@$(BIN)/python -m scripts.demo_collection $(DEMO)
	@echo "==> redepth label $(DEMO)/photographs --out $(DEMO)/photograph-labels --recipe mini-photo"
	@$(BIN)/redepth label $(DEMO)/photographs --out $(DEMO)/photograph-labels --recipe mini-photo
	@echo "==> redepth label $(DEMO)/scenes/list.csv --out $(DEMO)/labels --recipe mini --actors 2"
	@$(BIN)/redepth label $(DEMO)/scenes/list.csv --out $(DEMO)/labels --recipe mini --actors 2
	@$(BIN)/python -m scripts.show_demo $(DEMO)

# The student that comes with redepth as mini-distilled is made by these two commands.
STUDENT := $(DEMO)/student
FAMILIES := --family faces --family coins --family dunes

.PHONY: demo-distill
demo-distill: install ## Distil a student from a slow method's labels of 300 scenes, in some minutes
	@echo "==> 300 rendered scenes into $(DEMO)/student-scenes"
	@$(BIN)/redepth scenes --out $(DEMO)/student-scenes --split tuning --seed 1000 --count 100 --size 64 $(FAMILIES)
	@echo "==> redepth distill $(DEMO)/student-scenes/list.csv --out $(STUDENT) --teacher mini-fast --share 100% --config distilled-mini"
	@$(BIN)/redepth distill $(DEMO)/student-scenes/list.csv --out $(STUDENT) --teacher mini-fast --share 100% --config distilled-mini

.PHONY: test
test: install ## Run the fast tests, on all cores
	@$(BIN)/pytest -n auto

# Tests that kill actors and watch the clock go one by one; of the others each waits most of the
# time, for engines that start.
.PHONY: test-slow
test-slow: install ## Run the tests that start Ray or Prefect or walk the main path
	@$(BIN)/pytest -m slow --durations=10 tests/cluster tests/faults
	@$(BIN)/pytest -m slow -n 2 --dist worksteal --durations=25 --ignore tests/cluster --ignore tests/faults

.PHONY: test-cluster
test-cluster: install ## Run the tests on several Ray nodes of this machine
	@$(BIN)/pytest -m cluster

# In an environment of its own: it pins older releases of packages that redepth needs newer.
MITMDUMP := $(VENV)/mitmproxy/bin/mitmdump
$(MITMDUMP): infra/faults/requirements.txt $(STAMP)
	@echo "==> mitmproxy in $(VENV)/mitmproxy, for the tests of a storage that fails"
	@$(PYTHON) -m venv $(VENV)/mitmproxy
	@$(VENV)/mitmproxy/bin/python -m pip -qq --disable-pip-version-check install -r $<
	@touch $@

.PHONY: test-s3
test-s3: install $(MITMDUMP) ## Run the tests on a real S3 server (starts one unless AWS_ENDPOINT_URL is set)
	@infra/s3/with_server.sh $(BIN)/pytest -m s3

.PHONY: test-chaos
test-chaos: install ## Kill a run at every file operation, then workers, a node and the driver of 2,000 images
	@$(BIN)/pytest -m chaos -s

.PHONY: test-browser
test-browser: install ## Run the tests that open pages in headless Chromium
	@$(BIN)/pytest -m browser

.PHONY: test-ops
test-ops: install ## Run the tests of schedules, cancels and kills on a Prefect server on Postgres
	@$(BIN)/pytest -m ops

.PHONY: test-security
test-security: install ## Attack real runs: from other users, from the collection, from a list
	@$(BIN)/pytest -m security

.PHONY: test-faults
test-faults: install ## Take from real runs what they stand on: folders, space, the terminal, the lease
	@$(BIN)/pytest -m faults

.PHONY: test-wheel
test-wheel: install ## Install the wheel as a stranger would, then label a folder and a bucket with it
	@infra/s3/with_server.sh $(BIN)/pytest -m wheel

.PHONY: test-bench
test-bench: install ## Run the GPU benchmark at toy size on the CPU
	@$(BIN)/pytest -m bench

.PHONY: test-all
test-all: test test-slow test-cluster test-s3 test-browser test-chaos test-ops test-security test-faults test-wheel test-bench ## Run all tests

.PHONY: check
check: install ## Lint, formatting, types and import contracts; changes nothing
	@echo "==> ruff check" && $(BIN)/ruff check .
	@echo "==> ruff format --check" && $(BIN)/ruff format --check .
	@echo "==> mypy" && $(BIN)/mypy
	@echo "==> lint-imports" && $(BIN)/lint-imports --no-logo

.PHONY: check-infra
check-infra: install ## Check everything under infra/ with the strictest checkers that need no engine
	@$(BIN)/python scripts/check_infra.py

.PHONY: format
format: install ## Format the code and fix what ruff can fix
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

.PHONY: docs
docs: install ## Write what of the docs is made from the code
	@$(BIN)/python scripts/write_recipe_reference.py docs/recipes.md
	@$(BIN)/python -m scripts.write_presets docs/presets.md
	@$(BIN)/python -m scripts.write_training_reference docs
	@$(BIN)/python scripts/write_export_formats.py docs/exporting.md
	@$(BIN)/python scripts/write_quantities.py docs/catalogue.md
	@$(BIN)/python scripts/write_dataset_table.py docs/datasets.md
	@HF_HUB_OFFLINE=1 $(BIN)/python -m scripts.count_flops redepth/flops/counted.py

# Strict: a link or an anchor that leads nowhere fails. The variable silences an advertisement of the theme.
.PHONY: site
site: install ## Build the docs as a web site into site/, which opens from a disk
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "open site/index.html"

# Where `make lab` writes; git ignores it.
LAB := lab

.PHONY: lab
lab: install ## Measure whether refining helps, on scenes with exact depth (docs/lab.md)
	@$(BIN)/redepth lab --out $(LAB)

.PHONY: bench
bench: install ## Run every benchmark and print its figures
	@for name in refiner main_job driver_memory store_codecs label_loading scale actors throughput cpu_stages batches; do \
	  echo "==> benchmarks/$$name.py" && $(BIN)/python -m benchmarks.$$name; done

.PHONY: clean
clean: ## Remove .venv, the demo's output and all caches
	rm -rf $(VENV) $(DEMO) $(LAB) site build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
