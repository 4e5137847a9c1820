# The two commands: `make demo` and `make test`. `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
STAMPS := .make
LAB_PORT ?= 8888
export PATH := $(BIN):$(PATH)
export TAXIWAY_HOME ?= $(CURDIR)/.make/home
export BENTOML_DO_NOT_TRACK := True
export WHYLOGS_NO_ANALYTICS := True
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export VIRTUAL_ENV :=

SOURCES := $(shell find extension/src extension/style extension/schema -type f 2>/dev/null)

.PHONY: help setup demo test lab check format bench lock clean stop

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(STAMPS)/extension ## Make .venv, build the front end, install the extension

demo: setup ## Set up, and take a model through every stage on real data
	@taxiway demo
	@echo "To see it in JupyterLab: make lab, then open http://127.0.0.1:$(LAB_PORT)/lab (it prints the link with its token)"
	@echo "To stop all that was started: make stop"

lab: setup ## Open JupyterLab on the demo's home
	jupyter lab --no-browser --ip=127.0.0.1 --port=$(LAB_PORT) --ServerApp.root_dir=notebooks \
	  $(if $(filter 0,$(shell id -u)),--allow-root)

stop: ## Stop every process that the demo started
	@taxiway agent stop

test: setup $(STAMPS)/chromium check ## Set up, check, and run all tests
	npm test --silent
	python -m pytest

check: setup ## Lint, format check and types: ruff, mypy, eslint, prettier, tsc
	ruff check .
	ruff format --check .
	mypy
	npm run lint --silent

format: setup ## Mend what a formatter can
	ruff check --fix .
	ruff format .
	npm run format --silent

bench: setup ## Print the figures that the documents quote
	python -m tests.benchmarks

lock: ## Resolve the Python pins afresh, with hashes
	$(BIN)/uv pip compile pyproject.toml --extra dev --generate-hashes --python-version 3.11 \
	  --no-emit-index-url --no-emit-find-links --no-annotate --no-header -q -o requirements.lock
	awk '/^uv==/{on=1} on{print} on && !/\\$$/{exit}' requirements.lock > requirements.bootstrap.lock

clean: ## Remove everything that was built (not the demo's home while it runs)
	-[ -x $(BIN)/taxiway ] && taxiway agent stop
	rm -rf $(VENV) node_modules $(STAMPS) extension/lib extension/taxiway/labextension artifacts

$(STAMPS)/python: requirements.lock requirements.bootstrap.lock
	@mkdir -p $(STAMPS)
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' || \
	  { echo "Taxiway needs Python 3.11 or 3.12; found $$($(PYTHON) -V). Name one: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "No virtual environment could be made: apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install -q --require-hashes -r requirements.bootstrap.lock
	$(BIN)/uv pip sync -q --python $(BIN)/python --require-hashes requirements.lock
	@touch $@

$(STAMPS)/node: package.json package-lock.json
	@mkdir -p $(STAMPS)
	@command -v npm >/dev/null || { echo "Node 20 and npm are missing: install them from nodejs.org or your system"; exit 1; }
	npm ci --silent
	@touch $@

$(STAMPS)/frontend: $(STAMPS)/python $(STAMPS)/node tsconfig.json $(SOURCES)
	npm run build:prod --silent
	@touch $@

# Editable: the Python sources are used where they lie; the built front end is copied in
$(STAMPS)/extension: $(STAMPS)/frontend pyproject.toml install.json extension/jupyter-config/taxiway.json
	SKIP_JUPYTER_BUILDER=1 $(BIN)/uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

$(STAMPS)/chromium:
	@mkdir -p $(STAMPS)
	@command -v chromium >/dev/null || { \
	  [ "$$(id -u)" = 0 ] || { echo "The browser tests need Debian's chromium: sudo apt-get install chromium"; exit 1; }; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null; }
	@touch $@
