# Every target works on a fresh machine with Python 3.11+ and make; `make help` lists them.
# Set-up is remembered by a stamp in .venv and repeated only when pyproject.toml changes.

PYTHON  ?= $(shell .ci/find-python)
VENV    ?= .venv
BIN     := $(VENV)/bin
STAMP   := $(VENV)/.set-up
NPM     := tests/conformance
PACKAGES := actors supervisors channels
SOURCES := $(wildcard $(PACKAGES) tests examples benchmarks)

ARGS    ?=
BENCH   ?=
PYTEST  ?=
PYTHONS ?= 3.11 3.12 3.13

# Trio rules that ruff does not have, each with its reason:
#   101 yield inside a nursery or cancel scope   102 await in `finally` without shield and timeout (not in
#   tests and benchmarks, whose runner has a timeout of its own)
#   103 104 a swallowed Cancelled                111 113 use after the nursery or before it is up
#   118 123 125 128 400 401 exception groups, deadlines and started() used as they are meant
# Left off: 100 105 109 110 112 115 116 2xx are ruff's; 124 900 910 911 913 ask for checkpoints where the
# mailbox fast path avoids them on purpose; 119 120 121 judge by the letter what tests judge by behaviour.
TRIO_RULES := ASYNC101,ASYNC103,ASYNC104,ASYNC111,ASYNC113,ASYNC118,ASYNC123,ASYNC125,ASYNC128,ASYNC400,ASYNC401

FLAKE8_ASYNC := $(BIN)/flake8-async --transform-async-generator-decorators=pytest.fixture
python-files = find $(1) -name node_modules -prune -o -name '*.py' -print

.DEFAULT_GOAL := help
.PHONY: help setup chat test check format format-check lint types layers test-cov \
        test-all-pythons test-floors node bench autobahn soak fuzz fuzz-guided clean

help:  ## Say what each target does
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | \
	    while IFS='|' read -r target text; do printf '  make %-18s %s\n' "$$target" "$$text"; done

setup: $(STAMP)  ## Create .venv and install (PYTHON=... chooses the interpreter)

$(STAMP): pyproject.toml
	@test -n "$(PYTHON)"
	@$(PYTHON) -m venv $(VENV) || { \
	    echo "Could not create $(VENV). On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

# Ctrl-C and SIGTERM reach the node, which stops in order with exit code 0; make itself then ends by the
# signal that it was sent too, as it does for every interrupted target.
chat: $(STAMP)  ## Run the demo chat node on http://127.0.0.1:4000 (ARGS="--port 0 --debug")
	@exec $(BIN)/python -m examples.chat $(ARGS)

test: $(STAMP)  ## Run the whole suite (PYTEST="-k mailbox -n 2" adds options)
	$(BIN)/python -m pytest $(PYTEST)

check: format-check lint types layers test-cov  ## All that must hold before a commit; what CI runs

format: $(STAMP)  ## Format the code and repair what ruff can repair
	$(BIN)/ruff check --quiet --fix-only $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

format-check: $(STAMP)
	$(BIN)/ruff format --check $(SOURCES)

lint: $(STAMP)  ## ruff, and flake8-async for the Trio rules that ruff does not have
	$(BIN)/ruff check $(SOURCES)
	@$(call python-files,$(PACKAGES)) | xargs $(FLAKE8_ASYNC) --enable=$(TRIO_RULES),ASYNC102
	@$(call python-files,$(filter-out $(PACKAGES),$(SOURCES))) | xargs $(FLAKE8_ASYNC) --enable=$(TRIO_RULES)

types: $(STAMP)  ## mypy --strict
	$(BIN)/mypy $(SOURCES)

layers: $(STAMP)  ## Imports point downward, packages are acyclic, pure rooms stay pure
	$(BIN)/lint-imports --no-cache

# In two processes, but for what drives browsers and other programs, which compete for the cores anyway.
test-cov: $(STAMP)
	$(BIN)/python -m pytest -q -n 2 -m 'not conformance and not browser' --cov --cov-report= $(PYTEST)
	$(BIN)/python -m pytest -q -m 'conformance or browser' --cov --cov-append --cov-report=term $(PYTEST)

# Other Pythons get environments of their own (.venv-3.12); conformance runs once, on the default one.
test-all-pythons:  ## The suite on each Python 3.11, 3.12, 3.13 that this machine has (PYTHONS=...)
	@for version in $(PYTHONS); do \
	    if python=$$(.ci/find-python $$version); then \
	        echo "== Python $$version"; \
	        $(MAKE) --no-print-directory setup VENV=.venv-$$version PYTHON=$$python && \
	        .venv-$$version/bin/python -m pytest -q -m 'not conformance and not browser' $(PYTEST) || exit 1; \
	    else echo "== Python $$version is not on this machine: left out"; fi; \
	done

# The oldest releases that pyproject.toml allows, read from it.
test-floors:  ## The suite on the oldest dependencies that pyproject.toml allows
	@$(MAKE) --no-print-directory setup VENV=.venv-floors
	@.venv-floors/bin/python -c "import tomllib; \
	    print(*(d.replace('>=', '==') for d in \
	    tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies']))" \
	    | xargs .venv-floors/bin/python -m pip install --quiet --disable-pip-version-check
	.venv-floors/bin/python -m pytest -q -m 'not conformance and not browser' $(PYTEST)

node: $(NPM)/node_modules/.set-up  ## npm packages of the conformance tests (needs Node 20+)

$(NPM)/node_modules/.set-up: $(NPM)/package.json
	npm install --prefix $(NPM) --no-package-lock --no-audit --no-fund --loglevel=error
	@touch $@

bench: $(STAMP)  ## Ratios against raw limits and peers (BENCH=... chooses)
	@exec $(BIN)/python -m benchmarks $(BENCH)

autobahn: $(STAMP)  ## The Autobahn test suite against the WebSocket engines
	@exec $(BIN)/python tests/autobahn/run.py $(ARGS)

soak: $(STAMP)  ## A long run under load that watches memory and latency
	@exec $(BIN)/python -m benchmarks.soak $(ARGS)

fuzz: $(STAMP)  ## Random and hostile input against a running node
	@exec $(BIN)/python -m tests.fuzz.run $(ARGS)

# atheris has wheels for few Python versions, so it gets an environment of its own.
fuzz-guided:  ## Coverage-guided fuzzing of the pure rooms, a nightly target (SECONDS=60 each)
	@$(MAKE) --no-print-directory setup VENV=.venv-fuzz
	@.venv-fuzz/bin/python -m pip install --quiet --disable-pip-version-check atheris
	@for target in messages multiplexer http bodies; do \
	    .venv-fuzz/bin/python -m tests.fuzz.guided $$target --seconds $(or $(SECONDS),60) || exit 1; \
	done

chaos: $(STAMP)  ## A million random operations on supervision trees (ARGS="--operations 10000 --seed 1")
	@exec $(BIN)/python -m tests.chaos $(ARGS)

clean:  ## Remove environments, caches and reports
	rm -rf .venv .venv-* $(NPM)/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis \
	    .import_linter_cache .coverage .coverage.* htmlcov build dist artifacts .cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
