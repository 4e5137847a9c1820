# The two commands: `make demo` and `make test`. `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
FRAMEWORKS := $(CURDIR)/.venv-frameworks/bin
SAGEMAKER := $(CURDIR)/.venv-sagemaker/bin
# What hangs on the packages of which the SageMaker SDK keeps other versions (see OF_SAGEMAKER): whylogs' profiles,
# pyarrow's tables, protobuf's messages, rich's progress; and what ships to S3
OF_BOTH_LOCKS := $(addprefix tests/,monitoring cli/test_preflight.py lab/test_profiles.py \
  $(addprefix control/test_,stored_profiles.py column_detail.py first_look.py) \
  $(addprefix packaging/test_,reference.py reference_rows.py) \
  $(addprefix serving/test_,container.py hostile_arrow.py numbers.py protocols.py shipping_s3.py))
IN_SAGEMAKER = $(SAGEMAKER)/python -m pytest -n $(TEST_PROCESSES) --dist worksteal \
  -W "ignore:Series.values returning an ndarray:DeprecationWarning"
STAMPS := .make
LAB_PORT ?= 8888
# Tests mostly wait for processes that they start: more of them than cores
TEST_PROCESSES ?= $(shell echo $$(( $$(nproc) * 3 / 2 )))
export PATH := $(BIN):$(PATH)
export TAXIWAY_HOME ?= $(CURDIR)/.make/home
export BENTOML_DO_NOT_TRACK := True
export WHYLOGS_NO_ANALYTICS := True
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export VIRTUAL_ENV :=
export PYTHONDONTWRITEBYTECODE :=

SOURCES := $(shell find extension/src extension/style extension/schema -type f 2>/dev/null)

.PHONY: help setup demo test test-frameworks test-sagemaker test-sagemaker-whole lab check format bench bench-agent bench-monitoring bench-serving chaos lock clean stop

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 22

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

test: setup $(STAMPS)/chromium $(STAMPS)/wrk $(STAMPS)/postgresql check ## Set up, check, and run all tests but those of test-frameworks
	npm test --silent
	python -m pytest --ignore=tests/frameworks -m "not alone" -n $(TEST_PROCESSES) --dist worksteal
	python -m pytest --ignore=tests/frameworks -m alone

test-frameworks: $(STAMPS)/frameworks $(STAMPS)/oldest ## Test every framework's models, and profiles on old libraries, in environments of their own
	$(FRAMEWORKS)/python -m pytest -n 2 --dist worksteal tests/frameworks
	.venv-oldest/bin/python -m pytest --noconftest tests/monitoring/test_fidelity.py tests/monitoring/test_profiles.py

# What is ignored is pyarrow 25's use of pandas 3.1: the SDK keeps a later pyarrow away
# Two runs: what stands for the account is one for each process
test-sagemaker: $(STAMPS)/sagemaker $(STAMPS)/containers ## Test the SageMaker back end, and all that its SDK's versions matter to, in an environment of their own
	$(SAGEMAKER)/python -m tests.containers $(IN_SAGEMAKER) tests/backends/sagemaker
	$(SAGEMAKER)/python -m tests.containers $(IN_SAGEMAKER) tests/emulators/test_sagemaker_*.py $(OF_BOTH_LOCKS)
	python -m tests.containers python -m pytest tests/packaging/test_bento_containers.py

# Not in continuous integration, which has no half an hour more for it
test-sagemaker-whole: test-sagemaker $(STAMPS)/chromium $(STAMPS)/wrk $(STAMPS)/postgresql ## Test all else in that environment too
	$(IN_SAGEMAKER) -m "not alone" --ignore-glob="*/test_sagemaker_*" \
	  $(addprefix --ignore=,tests/frameworks tests/backends/sagemaker $(OF_BOTH_LOCKS))
	$(SAGEMAKER)/python -m pytest --ignore=tests/frameworks -m alone

check: setup ## Lint, format check and types: ruff, mypy, eslint, prettier, tsc
	ruff check .
	ruff format --check .
	mypy
	npm run lint --silent

format: setup ## Mend what a formatter can
	ruff check --fix .
	ruff format .
	npm run format --silent

bench: bench-serving $(STAMPS)/bench-monitoring ## Print the figures that the documents quote
	python -m tests.benchmarks

bench-serving: $(STAMPS)/bench $(STAMPS)/wrk ## Compare servers of one row; writes artifacts/bench-serving.json
	python -m tests.benchmarks.serving $(OPTIONS)

bench-agent: setup $(STAMPS)/wrk ## Switches under load, deploy(), the idle agent; writes artifacts/bench-agent.json
	python -m tests.benchmarks.bench_agent $(OPTIONS)

bench-monitoring: $(STAMPS)/bench-monitoring ## Profiles and drift beside whylogs, Evidently and a KS test; writes artifacts/bench-{profiles,monitoring}.json
	python -m tests.benchmarks.bench_profiles
	python -m tests.benchmarks.bench_monitoring $(OPTIONS)

chaos: setup ## kill -9 of everything in 200 rounds under load
	python -m tests.backends.chaos $(OPTIONS)

# torch is left to pip (see $(STAMPS)/frameworks-python), so what it requires is named here; NCCL joins GPUs
# over a network, is 300 MB, and is not needed to import XGBoost
COMPILE = $(BIN)/uv pip compile --generate-hashes --python-version 3.11 \
  --no-emit-index-url --no-emit-find-links --no-annotate --no-header -q
OF_TORCH := filelock fsspec jinja2 networkx setuptools sympy typing-extensions
NEITHER := "torch; sys_platform == 'never'" "nvidia-nccl-cu12; sys_platform == 'never'"
# What the SageMaker SDK and moto keep at other versions than all else here
OF_SAGEMAKER := whylogs|platformdirs|python-dateutil|protobuf|pyarrow|rich|graphql-core

lock: ## Resolve the Python pins afresh, with hashes
	$(COMPILE) pyproject.toml --extra dev -o requirements.lock
	printf '%s\n' $(OF_TORCH) | $(COMPILE) pyproject.toml - --extra dev --extra frameworks \
	  -c requirements.lock --override <(printf '%s\n' $(NEITHER)) -o requirements-frameworks.lock
	$(COMPILE) --group bench -c <(sed 's/ .*//' requirements.lock | grep == | grep -v ^pyarrow==) -o requirements-bench.lock
	$(COMPILE) pyproject.toml --extra dev --extra sagemaker --group emulators \
	  -c <(sed 's/ .*//' requirements.lock | grep == | grep -vE '^($(OF_SAGEMAKER))==') -o requirements-sagemaker.lock
	$(COMPILE) --group bench-monitoring -o requirements-bench-monitoring.lock
	$(COMPILE) --group oldest -o requirements-oldest.lock
	awk '/^uv==/{on=1} on{print} on && !/\\$$/{exit}' requirements.lock > requirements.bootstrap.lock

clean: ## Remove everything that was built (not the demo's home while it runs)
	-[ -x $(BIN)/taxiway ] && taxiway agent stop
	rm -rf $(VENV) .venv-frameworks .venv-sagemaker .venv-bench .venv-bench-monitoring .venv-oldest node_modules $(STAMPS) extension/lib extension/taxiway/labextension artifacts

$(STAMPS)/python: requirements.lock requirements.bootstrap.lock
	@mkdir -p $(STAMPS)
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' || \
	  { echo "Taxiway needs Python 3.11 or 3.12; found $$($(PYTHON) -V). Name one: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "No virtual environment could be made: apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install -q --require-hashes -r requirements.bootstrap.lock
	$(BIN)/uv pip sync -q --compile-bytecode --python $(BIN)/python --require-hashes requirements.lock
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

# The CPU build of torch where there is one to be found, which pip's find-links may name and uv does not see
$(STAMPS)/frameworks-python: requirements-frameworks.lock $(STAMPS)/python
	@[ -x $(FRAMEWORKS)/python ] || $(BIN)/python -m venv --without-pip .venv-frameworks
	$(BIN)/uv pip sync -q --compile-bytecode --python $(FRAMEWORKS)/python --require-hashes requirements-frameworks.lock
	$(BIN)/python -m pip --python $(FRAMEWORKS)/python install -q torch==2.13.0
	@touch $@

$(STAMPS)/frameworks: $(STAMPS)/frameworks-python $(STAMPS)/extension
	SKIP_JUPYTER_BUILDER=1 $(BIN)/uv pip install -q --python $(FRAMEWORKS)/python --no-deps --no-build-isolation -e .
	@touch $@

# The SageMaker SDK, an older whylogs, and what stands for the cloud
$(STAMPS)/sagemaker: requirements-sagemaker.lock $(STAMPS)/extension
	@[ -x $(SAGEMAKER)/python ] || $(BIN)/python -m venv --without-pip .venv-sagemaker
	$(BIN)/uv pip sync -q --compile-bytecode --python $(SAGEMAKER)/python --require-hashes requirements-sagemaker.lock
	SKIP_JUPYTER_BUILDER=1 $(BIN)/uv pip install -q --python $(SAGEMAKER)/python --no-deps --no-build-isolation -e .
	@touch $@

# What the compared servers need; Taxiway's own source is used where it lies
$(STAMPS)/bench: requirements-bench.lock $(STAMPS)/extension
	@[ -x .venv-bench/bin/python ] || $(BIN)/python -m venv --without-pip .venv-bench
	$(BIN)/uv pip sync -q --compile-bytecode --python .venv-bench/bin/python --require-hashes requirements-bench.lock
	@touch $@

# Evidently is compared in an environment of its own: it does not import on pandas 3
$(STAMPS)/bench-monitoring: requirements-bench-monitoring.lock $(STAMPS)/extension
	@[ -x .venv-bench-monitoring/bin/python ] || $(BIN)/python -m venv --without-pip .venv-bench-monitoring
	$(BIN)/uv pip sync -q --compile-bytecode --python .venv-bench-monitoring/bin/python --require-hashes requirements-bench-monitoring.lock
	@touch $@

$(STAMPS)/oldest: requirements-oldest.lock $(STAMPS)/python
	@[ -x .venv-oldest/bin/python ] || $(BIN)/python -m venv --without-pip .venv-oldest
	$(BIN)/uv pip sync -q --compile-bytecode --python .venv-oldest/bin/python --require-hashes requirements-oldest.lock
	@touch $@

$(STAMPS)/wrk:
	@mkdir -p $(STAMPS)
	@command -v wrk >/dev/null || { \
	  [ "$$(id -u)" = 0 ] || { echo "Serving is measured with Debian's wrk: sudo apt-get install wrk"; exit 1; }; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends wrk >/dev/null; }
	@touch $@

# Docker, podman, a registry and compose; where they cannot be had, what needs them is skipped, and says so.
$(STAMPS)/containers:
	@mkdir -p $(STAMPS)
	@if command -v dockerd >/dev/null && command -v docker-registry >/dev/null && command -v htpasswd >/dev/null \
	  && command -v docker-compose >/dev/null && command -v podman >/dev/null; then touch $@; \
	elif [ "$$(id -u)" != 0 ]; then \
	  echo "Real containers are tested too: sudo apt-get install docker.io docker-registry apache2-utils docker-compose podman"; \
	else { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
	    docker.io docker-registry apache2-utils docker-compose iptables podman >/dev/null && touch $@; } \
	  || echo "Docker could not be installed; the tests that need it are skipped"; fi

$(STAMPS)/chromium:
	@mkdir -p $(STAMPS)
	@command -v chromium-headless-shell >/dev/null || { \
	  [ "$$(id -u)" = 0 ] || { echo "The browser tests need Debian's chromium: sudo apt-get install chromium-headless-shell"; exit 1; }; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium-headless-shell fonts-dejavu-core >/dev/null; }
	@touch $@

# Only its programs are wanted: no cluster is made, and the tests start a server of their own, without TCP.
# Where it cannot be had, what needs it is skipped, and says so.
$(STAMPS)/postgresql:
	@mkdir -p $(STAMPS)
	@if command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then touch $@; \
	elif [ "$$(id -u)" != 0 ]; then echo "The ledger is also tested in Debian's PostgreSQL: sudo apt-get install postgresql"; \
	else mkdir -p /etc/postgresql-common; \
	  [ -e /etc/postgresql-common/createcluster.conf ] || \
	    echo "create_main_cluster = false" > /etc/postgresql-common/createcluster.conf; \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql >/dev/null \
	    && touch $@; } || echo "PostgreSQL could not be installed; the tests that need it are skipped"; fi
