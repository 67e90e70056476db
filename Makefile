# medasr: `make demo` and `make test` do all set-up themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MODELS := .cache/models
export OMP_WAIT_POLICY := PASSIVE
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo run test lint bench clean

help: ## Show what can be made
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(VENV)/.ready ## Make .venv with pinned dependencies

$(VENV)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("medasr needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; set PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt pip setuptools
	@echo "installing medasr and its dependencies; on a fresh machine torch alone is some hundred megabytes"
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[test,lint]'
	@touch $@

demo: $(VENV)/.ready ## Start the daemon on a fresh home, transcribe the samples, show what came of it
	@$(BIN)/python samples/demo.py --home .demo --models $(MODELS)

run: export MEDASRD_PATHS__MODELS := $(CURDIR)/$(MODELS)
run: $(VENV)/.ready ## Run the daemon in the foreground on .home
	@$(BIN)/medasrd init .home
	@$(BIN)/medasrd models pull --config .home/config.toml
	@echo "drop recordings into .home/inbox; Ctrl-C stops the daemon"
	@$(BIN)/medasrd run --config .home/config.toml

# Two files at a time: most tests wait for processes that start on one core. Each file stays on one worker with what its fixtures made.
test: $(VENV)/.ready ## Run all tests
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

lint: $(VENV)/.ready ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.ready ## Measure speed and memory, both sides in one run
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[bench]'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps openai-whisper
	$(BIN)/python -m benchmarks

clean: ## Remove what was made: .venv, models, and the homes .demo and .home with all that is in them
	rm -rf $(VENV) .cache .demo .home build *.egg-info
